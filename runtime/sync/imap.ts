// Results of a function over many items, as they come. (gevent: `imap`, `imap_unordered`)
import { FiberExit, ShutDown } from "../errors";
import { type Fiber, spawn } from "../fiber";
import { Queue } from "./queue";
import { Semaphore } from "./semaphore";

/** How a group starts a task; may block. */
type Start<T, R> = (item: T) => Fiber<R>;

/**
 * What the iterator and the fiber that goes through the items share. It leads to neither, so that an iterator which nobody
 * has any more is garbage, although that fiber waits for room.
 */
class Feed<T, R> {
  /** Whose turn it is to be handed out, ended or not. */
  readonly tasks = new Queue<Fiber<R>>();
  /** For results that nobody has taken yet. */
  readonly room: Semaphore;
  #unfinished = 1; // tasks, and the items
  readonly #ordered: boolean;

  constructor(ordered: boolean, maxSize: number) {
    this.room = new Semaphore(maxSize);
    this.#ordered = ordered;
  }

  run(items: Iterable<T>, start: Start<T, R>): void {
    for (const item of items) {
      this.room.acquire();
      const task = start(item);
      task.observe();
      this.#unfinished++;
      if (this.#ordered) this.tasks.put(task);
      task.atEnd(() => {
        if (!this.#ordered) this.tasks.put(task);
        this.finishOne();
      });
    }
  }

  finishOne(): void {
    if (--this.#unfinished === 0) this.tasks.shutdown();
  }
}

function feed<T, R>(from: Feed<T, R>, items: Iterable<T>, start: Start<T, R>): Fiber {
  const feeder = spawn(() => from.run(items, start));
  feeder.observe();
  feeder.atEnd(() => from.finishOne());
  return feeder;
}

/** A consumer that is killed in a step does not call `return`: then this is how its end is noticed. */
const left = new FinalizationRegistry<Fiber>((feeder) => stop(feeder));

function stop(feeder: Fiber): void {
  feeder.kill(new FiberExit(), { block: false });
}

/**
 * The iterator that `imap` returns. A fiber of its own goes through the items and starts the tasks, from the moment of
 * the call. When its consumer leaves it, that fiber ends; tasks that have begun go on.
 */
export class Results<T, R> implements IterableIterator<R> {
  readonly #tasks: Queue<Fiber<R>>;
  readonly #room: Semaphore;
  readonly #feeder: Fiber;
  #left = false;

  constructor(items: Iterable<T>, start: Start<T, R>, ordered: boolean, maxSize: number) {
    const shared = new Feed<T, R>(ordered, maxSize);
    this.#tasks = shared.tasks;
    this.#room = shared.room;
    this.#feeder = feed(shared, items, start);
    left.register(this, this.#feeder);
  }

  next(): IteratorResult<R, undefined> {
    while (!this.#left) {
      let task: Fiber<R>;
      try {
        task = this.#tasks.peek(); // to be taken when it has ended: interrupted before that, it is the next step's
      } catch (error) {
        if (!(error instanceof ShutDown)) throw error;
        this.#left = true;
        this.#feeder.get(); // throws what the items' own iterator threw
        break;
      }
      task.join();
      if (this.#tasks.empty || this.#tasks.peek() !== task) continue; // another reader has taken it
      this.#tasks.get();
      this.#room.release();
      return { done: false, value: task.get() };
    }
    return { done: true, value: undefined };
  }

  return(): IteratorResult<R, undefined> {
    this.#left = true;
    stop(this.#feeder);
    return { done: true, value: undefined };
  }

  [Symbol.iterator](): this {
    return this;
  }

  [Symbol.dispose](): void {
    this.return();
  }
}

// Results of a function over many items, as they come. (gevent: `imap`, `imap_unordered`)
import { FiberExit, ShutDown } from "../errors";
import { type Fiber, spawn } from "../fiber";
import { Queue } from "./queue";
import { Semaphore } from "./semaphore";

/** How a group starts a task; may block. */
type Start<T, R> = (item: T) => Fiber<R>;

/**
 * The iterator that `imap` returns. A fiber of its own goes through the items and starts the tasks, from the moment of
 * the call. When its consumer leaves it, that fiber ends; tasks that have begun go on.
 */
export class Results<T, R> implements IterableIterator<R> {
  readonly #tasks = new Queue<Fiber<R>>(); // whose turn it is to be handed out, ended or not
  readonly #room: Semaphore; // for results that nobody has taken yet
  readonly #feeder: Fiber;
  #unfinished = 0;
  #left = false;

  constructor(items: Iterable<T>, start: Start<T, R>, ordered: boolean, maxSize: number) {
    this.#room = new Semaphore(maxSize);
    this.#feeder = spawn(() => this.#feed(items, start, ordered));
    this.#feeder.observe();
    this.#feeder.atEnd(() => this.#finish());
  }

  #feed(items: Iterable<T>, start: Start<T, R>, ordered: boolean): void {
    for (const item of items) {
      this.#room.acquire();
      const task = start(item);
      task.observe();
      this.#unfinished++;
      if (ordered) this.#tasks.put(task);
      task.atEnd(() => {
        this.#unfinished--;
        if (!ordered) this.#tasks.put(task);
        this.#finish();
      });
    }
  }

  #finish(): void {
    if (this.#feeder.dead && this.#unfinished === 0) this.#tasks.shutdown();
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
    this.#feeder.kill(new FiberExit(), { block: false });
    return { done: true, value: undefined };
  }

  [Symbol.iterator](): this {
    return this;
  }

  [Symbol.dispose](): void {
    this.return();
  }
}

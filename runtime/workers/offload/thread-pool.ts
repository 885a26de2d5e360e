// Pools of threads. (gevent: `gevent.threadpool.ThreadPool`)
import { availableParallelism } from "node:os";
import type { ResourceLimits } from "node:worker_threads";
import { whenAborted } from "../../abort";
import { refusal } from "../../block";
import { now } from "../../clock";
import { canBlock } from "../../coroutine";
import {
  AbortError,
  checkCount,
  checkDuration,
  checkIterable,
  Full,
  invalidArgument,
  outOfRange,
  ShutDown,
  threadEnded,
} from "../../errors";
import { blockWithin, type Limit } from "../../limit";
import { AsyncResult } from "../../sync/async-result";
import { Event } from "../../sync/event";
import type { MapOptions } from "../../sync/group";
import { Results } from "../../sync/imap";
import { LinkedList } from "../../sync/linked-list";
import { Pool } from "../../sync/pool";
import { Semaphore } from "../../sync/semaphore";
import { Call, type Receiver } from "./call";
import { argumentsOf, type Task, type TaskFunction, type TaskOptions, taskOf } from "./task";
import { Threads, type ThreadsOptions } from "./threads";

export interface ThreadPoolOptions {
  /** How many threads are started with the pool and kept. Default: 0. */
  min?: number;
  /** How many threads there may be. Default: as many as there are processors, at least `min`. */
  max?: number;
  /** After how many milliseconds without a task a thread ends, if there are more than `min`. Default: 30,000. */
  idleTimeout?: number;
  /** How many tasks may wait for a thread. When so many do, a fiber that brings another one waits. Default: any number. */
  maxQueue?: number;
  /** What a thread may use; one that needs more memory ends, and fails its task. As of Node's `Worker`. Default: Node's. */
  resourceLimits?: ResourceLimits;
}

// biome-ignore lint/suspicious/noExplicitAny: any function
type Arguments = any[];
type Module = URL | string;

/**
 * Worker threads for what would keep this one busy: code that computes, native calls that block. A fiber that has a task
 * done waits, others go on.
 *
 *     const pool = new ThreadPool({ max: 4 });
 *     spawn(() => {
 *       const small = pool.apply(new URL("./scale.js", import.meta.url), [image, 0.5], { name: "scale" });
 *       const sums = pool.map((n) => { let sum = 0; for (let i = 0; i < n; i++) sum += Math.sqrt(i); return sum; }, sizes);
 *     });
 *     const hash = await pool.spawn(hashPassword, "secret");            // in async code, and where there are no fibers
 *
 * **A task** is a function, or a function that a module exports: given as a URL or an absolute path, with an array of
 * arguments; CommonJS, an ES module or TypeScript. A function is sent as its text: it has to be self-contained. Variables
 * around it do not exist in the thread (a ReferenceError tells which one is missed), `this` is undefined, `require` resolves
 * as in the program's main module. Arrow functions, methods and async functions will do; bound functions, classes and
 * generator functions are refused. What a task returns, or its promise brings, is the result.
 *
 * **Values** are copied, as by `structuredClone`; Buffers stay Buffers. Large ones can be moved (`options.transfer`;
 * `transfer` of "runtime/task" for results). **Errors** arrive as errors of the same built-in class, with code, cause and
 * other properties, and with the frames of both sides in their stack.
 *
 * **When the waiting fiber is killed** or timed out, or the signal is aborted, the task is ended: a thread that runs it is
 * terminated. A thread that dies fails its own task only (ERR_THREAD_LOST), others take its place.
 *
 * A pool that has nothing to do does not keep the process alive. Its threads are plain ones: no fibers, no patch. What a task
 * leaves running in one, timers or sockets, stands still until its next task.
 */
export class ThreadPool {
  /** How many threads there may be. */
  readonly max: number;
  readonly #options: ThreadsOptions;
  readonly #room: Semaphore; // for tasks, those that run and those that wait
  readonly #waiting = new LinkedList<Call>();
  readonly #calls = new Set<Call>(); // the same
  readonly #idle = new Event();
  #threads: Threads | null = null;
  #running = 0;
  #closed = false;
  readonly #born = now();
  #busy = 0; // milliseconds, of tasks that have ended
  #startsOfRunning = 0; // their sum

  /** @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE */
  constructor(options: ThreadPoolOptions = {}) {
    if (typeof options !== "object" || options === null) throw invalidArgument("options", "of type object", options);
    const { min = 0, idleTimeout = 30_000, maxQueue = Number.POSITIVE_INFINITY, resourceLimits } = options;
    checkCount(min, "options.min");
    const { max = Math.max(availableParallelism(), min) } = options;
    checkCount(max, "options.max", 1);
    if (max === Number.POSITIVE_INFINITY || min > max)
      throw outOfRange("options.max", `a whole number from ${Math.max(1, min)} on`, max);
    checkDuration(idleTimeout, "options.idleTimeout");
    checkCount(maxQueue, "options.maxQueue");
    if (resourceLimits !== undefined && (typeof resourceLimits !== "object" || resourceLimits === null)) {
      throw invalidArgument("options.resourceLimits", "of type object", resourceLimits);
    }
    this.max = max;
    this.#options = { min, max, idleTimeout, resourceLimits };
    this.#room = new Semaphore(max + maxQueue);
    this.#idle.set();
    if (min > 0) this.#threads = this.#startThreads();
  }

  /** The pool that `offload` uses. */
  static get shared(): ThreadPool {
    if (shared === null || shared.#closed) shared = create();
    return shared;
  }

  /** How many threads there are. */
  get threads(): number {
    return this.#threads?.count ?? 0;
  }

  /** How many tasks run. */
  get running(): number {
    return this.#running;
  }

  /** How many tasks wait for a thread. */
  get queueSize(): number {
    return this.#waiting.size;
  }

  /** Which part of what `max` threads could have done since the pool was made it was at work: from 0 to 1. */
  get utilization(): number {
    const time = now();
    const busy = this.#busy + this.#running * time - this.#startsOfRunning;
    return Math.min(1, busy / ((time - this.#born) * this.max));
  }

  /**
   * Has a task done and waits for its outcome.
   * @returns what the task returns
   * @throws what it throws; ERR_THREAD_LOST, ERR_THREAD_ENDED; DataCloneError for what cannot be sent; ShutDown if the pool is
   *   closed; AbortError; ERR_NOT_IN_FIBER out of a fiber: there, `await pool.spawn(…)`
   */
  apply<T, A extends Arguments>(fn: TaskFunction<A, T>, ...args: A): Awaited<T>;
  // biome-ignore lint/suspicious/noExplicitAny: what a module's function returns
  apply<T = any>(module: Module, args?: readonly unknown[], options?: TaskOptions): T;
  apply(callee: unknown, ...rest: unknown[]): unknown {
    const [args, options] = argumentsOf(callee, rest);
    return this.#apply(taskOf(callee, options), args);
  }

  /**
   * Has a task done, and does not wait for it; only, in a fiber, for room in the queue.
   * @returns its outcome to be: for `get` and `wait` in a fiber, for `await` elsewhere
   * @throws Full if there is no room and no fiber that could wait; DataCloneError, ShutDown, AbortError
   */
  spawn<T, A extends Arguments>(fn: TaskFunction<A, T>, ...args: A): AsyncResult<Awaited<T>>;
  // biome-ignore lint/suspicious/noExplicitAny: what a module's function returns
  spawn<T = any>(module: Module, args?: readonly unknown[], options?: TaskOptions): AsyncResult<T>;
  spawn(callee: unknown, ...rest: unknown[]): AsyncResult {
    const [args, options] = argumentsOf(callee, rest);
    return this.#spawn(taskOf(callee, options), args, new Place(this.spawn)).result;
  }

  /**
   * Has a task done for each item, which is its argument, and waits for all.
   * @returns the results, in the order of the items
   * @throws what the first of them in that order failed with; the others go on. Interrupted, it ends all
   */
  map<T, R>(fn: (item: T) => R, items: Iterable<T>): Awaited<R>[];
  // biome-ignore lint/suspicious/noExplicitAny: what a module's function returns
  map<R = any>(module: Module, items: Iterable<unknown>, options?: Omit<TaskOptions, "transfer">): R[];
  map(callee: unknown, items: Iterable<unknown>, options: Omit<TaskOptions, "transfer"> = {}): unknown[] {
    const task = taskOf(callee, options);
    checkIterable(items, "items");
    if (!canBlock()) throw refusal();
    const spawned: Spawned[] = [];
    const here = new Place(this.map);
    try {
      for (const item of items) spawned.push(this.#spawn(task, [item], here));
      return spawned.map(({ result }) => result.get());
    } catch (error) {
      const isOwn = spawned.some(({ result }) => result.ready && result.exception === error);
      if (!isOwn) for (const { call } of spawned) call.abort();
      throw error;
    }
  }

  /**
   * As `map`, but yields each result, in the order of the items, as soon as it is there: a blocking iterator. A step throws
   * what its task failed with; the next step goes on with the next item. No more than `max` of its tasks are under way at
   * once. When the loop is left early no further tasks are started.
   */
  imap<T, R>(fn: (item: T) => R, items: Iterable<T>, options?: MapOptions): IterableIterator<Awaited<R>> & Disposable;
  imap<R = unknown>(
    module: Module,
    items: Iterable<unknown>,
    options?: MapOptions & Omit<TaskOptions, "transfer">,
  ): IterableIterator<R> & Disposable;
  imap(callee: unknown, items: Iterable<unknown>, options: MapOptions = {}): IterableIterator<unknown> & Disposable {
    return this.#results(callee, items, options, true);
  }

  /** As `imap`, in the order in which the results come. */
  imapUnordered<T, R>(
    fn: (item: T) => R,
    items: Iterable<T>,
    options?: MapOptions,
  ): IterableIterator<Awaited<R>> & Disposable;
  imapUnordered<R = unknown>(
    module: Module,
    items: Iterable<unknown>,
    options?: MapOptions & Omit<TaskOptions, "transfer">,
  ): IterableIterator<R> & Disposable;
  imapUnordered(
    callee: unknown,
    items: Iterable<unknown>,
    options: MapOptions = {},
  ): IterableIterator<unknown> & Disposable {
    return this.#results(callee, items, options, false);
  }

  /**
   * Waits until there are no tasks, at least for a moment.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }; default: without end
   * @returns false if the time was over first
   */
  join(limit: Limit = Number.POSITIVE_INFINITY): boolean {
    return this.#idle.wait(limit);
  }

  /** Takes no further tasks. Those that there are will be done, for which `join` waits; then the threads end. */
  close(): void {
    this.#closed = true;
    if (this.#idle.isSet) this.#endThreads();
  }

  /** Ends all tasks and threads at once. Who waits for a task gets ERR_THREAD_ENDED. The pool can be used on. */
  kill(): void {
    const threads = this.#threads;
    this.#threads = null; // what is begun meanwhile gets others
    // The last ones first: those that wait are not to take the places of those that run.
    for (const call of [...this.#calls].reverse()) call.fail(threadEnded("The task was ended with its thread pool"));
    threads?.end();
  }

  #apply(task: Task, args: unknown[]): unknown {
    if (!canBlock()) throw refusal();
    const { signal } = task.options;
    const limit = signal ?? Number.POSITIVE_INFINITY;
    this.#enter(limit);
    let call: Call | undefined;
    return blockWithin<unknown>(limit, (waiter) => {
      call = this.#begin(task, args, waiter);
      return () => call?.abort();
    });
  }

  #spawn(task: Task, args: unknown[], place: Place): Spawned {
    const { signal } = task.options;
    this.#enter(canBlock() ? (signal ?? Number.POSITIVE_INFINITY) : 0);
    const result = new AsyncResult();
    let ignore = () => {};
    const call = this.#begin(task, args, {
      resolve: (value) => {
        ignore();
        result.set(value);
      },
      reject: (error) => {
        ignore();
        result.setException(place.addTo(error));
      },
    });
    if (signal !== undefined) {
      ignore = whenAborted(signal, () => {
        call.abort();
        result.setException(new AbortError(signal.reason));
      });
    }
    return { call, result };
  }

  #results(
    callee: unknown,
    items: Iterable<unknown>,
    options: MapOptions & TaskOptions,
    ordered: boolean,
  ): Results<unknown, unknown> {
    const { maxSize = Number.POSITIVE_INFINITY, ...taskOptions } = options;
    const task = taskOf(callee, taskOptions);
    checkIterable(items, "items");
    checkCount(maxSize, "options.maxSize", 1);
    const tasks = new Pool(this.max);
    return new Results(items, (item) => tasks.spawn(() => this.#apply(task, [item])), ordered, maxSize);
  }

  #enter(limit: Limit): void {
    if (this.#closed) throw new ShutDown("the thread pool was closed");
    if (!this.#room.acquire(limit)) throw new Full("the thread pool's queue is full");
    if (!this.#closed) return;
    this.#room.release();
    throw new ShutDown("the thread pool was closed");
  }

  #begin(task: Task, args: unknown[], receiver: Receiver): Call {
    let call: Call;
    try {
      call = new Call(task, args, receiver);
    } catch (error) {
      this.#room.release();
      throw error;
    }
    this.#idle.clear();
    this.#calls.add(call);
    if (this.#running < this.max) {
      this.#run(call);
      return call;
    }
    const place = this.#waiting.append(call);
    call.ended = () => {
      this.#waiting.remove(place);
      this.#leave(call);
    };
    return call;
  }

  #run(call: Call): void {
    const begin = now();
    this.#running++;
    this.#startsOfRunning += begin;
    call.ended = () => {
      this.#running--;
      this.#startsOfRunning -= begin;
      this.#busy += now() - begin;
      this.#leave(call);
    };
    this.#threads ??= this.#startThreads();
    call.run(this.#threads);
  }

  #leave(call: Call): void {
    this.#calls.delete(call);
    this.#room.release();
    const next = this.#waiting.first;
    if (next !== null && this.#running < this.max) {
      this.#waiting.remove(next);
      this.#run(next.value);
    }
    if (this.#running > 0) return;
    this.#idle.set();
    if (this.#closed) this.#endThreads();
  }

  #startThreads(): Threads {
    const threads: Threads = new Threads(this.#options, (error) => {
      if (this.#threads !== threads) return;
      for (const call of [...this.#calls]) if (call.isRunning) call.fail(error);
    });
    return threads;
  }

  #endThreads(): void {
    const threads = this.#threads;
    this.#threads = null;
    threads?.end();
  }
}

let shared: ThreadPool | null = null;
// The bundler renames a class that names itself, and "_ThreadPool" would be in stack traces.
const create = () => new ThreadPool();

interface Spawned {
  readonly call: Call;
  readonly result: AsyncResult;
}

/** The place of a call, for the stacks of errors that come when it has returned. */
class Place {
  readonly stack?: string;

  constructor(called: (...args: never[]) => unknown) {
    Error.captureStackTrace(this, called);
  }

  addTo(error: unknown): unknown {
    if (!(error instanceof Error)) return error;
    const frames = String(this.stack ?? "")
      .split("\n")
      .slice(1);
    try {
      if (frames.length > 0 && typeof error.stack === "string") error.stack += `\n${frames.join("\n")}`;
    } catch {
      // One that does not let itself be changed keeps the stack that it has.
    }
    return error;
  }
}

// Groups of fibers. (gevent: `gevent.pool.Group`)
import { now } from "../clock";
import { checkCount, checkFunction, checkIterable, FiberExit, invalidArgument } from "../errors";
import { checkKillOptions, Fiber, type KillOptions, type Steps, spawn } from "../fiber";
import { stepped } from "../generator";
import { checkLimit, type Limit, type LimitOptions, timeoutOf } from "../limit";
import { Event } from "./event";
import { Results } from "./imap";
import { joinAll, killAll } from "./several";
import { Timeout } from "./timeout";

export interface MapOptions {
  /** How many results may wait for their reader before no further task is started. Default: any number. */
  maxSize?: number;
}

export type GroupJoinOptions = LimitOptions & {
  /** Whether to throw what a member failed with, of those there were when the call began. Default: no. */
  raiseError?: boolean;
};

// biome-ignore lint/suspicious/noExplicitAny: a fiber runs any function
type Arguments = any[];

/**
 * Fibers that are looked after together. A member leaves the group when it ends.
 *
 *     const group = new Group();
 *     for (const url of urls) group.spawn(fetchPage, url);
 *     group.join();
 */
export class Group implements Iterable<Fiber> {
  readonly #members = new Map<Fiber, () => void>(); // and what takes it out at its end
  readonly #empty = new Event();

  /** @param fibers its first members */
  constructor(fibers: Iterable<Fiber> = []) {
    checkIterable(fibers, "fibers");
    this.#empty.set();
    for (const fiber of fibers) add.call(this, fiber);
  }

  /** How many members there are. */
  get length(): number {
    return this.#members.size;
  }

  /** Whether a fiber is a member. */
  has(fiber: Fiber): boolean {
    return this.#members.has(fiber);
  }

  [Symbol.iterator](): IterableIterator<Fiber> {
    return this.#members.keys();
  }

  /** Whether `spawn` would wait. A group is never full. */
  get full(): boolean {
    return false;
  }

  /** Makes a fiber a member, until it ends; does nothing if it is one, or has ended. */
  add(fiber: Fiber): void {
    if (!(fiber instanceof Fiber)) throw invalidArgument("fiber", "a fiber", fiber);
    if (fiber.dead || this.#members.has(fiber)) return;
    const leave = () => this.#remove(fiber);
    fiber.atEnd(leave);
    this.#members.set(fiber, leave);
    this.#empty.clear();
  }

  /** Lets a fiber go, which runs on. Does nothing if it is no member. */
  discard(fiber: Fiber): void {
    const leave = this.#members.get(fiber);
    if (leave === undefined) return;
    fiber.notAtEnd(leave);
    this.#remove(fiber);
  }

  /** Makes a fiber that was not started a member, and starts it. */
  start(fiber: Fiber): void {
    this.add(fiber);
    fiber.start();
  }

  /** Starts a fiber that calls `fn(...args)`, as a member; a generator function, too (see `new Fiber`). */
  spawn<T, A extends Arguments>(fn: Steps<T, A>, ...args: A): Fiber<T>;
  spawn<T, A extends Arguments>(fn: (...args: A) => T, ...args: A): Fiber<T>;
  spawn<T, A extends Arguments>(fn: (...args: A) => T, ...args: A): Fiber<T> {
    const fiber = spawn(fn, ...args);
    this.add(fiber as Fiber);
    return fiber;
  }

  /**
   * Waits until there are no members, at least for a moment. A failure of those that there are now is not unhandled.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }, and raiseError
   * @returns false if the time was over first
   */
  join(limit: Limit | GroupJoinOptions = Number.POSITIVE_INFINITY): boolean {
    checkLimit(limit, "limit");
    const { raiseError = false } = limit as GroupJoinOptions;
    if (typeof raiseError !== "boolean") throw invalidArgument("limit.raiseError", "of type boolean", raiseError);
    const members = [...this];
    for (const member of members) member.observe();
    const empty = this.#empty.wait(limit);
    const failed = raiseError && members.find((member) => member.dead && !member.successful);
    if (failed) throw failed.exception;
    return empty;
  }

  /**
   * Kills all members, also those that are added while it waits for the others' end; the running fiber, if it is a
   * member, last.
   * @param error what to throw into them; default: a FiberExit for each
   * @throws Timeout when they have not all ended in time
   */
  kill(error?: unknown, options: KillOptions = {}): void {
    const { block } = checkKillOptions(options);
    const { signal } = options;
    const end = now() + timeoutOf(options);
    const dying = new Set<Fiber>();
    do {
      const members = [...this].filter((member) => !dying.has(member));
      for (const member of members) dying.add(member);
      killAll(members, error, { block: false });
      if (!block) return;
      const ended = joinAll(members, { timeout: Math.max(0, end - now()), signal });
      if (ended.length < members.length) throw new Timeout(timeoutOf(options));
    } while ([...this].some((member) => !dying.has(member)));
  }

  /** Kills one fiber, as `Fiber#kill`, if it is a member. */
  killOne(fiber: Fiber, error: unknown = new FiberExit(), options: KillOptions = {}): void {
    if (this.has(fiber)) fiber.kill(error, options);
  }

  /** Calls `fn(...args)` in a member and waits for its outcome; called by a member, right here. */
  apply<T, A extends Arguments>(fn: (...args: A) => T, ...args: A): T {
    checkFunction(fn, "fn");
    const { current } = Fiber;
    return current !== null && this.has(current) ? stepped(fn)(...args) : this.spawn(fn, ...args).get();
  }

  /**
   * As `apply`, and never waits.
   * @returns a fiber whose outcome is that of the call. (Where the group is full, it is not a member itself: it waits.)
   */
  applyAsync<T, A extends Arguments>(fn: (...args: A) => T, ...args: A): Fiber<T> {
    checkFunction(fn, "fn");
    return this.full ? spawn(() => this.apply(fn, ...args)) : this.spawn(fn, ...args);
  }

  /**
   * Calls `fn(item)` in members, for all items at the same time as far as there is room, and waits for all.
   * @returns their values, in the order of the items
   * @throws what the first of them in that order failed with; the others go on
   */
  map<T, R>(fn: (item: T) => R, items: Iterable<T>): R[] {
    checkFunction(fn, "fn");
    checkIterable(items, "items");
    const tasks: Fiber<R>[] = [];
    for (const item of items) {
      const task = this.spawn(fn, item);
      task.observe();
      tasks.push(task);
    }
    return tasks.map((task) => task.get());
  }

  /** As `map`, in a fiber of its own, which it returns. */
  mapAsync<T, R>(fn: (item: T) => R, items: Iterable<T>): Fiber<R[]> {
    checkFunction(fn, "fn");
    checkIterable(items, "items");
    return spawn(() => this.map(fn, items));
  }

  /**
   * As `map`, but begins at once, and yields each value, in the order of the items, as soon as it is there: a blocking
   * iterator. A step throws what its task failed with; the next step goes on with the next item. When the loop is left
   * early no further tasks are started.
   */
  imap<T, R>(fn: (item: T) => R, items: Iterable<T>, options: MapOptions = {}): IterableIterator<R> & Disposable {
    return this.#results(fn, items, true, options);
  }

  /** As `imap`, in the order in which the values come. */
  imapUnordered<T, R>(
    fn: (item: T) => R,
    items: Iterable<T>,
    options: MapOptions = {},
  ): IterableIterator<R> & Disposable {
    return this.#results(fn, items, false, options);
  }

  #results<T, R>(fn: (item: T) => R, items: Iterable<T>, ordered: boolean, options: MapOptions): Results<T, R> {
    checkFunction(fn, "fn");
    checkIterable(items, "items");
    if (typeof options !== "object" || options === null) throw invalidArgument("options", "of type object", options);
    const { maxSize = Number.POSITIVE_INFINITY } = options;
    checkCount(maxSize, "options.maxSize", 1);
    return new Results(items, (item) => this.spawn(fn, item), ordered, maxSize);
  }

  #remove(fiber: Fiber): void {
    this.#members.delete(fiber);
    this.left();
    if (this.length === 0) this.#empty.set();
  }

  /** @internal A member has left. */
  protected left(): void {}
}

// By a name outside of the class: the bundler renames a class that names itself, and "_Group" would be in every stack trace.
const { add } = Group.prototype; // the group's own, whatever a subclass makes of it

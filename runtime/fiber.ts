// Fibers: coroutines that the program sees, joins and kills.
import type { AsyncResource } from "node:async_hooks";
import type { InspectOptions, inspect } from "node:util";
import { expire } from "./clock";
import {
  admit,
  Coroutine,
  canBlock,
  current,
  currentRoot,
  DEFAULT_STACK_SIZE,
  interrupted,
  MIN_STACK_SIZE,
  onAbandoned,
  State,
} from "./coroutine";
import { checkDuration, checkFunction, FiberExit, invalidArgument, outOfRange } from "./errors";
import { stepped } from "./generator";
import { checkLimit, type Limit, type LimitOptions, timeoutOf } from "./limit";
import { delayed, FiberRecord } from "./observe/record";
import { Line } from "./sync/line";
import { Timeout } from "./sync/timeout";
import { callLater, checkLink, type Link, Links, WAIT, type Waitable } from "./sync/waitable";

export interface FiberOptions {
  /** For people: in reports and errors. Default: the function's name. */
  name?: string;
  /** Bytes of stack for JavaScript. Only touched pages cost memory. Default: `configure({ stackSize })`. */
  stackSize?: number;
}

// biome-ignore lint/suspicious/noExplicitAny: a fiber runs any function
type Body<T, A extends any[] = any[]> = (...args: A) => T;
/** A generator function that yields what its fiber is to wait for. */
// biome-ignore lint/suspicious/noExplicitAny: what `yield` returns depends on what was yielded, which no type can tell
export type Steps<T, A extends any[]> = (...args: A) => Generator<unknown, T, any>;

export interface KillOptions extends LimitOptions {
  /** Whether to wait for the end; `timeout`, or `signal`, limits that. Default: yes in a fiber, no on the hub's stack. */
  block?: boolean;
}

/** @internal A program may have given a function a name that is no text. */
export function nameOf(fn: { name: unknown }): string {
  return typeof fn.name === "string" ? fn.name : "";
}

function givenName(fn: { name: unknown }, { name = nameOf(fn) }: FiberOptions): string {
  if (typeof name !== "string") throw invalidArgument("options.name", "of type string", name);
  return name;
}

/** @internal */
export function newRecord(name: string): FiberRecord {
  return new FiberRecord(name, currentRoot()?.record ?? null);
}

let defaultStackSize = DEFAULT_STACK_SIZE;

/** @internal A number of bytes of stack that V8 and the system can do with. */
export function checkStackSize(value: unknown, name: string): number {
  if (typeof value !== "number") throw invalidArgument(name, "of type number", value);
  if (!Number.isSafeInteger(value) || value < MIN_STACK_SIZE || value > 2 ** 30) {
    throw outOfRange(name, `a whole number of bytes from ${MIN_STACK_SIZE} to ${2 ** 30}`, value);
  }
  return Math.ceil(value / 65536) * 65536;
}

/** @internal For fibers that are created from now on. */
export function setDefaultStackSize(size: number): void {
  defaultStackSize = size;
}

/**
 * A green thread: one stack in the program's one heap. (gevent: `Greenlet`)
 *
 * A fiber is a thenable: async code can `await` it. A failure that nobody looks at (by join, get, link or then)
 * behaves as an unhandled rejection.
 */
export class Fiber<T = unknown> extends Coroutine implements PromiseLike<T>, Waitable {
  /** A number that no other fiber of this thread has. */
  readonly id: number;
  #joiners: Line | null = null;
  #links: Links<unknown> | null = null;
  #atEnd: (() => void)[] | null = null;
  #observed = false; // somebody wants to know its outcome
  #outcome: unknown = undefined;
  #failed = false;
  #promise: Promise<T> | null = null;

  /** The fiber that runs now; null on the hub's stack. */
  static get current(): Fiber | null {
    return currentRoot() as Fiber | null;
  }

  /**
   * A fiber that will call `fn` once it is started.
   * @param fn what it runs; its return value is the fiber's. If it is a generator function, the fiber waits for
   *   whatever it yields, as `wait` does: for those who want to see where their code suspends.
   * @throws ERR_NO_FIBERS where the addon could not be loaded, ERR_FIBER_LIMIT when the system has no more room
   */
  constructor(fn: Body<T, []> | Steps<T, []>, options?: FiberOptions);
  /** @internal What `fn` is called with; and with a record that exists no refusal, the fiber rather waits for a stack. */
  constructor(
    fn: Body<T>,
    options: FiberOptions,
    self: unknown,
    args: unknown[],
    record?: FiberRecord,
    resource?: AsyncResource,
  );
  constructor(
    fn: Body<T>,
    options: FiberOptions = {},
    self: unknown = undefined,
    args: unknown[] = [],
    record?: FiberRecord,
    resource?: AsyncResource,
  ) {
    checkFunction(fn, "fn");
    if (typeof options !== "object" || options === null) throw invalidArgument("options", "of type object", options);
    const name = record === undefined ? givenName(fn, options) : "";
    const { stackSize } = options;
    const size = stackSize === undefined ? defaultStackSize : checkStackSize(stackSize, "options.stackSize");
    if (record === undefined) admit();
    const own = record ?? newRecord(name);
    super(own, stepped(fn), self, args, size, resource ?? own);
    this.id = own.id;
  }

  /** Whether it was started: it runs at the hub's next turn, runs, or has ended. */
  get started(): boolean {
    return this.state !== State.New;
  }

  /** Whether it has ended, in whatever way. */
  get dead(): boolean {
    return this.state === State.Dead;
  }

  /** The same as `dead`: there is an outcome. (gevent: `ready()`) */
  get ready(): boolean {
    return this.dead;
  }

  /** Whether it has ended without a failure: it returned, or was killed. */
  get successful(): boolean {
    return this.dead && !this.#failed;
  }

  /** What it returned, or the `FiberExit` that ended it; undefined before and after a failure. */
  get value(): T | undefined {
    return this.successful ? (this.#outcome as T) : undefined;
  }

  /** What it failed with; undefined if it has not. */
  get exception(): unknown {
    return this.#failed ? this.#outcome : undefined;
  }

  /** Lets it run at the hub's next turn. Does nothing if it was started before. */
  start(): this {
    if (this.state === State.New) this.makeReady();
    return this;
  }

  /**
   * Waits until it has ended, in whatever way.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }; default: without end
   * @returns whether it has ended
   */
  join(limit: Limit = Number.POSITIVE_INFINITY): boolean {
    checkLimit(limit, "limit");
    this.observe();
    const hasRun = !this.dead && timeoutOf(limit) > 0 && this.beginForWaiter();
    // It may have thrown something into its waiter.
    if (!this.dead || (hasRun && interrupted(current as Coroutine))) this.#wait(limit);
    return this.dead;
  }

  /**
   * Waits for its outcome: returns its value, or throws what it failed with.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }; default: without end
   * @throws Timeout when it has not ended by then
   */
  get(limit: Limit = Number.POSITIVE_INFINITY): T {
    if (!this.join(limit)) throw new Timeout(timeoutOf(limit));
    if (this.#failed) throw this.#outcome;
    return this.#outcome as T;
  }

  /**
   * Throws a `FiberExit`, or `error`, into it where it is suspended, so that its `finally` blocks run. If it was not
   * started it never will be. If it has ended, nothing happens. Killing the running fiber throws right here.
   * Killed with an error of your own, the fiber has failed with that: it goes uncaught unless somebody looks (`join`, `get`).
   */
  kill(error: unknown = new FiberExit(), options: KillOptions = {}): void {
    const { block } = checkKillOptions(options);
    if (this.dead) return;
    this.throw(error);
    if (block) this.#wait(options);
  }

  /**
   * Throws `error` into it where it is suspended, and does not wait.
   * Several such errors appear one after another.
   */
  throw(error: unknown): void {
    this.interrupt(error);
  }

  /**
   * Calls `link(fiber)` on the hub's stack once it has ended; soon, if it already has. An AsyncResult can be linked too:
   * it takes the fiber's outcome. Links are called in the order in which they were made.
   */
  link(link: Link<this>): void {
    checkLink(link, "link");
    this.observe();
    if (this.dead) callLater(link, this);
    else (this.#links ??= new Links()).add(link as Link<unknown>);
  }

  /** Takes a link back. Does nothing if there is none. */
  unlink(link: Link<this>): void {
    checkLink(link, "link");
    this.#links?.remove(link as Link<unknown>);
  }

  /** @internal Whether its function would run in plain Node, too, and there on the event loop's own stack. */
  get implicit(): boolean {
    return false;
  }

  /** @internal Calls `end`, which must not block or throw, at the very moment of its end. */
  atEnd(end: () => void): void {
    if (this.#atEnd === null) this.#atEnd = [end];
    else this.#atEnd.push(end);
  }

  /** @internal Takes that back. */
  notAtEnd(end: () => void): void {
    this.#atEnd = this.#atEnd?.filter((other) => other !== end) ?? null;
  }

  /** What `console.log` shows of it: what it is, not what it is made of. */
  [Symbol.for("nodejs.util.inspect.custom")](_depth: number, options: InspectOptions, show: typeof inspect): string {
    const { id, name } = this;
    const outcome = !this.dead ? {} : this.#failed ? { exception: this.#outcome } : { value: this.#outcome };
    return `Fiber ${show({ id, name, state: stateNames[this.state], ...outcome }, options)}`;
  }

  // biome-ignore lint/suspicious/noThenProperty: a fiber is a thenable by design, so that async code can await it
  then<R = T, E = never>(
    onFulfilled?: ((value: T) => R | PromiseLike<R>) | null,
    onRejected?: ((error: unknown) => E | PromiseLike<E>) | null,
  ): Promise<R | E> {
    if (this.#promise === null) {
      this.#promise = new Promise((resolve, reject) => {
        this.link(() => (this.#failed ? reject(this.#outcome) : resolve(this.#outcome as T)));
      });
    }
    return this.#promise.then(onFulfilled, onRejected);
  }

  /** @internal */
  protected override settle(failed: boolean, outcome: unknown): void {
    this.#failed = failed && !(outcome instanceof FiberExit);
    this.#outcome = outcome;
    this.record.ended();
    if (this.#atEnd !== null) for (const end of this.#atEnd) end();
    this.#joiners?.serveAll();
    this.#links?.notify(this);
    if (this.#failed && !this.#observed) this.unobserved(outcome);
  }

  /** @internal A failure, and so far nobody who wants to know. */
  protected unobserved(error: unknown): void {
    this.#promise = Promise.reject(error); // and Node does the rest
  }

  /** @internal */
  protected override obituary(): object {
    return this.#failed ? { fiber: this, error: this.#outcome } : { fiber: this };
  }

  /** @internal Somebody will look at its outcome: a failure is not unhandled. */
  observe(): void {
    if (this.#failed && !this.#observed) this.#promise?.catch(() => {}); // it is handled from now on
    this.#observed = true;
  }

  /** @internal */
  [WAIT](limit: Limit): T {
    return this.get(limit);
  }

  #wait(limit: Limit): void {
    if (currentRoot() === (this as unknown))
      throw invalidArgument("fiber", "another one than the one that waits", this);
    (this.#joiners ??= new Line()).wait(limit, undefined);
  }
}

const stateNames = {
  [State.New]: "new",
  [State.Ready]: "ready",
  [State.Running]: "running",
  [State.Suspended]: "suspended",
  [State.Dead]: "dead",
};

/** @internal The options of a kill, with the default. */
export function checkKillOptions(options: KillOptions): { block: boolean } {
  checkLimit(options, "options");
  if (options.block !== undefined && typeof options.block !== "boolean") {
    throw invalidArgument("options.block", "of type boolean", options.block);
  }
  return { block: options.block ?? canBlock() };
}

onAbandoned((record, resource, stackSize) => new Fiber(() => {}, { stackSize }, undefined, [], record, resource));

/**
 * Starts a fiber that calls `fn(...args)` at the hub's next turn.
 * @param fn a function; or a generator function, that yields what its fiber is to wait for (see `new Fiber`)
 * @throws ERR_NO_FIBERS where the addon could not be loaded, ERR_FIBER_LIMIT when the system has no more room
 * @example const page = spawn(fetchPage, url); ... page.get();
 */
// biome-ignore lint/suspicious/noExplicitAny: a fiber runs any function
export function spawn<T, A extends any[]>(fn: Steps<T, A>, ...args: A): Fiber<T>;
// biome-ignore lint/suspicious/noExplicitAny: a fiber runs any function
export function spawn<T, A extends any[]>(fn: Body<T, A>, ...args: A): Fiber<T>;
// biome-ignore lint/suspicious/noExplicitAny: a fiber runs any function
export function spawn<T, A extends any[]>(fn: Body<T, A>, ...args: A): Fiber<T> {
  checkFunction(fn, "fn");
  return new Fiber(fn as Body<T>, { name: nameOf(fn) }, undefined, args).start();
}

/**
 * The same, after `ms` milliseconds. Killed before that, it never runs.
 */
// biome-ignore lint/suspicious/noExplicitAny: a fiber runs any function
export function spawnLater<T, A extends any[]>(ms: number, fn: Steps<T, A>, ...args: A): Fiber<T>;
// biome-ignore lint/suspicious/noExplicitAny: a fiber runs any function
export function spawnLater<T, A extends any[]>(ms: number, fn: Body<T, A>, ...args: A): Fiber<T>;
// biome-ignore lint/suspicious/noExplicitAny: a fiber runs any function
export function spawnLater<T, A extends any[]>(ms: number, fn: Body<T, A>, ...args: A): Fiber<T> {
  checkDuration(ms, "ms");
  checkFunction(fn, "fn");
  const fiber = new Fiber(fn as Body<T>, { name: nameOf(fn) }, undefined, args);
  const timer = expire(ms, () => fiber.start());
  delayed.add(fiber.record);
  fiber.atEnd(() => {
    timer?.cancel();
    delayed.delete(fiber.record);
  });
  return fiber;
}

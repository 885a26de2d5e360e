// The package `fibers/future`: what is to come, and fibers wait for.
import { block } from "../../runtime/block";
import { current } from "../../runtime/coroutine";
import { checkFunction, invalidArgument } from "../../runtime/errors";
import { raise } from "../../runtime/hub";

import Fiber = require("./fiber");

// biome-ignore lint/suspicious/noExplicitAny: any function, and whatever comes of it
type Any = any;
type AnyFunction = (this: Any, ...args: Any[]) => Any;
type Callback = (error: Any, value?: Any) => void;
/** A callback for both outcomes; or a future for an error, and a callback for a value. */
type Follower = [both: Callback, none?: null] | [errors: Future, values: (value: Any) => void];

// What a future has of its own are plain properties, so that old-style subclasses can make one by any constructor.
class Futures<T = Any> {
  value?: T;
  error?: Any;
  resolved?: boolean;
  /** @internal */ callbacks?: Follower[];

  /** Whether it has come to a value, or an error. */
  isResolved(): boolean {
    return this.resolved === true;
  }

  /**
   * Its value.
   * @throws its error, with a stack trace that shows this call, too; Error if it is not resolved
   */
  get(): T {
    if (!this.resolved) throw new Error("Future must resolve before value is ready");
    if (this.error) throw withCaller(this.error, Futures.prototype.get);
    return this.value as T;
  }

  /**
   * Suspends the running fiber until it is resolved; then the same as `get`.
   * @throws Error "Can't wait without a fiber"
   */
  wait(): T {
    if (!this.isResolved()) Future.wait(this);
    return this.get();
  }

  /** Resolves it to a value. Throws if it is resolved. */
  return<V extends T>(value?: V): void {
    if (this.resolved) throw new Error("Future resolved more than once");
    this.value = value as T;
    settle(this);
  }

  /** Resolves it to an error. Throws if it is resolved, or if there is no error. */
  throw(error: unknown): void {
    if (this.resolved) throw new Error("Future resolved more than once");
    if (!error) throw new Error("Must throw non-empty error");
    this.error = error;
    settle(this);
  }

  /**
   * Calls `callback(error, value)` once it is resolved, at once if it is. Or, with two arguments, has an error thrown in
   * the future `errors`, and calls `values(value)`.
   */
  resolve(callback: (error: Any, value: T) => void, none?: null): this;
  resolve(errors: Future, values: (value: T) => void): this;
  resolve(...follower: [Any, Any?]): this {
    if (this.resolved) tell(follower, this);
    else (this.callbacks ??= []).push(follower);
    return this;
  }

  /** Calls `callback(value)` if it comes to one. */
  resolveSuccess(callback: (value: T) => void): this {
    return this.resolve((error, value) => {
      if (!error) callback(value as T);
    });
  }

  /** Lets an error that it comes to go uncaught. */
  detach(): void {
    this.resolve((error) => {
      if (error) throw error;
    });
  }

  /** A callback in Node's style that resolves it. */
  resolver(): (error?: unknown, value?: T) => void {
    return (error, value) => {
      if (error) this.throw(error);
      else this.return(value);
    };
  }

  /** Has `future` come to the same. */
  proxy(future: Pick<Future, "return" | "throw">): void {
    this.resolve((error, value) => {
      if (error) future.throw(error);
      else future.return(value);
    });
  }

  /** Has one or more futures come to the error that it comes to. */
  proxyErrors(futures: Future | Future[]): this {
    return this.resolve((error) => {
      if (error) for (const future of Array.isArray(futures) ? futures : [futures]) future.throw(error);
    });
  }

  /** A promise of the same. */
  promise(): Promise<T> {
    return new Promise((resolve, reject) => {
      this.resolve((error, value) => (error ? reject(error) : resolve(value as T)));
    });
  }
}

function settle(future: Future): void {
  future.resolved = true;
  const { callbacks = [] } = future;
  delete future.callbacks;
  for (const follower of callbacks) {
    try {
      tell(follower, future);
    } catch (error) {
      raise(error); // not for whoever resolves it, nor for the others
    }
  }
}

function tell([first, values]: Follower, { error, value }: Future): void {
  if (!values) first(error, value);
  else if (error) first.throw(error);
  else values(value);
}

/** An error that is thrown once more, by `entry`: its trace begins with who called that, what it was before follows. */
function withCaller(error: unknown, entry: AnyFunction): unknown {
  if (!(error instanceof Error)) return error;
  try {
    const here: { stack?: unknown } = {};
    Error.captureStackTrace(here, entry);
    const { futureStack = error.stack } = error as { futureStack?: unknown };
    if (typeof here.stack !== "string" || typeof futureStack !== "string") return error;
    Object.defineProperty(error, "futureStack", { value: futureStack, configurable: true, writable: true });
    const at = futureStack.indexOf("\n    at ");
    const [head, frames] = at < 0 ? [futureStack, ""] : [futureStack.slice(0, at), futureStack.slice(at)];
    const stack = [head, ...here.stack.split("\n").slice(1), "    - - - - -"].join("\n") + frames;
    Object.defineProperty(error, "stack", { value: stack, configurable: true, writable: true });
  } catch {
    // A frozen error keeps the trace it has.
  }
  return error;
}

/** The outcome of a function that runs in a fiber of its own, from the process's next tick on. */
class FiberFuture extends Futures {
  started = false;

  constructor(
    readonly fn: AnyFunction,
    readonly context: unknown,
    readonly args: unknown[],
  ) {
    super();
    process.nextTick(() => {
      if (!this.started) Fiber(() => this.run()).run();
    });
  }

  /** Calls the function in the running fiber. */
  run(): void {
    this.started = true;
    let value: unknown;
    try {
      value = Reflect.apply(this.fn, this.context, this.args);
    } catch (error) {
      this.throw(error);
      return;
    }
    this.return(value);
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the default, as in @types/fibers
interface Future<T = any> extends Futures<T> {}

interface FutureConstructor {
  // biome-ignore lint/suspicious/noExplicitAny: the default, as in @types/fibers
  new <T = any>(): Future<T>;
  readonly prototype: Future;

  /**
   * Suspends the running fiber, of whatever kind, until all of these, futures and arrays of futures, are resolved. It does
   * not throw what they come to: `get` does.
   * @throws Error "Can't wait without a fiber", or if something is no future
   */
  wait(...futures: (Future | Future[])[]): void;
  /**
   * Calls a function in a fiber of its own, at the next tick.
   * @returns a future for its outcome; of several functions, for an array of their values, or for the last error
   */
  task<T>(fn: (...args: Any[]) => T): Future<T>;
  task<T = Any>(...fns: Function[]): Future<T[]>;
  /**
   * A function that calls `target`, whose last parameter is a callback in Node's style, and returns a future, with what
   * `target` returned in its property `_`. For an object: one that inherits from it, and has such a function "nameFuture" for
   * each of its functions. Functions that a function has as properties are wrapped, too.
   * @param multi whether the callback gets several values: the future's is an array then. Default: no
   * @param suffix in the place of "Future"
   * @throws ERR_INVALID_ARG_TYPE if it is neither
   */
  wrap<T>(target: (...args: Any[]) => T, multi?: boolean, suffix?: string): Any;
  wrap<T extends object>(target: T, multi?: boolean, suffix?: string): Any;
  /** A future that comes to what a promise comes to. */
  fromPromise<T>(promise: PromiseLike<T>): Future<T>;
}

/**
 * A value that is to come, or an error.
 * @example
 * const future = new Future();
 * fs.readFile("a.txt", "utf8", future.resolver());
 * future.wait(); // in a fiber: its contents
 */
const Future = function Future() {} as unknown as FutureConstructor; // no class: old-style subclasses call it

Object.defineProperty(Futures.prototype, "constructor", { value: Future });
Object.defineProperty(Future, "name", { value: "Future" });
Object.assign(Future, { prototype: Futures.prototype, wait: waitForAll, task, wrap, fromPromise });

function waitForAll(...given: unknown[]): void {
  const futures = given.flat(1);
  for (const one of futures) if (!(one instanceof Future)) throw new Error(`${one} is not a future`);
  if (current === null) throw new Error("Can't wait without a fiber");
  const open = [...new Set(futures as Future[])].filter((future) => !future.isResolved());
  // A function that has not begun can as well run here.
  const own = open.find((future): future is FiberFuture => future instanceof FiberFuture && !future.started);
  let pending = open.length;
  let resume: (() => void) | null = null;
  const resolved = () => {
    if (--pending === 0) resume?.();
  };
  for (const future of open) future.resolve(resolved);
  own?.run();
  if (pending === 0) return;
  const fiber = Fiber.current;
  try {
    if (fiber === undefined) {
      block<void>((waiter) => {
        resume = () => waiter.resolve();
      });
    } else {
      resume = () => fiber.run();
      Fiber.yield(); // looked up here: programs put functions of their own in its place
    }
  } finally {
    resume = null; // it may live again by the time that they are resolved
  }
}

function task(...fns: AnyFunction[]): Future {
  const tasks = fns.map((fn, index) => {
    checkFunction(fn, fns.length === 1 ? "fn" : `fns[${index}]`);
    return new FiberFuture(fn, undefined, []);
  });
  if (tasks.length === 1) return tasks[0] as Future;
  const all = new Future<unknown[]>();
  const values = new Array(tasks.length);
  let pending = tasks.length;
  let failure: unknown;
  for (const [index, one] of tasks.entries()) {
    one.resolve((error, value) => {
      if (error) failure = error;
      values[index] = value;
      if (--pending > 0) return;
      if (failure) all.throw(failure);
      else all.return(values);
    });
  }
  return all;
}

function wrap(target: unknown, multi = false, suffix = "Future"): unknown {
  if (typeof target === "function") return wrapFunction(target as AnyFunction, multi, suffix);
  if (typeof target === "object" && target !== null) return wrapMembers(target, multi, suffix, wrapFunction);
  throw invalidArgument("target", "of type function or object", target);
}

function wrapFunction(fn: AnyFunction, multi: boolean, suffix: string): AnyFunction {
  const wrapped = returningFuture(fn, multi);
  // Functions may have functions as properties, as those of the package `request` do.
  const members = Object.create(fn);
  for (const [key, value] of Object.entries(fn)) if (typeof value === "function") define(members, key, value);
  Object.setPrototypeOf(wrapped, wrapMembers(members, multi, suffix, returningFuture));
  return wrapped;
}

function wrapMembers(target: object, multi: boolean, suffix: string, wrapMember: typeof wrapFunction): object {
  const wrapped = Object.create(target);
  for (const key in target) {
    const member = wrapped[key];
    if (typeof member === "function") define(wrapped, key + suffix, wrapMember(member, multi, suffix));
  }
  return wrapped;
}

/** Also where it would inherit an accessor. */
function define(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, { configurable: true, enumerable: true, writable: true, value });
}

function returningFuture(fn: AnyFunction, multi: boolean): AnyFunction {
  return function (this: unknown, ...args: unknown[]) {
    const future: Future & { _?: unknown } = new Future();
    const resolve = future.resolver();
    const callback = multi ? (error: unknown, ...values: unknown[]) => resolve(error, values) : resolve;
    future._ = Reflect.apply(fn, this, [...args, callback]);
    return future;
  };
}

function fromPromise<T>(promise: PromiseLike<T>): Future<T> {
  const future = new Future<T>();
  promise.then(
    (value) => future.return(value),
    (error) => future.throw(error),
  );
  return future;
}

Object.defineProperty(Function.prototype, "future", {
  configurable: true,
  writable: true,
  value: function future(this: AnyFunction, detach?: boolean): AnyFunction {
    const fn = this;
    const started = function (this: unknown, ...args: unknown[]) {
      const future = new FiberFuture(fn, this, args);
      if (detach) future.detach();
      return future;
    };
    started.toString = () => `<<Future ${fn}.future()>>`;
    return started;
  },
});

declare global {
  interface Function {
    /**
     * A function that calls this one, with the same arguments and `this`, in a fiber of its own, at the next tick, and
     * returns a Future of its outcome. There once `fibers/future` is loaded.
     * @param detach whether an error goes uncaught
     */
    future<T = Any>(detach?: boolean): FutureFunction<T>;
  }

  // Global in @types/fibers, too.
  type FutureFunction<T> = (...args: Any[]) => Future<T>;
  type FutureObject<T> = T & Any;
}

export = Future;

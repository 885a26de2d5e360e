// block(): the one operation under every blocking call.
import { executionAsyncId } from "node:async_hooks";
import { isPreparingStackTrace } from "./call-sites";
import {
  type Coroutine,
  canBlock,
  continueOnTop,
  current,
  hasRoom,
  interrupted,
  State,
  suspend,
  wake,
  wakeOnTop,
  whyNoFibers,
} from "./coroutine";
import { cannotSuspend, notInFiber } from "./errors";
import { schedule } from "./hub";

const enum Outcome {
  Pending,
  Fulfilled,
  Rejected,
  /** The coroutine no longer waits: what comes now is late. */
  Abandoned,
}

/** One suspension of one coroutine, from the start of an operation to its outcome. */
export class Waiter<T = unknown> {
  /** @internal */ readonly coroutine: Coroutine;
  /** @internal */ outcome: Outcome = Outcome.Pending;
  /** @internal The value, or the error. */
  result: unknown = undefined;
  /** Stops the operation. Called, once, if the fiber is interrupted before there is an outcome. */
  cancel: (() => void) | null = null;
  /** Disposes of a value that came too late for anybody to receive it: a descriptor to close, a permit to return. */
  discard: ((value: T) => void) | null = null;
  /**
   * Whether `resolve` and `reject` continue the fiber before they return in another fiber, too: for who waits for
   * something that does not wait for it, an event.
   */
  urgent = false;

  /** @internal Whether the call is one of Node's own, which blocks in plain Node. */
  likeNode = false;

  /** @internal */
  constructor(coroutine: Coroutine) {
    this.coroutine = coroutine;
  }

  /** The operation has succeeded. Called on the hub's stack, its fiber continues before this returns. */
  resolve(value: T): void {
    if (this.#settle(Outcome.Fulfilled, value)) this.#wake();
    else if (this.outcome === Outcome.Abandoned) this.discard?.(value);
  }

  /** The operation has failed. */
  reject(error: unknown): void {
    if (this.#settle(Outcome.Rejected, error)) this.#wake();
  }

  /** As `resolve`, but wherever it is called its fiber continues before it returns, and no other does. */
  resolveOnTop(value: T): void {
    if (this.#settle(Outcome.Fulfilled, value) && this.coroutine.state === State.Suspended)
      continueOnTop(this.coroutine);
  }

  /** The operation comes to what a promise comes to. */
  follow(promise: PromiseLike<T>): void {
    promise.then(
      (value) => this.resolve(value),
      (error) => this.reject(error),
    );
  }

  /**
   * As `resolve`, but the fiber continues when the hub comes to it, never before this returns: for those who wake
   * many, or have more to do. False, and nothing is changed, if the fiber no longer waits.
   */
  resolveLater(value: T): boolean {
    return this.#settle(Outcome.Fulfilled, value) && this.#wakeLater();
  }

  /** As `reject`, likewise. */
  rejectLater(error: unknown): boolean {
    return this.#settle(Outcome.Rejected, error) && this.#wakeLater();
  }

  /** Whether it has no outcome yet, and its fiber still waits for one. */
  get pending(): boolean {
    return this.outcome === Outcome.Pending;
  }

  /** Whether what was thrown into its fiber will appear before any outcome. */
  get interrupted(): boolean {
    return interrupted(this.coroutine);
  }

  /** Lets every other ready fiber run, then this one. */
  turn(): void {
    schedule(this);
  }

  /** @internal Its turn has come. */
  run(): void {
    this.resolve(undefined as T);
  }

  /** Node's style of callback, for this waiter. */
  get callback(): (error?: unknown, value?: T) => void {
    return (error, value) => {
      if (error != null) this.reject(error);
      else this.resolve(value as T);
    };
  }

  /** @internal The fiber was interrupted: whatever the outcome is or will be, nobody takes it. */
  abandon(): void {
    const { outcome, result } = this;
    this.outcome = Outcome.Abandoned;
    this.result = undefined;
    if (outcome === Outcome.Pending) this.cancel?.();
    else if (outcome === Outcome.Fulfilled) this.discard?.(result as T);
  }

  #settle(outcome: Outcome, result: unknown): boolean {
    if (this.outcome !== Outcome.Pending) return false;
    this.outcome = outcome;
    this.result = result;
    return true;
  }

  #wake(): void {
    if (this.coroutine.state !== State.Suspended) return;
    if (this.urgent) wakeOnTop(this.coroutine);
    else wake(this.coroutine);
  }

  #wakeLater(): true {
    if (this.coroutine.state === State.Suspended) this.coroutine.makeReady();
    return true;
  }
}

/**
 * Starts an operation and suspends the running fiber until it has an outcome, which is returned or thrown.
 *
 * `start` begins the operation and arranges that `waiter.resolve`, `waiter.reject` or `waiter.callback` is called.
 * If that happens before `start` returns, nothing is switched at all. What `start` throws is thrown, and the
 * operation counts as never begun. `waiter.cancel` (or the function that `start` returns) stops the operation when the
 * fiber is killed, timed out or thrown into; `waiter.discard` gets a value that nobody will receive.
 *
 * @throws ERR_NOT_IN_FIBER on the hub's stack, ERR_CANNOT_SUSPEND where leaving the stack is not safe; in both cases
 * `start` was not called.
 */
export function block<T>(start: (waiter: Waiter<T>) => (() => void) | void): T {
  // No local of this frame may hold the coroutine, see coroutine.ts.
  enter(start as (waiter: Waiter) => (() => void) | void, false);
  while (pending(block)) suspend();
  return leave(block) as T;
}

/**
 * The same for a function of Node's own, which blocks in plain Node: who has run an old-style fiber waits with it then, as for
 * any function that takes long (compat/fibers).
 */
export function blockLikeNode<T>(start: (waiter: Waiter<T>) => (() => void) | void): T {
  enter(start as (waiter: Waiter) => (() => void) | void, true);
  while (pending(blockLikeNode)) suspend();
  return leave(blockLikeNode) as T;
}

/** Whether `block` would start an operation now: for who may have no need to wait. If not, `block` tells why. */
export function canStart(): boolean {
  return canBlock() && hasRoom() && !interrupted(current as Coroutine);
}

function enter(start: (waiter: Waiter) => (() => void) | void, likeNode: boolean): void {
  if (!canBlock()) throw refusal();
  // Here, and not somewhere in Node: a stack overflow half-way into an operation would leave it inconsistent.
  if (!hasRoom()) throw new RangeError("Maximum call stack size exceeded");
  const coroutine = current as Coroutine;
  if (interrupted(coroutine)) throw takeInterrupt(coroutine);
  coroutine.waiter?.abandon(); // left behind by a stack overflow
  const waiter = new Waiter(coroutine);
  waiter.likeNode = likeNode;
  try {
    const cancel = start(waiter);
    if (cancel) waiter.cancel = cancel;
  } catch (error) {
    waiter.outcome = Outcome.Abandoned;
    waiter.cancel?.(); // what it had begun before it failed
    throw error;
  }
  coroutine.waiter = waiter; // not before: whatever starts the operation may have blocked itself
}

function pending(entry: (...args: never[]) => unknown): boolean {
  const coroutine = current as Coroutine;
  if (coroutine.inspect !== null) return answer(coroutine.inspect, entry);
  if (interrupted(coroutine) || (coroutine.waiter as Waiter).outcome !== Outcome.Pending) return false;
  coroutine.state = State.Suspended;
  return true;
}

// The stack was resumed only to be looked at.
function answer(inspect: (trace: string) => void, entry: (...args: never[]) => unknown): true {
  let trace = "";
  try {
    const here: { stack?: unknown } = {};
    Error.captureStackTrace(here, entry);
    if (typeof here.stack === "string") trace = here.stack.split("\n").slice(1).join("\n");
  } catch {
    // A program's own Error.prepareStackTrace that fails must not fail here, in the fiber that is looked at.
  }
  inspect(trace);
  return true;
}

function leave(entry: (...args: never[]) => unknown): unknown {
  const coroutine = current as Coroutine;
  const waiter = coroutine.waiter as Waiter;
  coroutine.waiter = null;
  if (interrupted(coroutine)) {
    const error = takeInterrupt(coroutine);
    (waiter as Waiter | null)?.abandon(); // there is none after `takeOver`
    throw withFiberStack(error, entry);
  }
  if (waiter.outcome === Outcome.Rejected) throw withFiberStack(waiter.result, entry);
  return waiter.result;
}

function takeInterrupt(coroutine: Coroutine): unknown {
  const interrupts = coroutine.interrupts as unknown[];
  const error = interrupts.shift();
  if (interrupts.length === 0) coroutine.interrupts = null;
  return error;
}

/** The error that tells why the running code cannot block. */
export function refusal(): Error {
  if (current === null) return notInFiber(whyNoFibers());
  if (current.pinned > 0) return cannotSuspend(current.pinnedBy);
  if (isPreparingStackTrace()) return cannotSuspend("inside Error.prepareStackTrace");
  if (executionAsyncId() === current.asyncId) {
    return cannotSuspend("inside require() of an ES module, or a CommonJS module that an ES module imports");
  }
  return cannotSuspend("native code has entered an async scope on this stack, and must leave it here");
}

/**
 * Makes an error's stack trace show where in the fiber it appeared. Operations fail on the hub's stack, so that their
 * errors come with the hub's frames, or with none. Source maps apply as to any other trace.
 */
export function withFiberStack(error: unknown, hide: (...args: never[]) => unknown): unknown {
  if (!(error instanceof Error)) return error;
  try {
    const { stack } = error;
    if (typeof stack !== "string") return error;
    if (!stack.includes("\n    at ")) {
      Error.captureStackTrace(error, hide);
      return error;
    }
    const here: { stack?: string } = {};
    Error.captureStackTrace(here, hide);
    const frames = (here.stack ?? "").split("\n").slice(1);
    if (frames[0] && !stack.includes(frames[0])) error.stack = `${stack}\n${frames.join("\n")}`;
  } catch {
    // A frozen error, or a getter that throws: it keeps the trace it has.
  }
  return error;
}

/**
 * Runs `fn` so that nothing that is thrown into the running fiber appears under it, but at the next blocking call
 * after it: for what must be done also by a fiber that is being killed. (trio: a shielded cancel scope)
 */
export function shielded<T>(fn: () => T): T {
  const coroutine = current;
  if (coroutine === null) return fn();
  coroutine.shields++;
  try {
    return fn();
  } finally {
    coroutine.shields--;
  }
}

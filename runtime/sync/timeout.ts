// Timeouts that reach a fiber wherever it is suspended. (gevent: `gevent.Timeout`)
import { whenAborted } from "../abort";
import { type Expiry, expire } from "../clock";
import { type Coroutine, currentRoot, whyNoFibers } from "../coroutine";
import { AbortError, checkDuration, checkFunction, notInFiber } from "../errors";
import { blockWithin, checkLimit, EXPIRED, type Limit, signalOf, timeoutOf } from "../limit";
import { WAIT } from "./waitable";

/**
 * An error, and the timer that throws it into the fiber that started it. Each tells itself from others, so they nest:
 *
 *     const timeout = Timeout.start(500);
 *     try { … } catch (error) { if (error !== timeout) throw error; } finally { timeout.cancel(); }
 */
export class Timeout extends Error {
  readonly code = "ERR_TIMEOUT";
  override name = "Timeout";
  /** After how many milliseconds it expires. */
  readonly ms: number;
  readonly #error: unknown;
  #timer: Expiry | null = null;
  #expired = false;
  #fiber: Coroutine | null = null; // whose timeout it is, while it is started

  /**
   * @param ms milliseconds from `start()`; Infinity for never
   * @param error what to throw in place of this object
   */
  constructor(ms: number, error?: unknown) {
    checkDuration(ms, "ms");
    super(`timed out after ${ms} ms`);
    this.ms = ms;
    this.#error = error === undefined ? this : error;
  }

  static start(ms: number, error?: unknown): Timeout {
    return create(ms, error).start();
  }

  /** Whether it runs: started, and neither expired nor cancelled. */
  get pending(): boolean {
    return this.#fiber !== null && !this.#expired;
  }

  /** From now on, for the running fiber. Started again, it begins anew. */
  start(): this {
    const fiber = currentRoot() as Coroutine | null;
    if (fiber === null) throw notInFiber(whyNoFibers());
    this.cancel();
    this.#fiber = fiber;
    this.#timer = expire(this.ms, () => {
      this.#timer = null;
      this.#expired = true;
      fiber.interrupt(this.#error);
    });
    return this;
  }

  /** Stops it, also if it has expired and its error is yet to appear. Does nothing if it does not run. */
  cancel(): void {
    this.#timer?.cancel();
    this.#timer = null;
    if (this.#expired) this.#fiber?.withdraw(this.#error);
    this.#fiber = null;
    this.#expired = false;
  }

  [Symbol.dispose](): void {
    this.cancel();
  }

  /** @internal Lets its time pass. */
  [WAIT](limit: Limit): this {
    const end = blockWithin<void>(limit, (waiter) => {
      const timer = expire(this.ms, () => waiter.resolve());
      return () => timer?.cancel();
    });
    if (end === EXPIRED) throw create(timeoutOf(limit));
    return this;
  }
}

// The bundler renames a class that names itself, and "_Timeout" would be in stack traces.
const create = (ms: number, error?: unknown) => new Timeout(ms, error);

/**
 * Calls `fn`, for no longer than a limit: then an error is thrown into it, wherever it is suspended.
 * @param limit milliseconds, an AbortSignal, or { timeout, signal }
 * @returns what `fn` returns; `fallback`, if one is given, when the limit was reached first
 * @throws a Timeout when the time was over first, an AbortError when the signal was aborted first, and there is no
 *   fallback
 */
export function withTimeout<T>(limit: Limit, fn: () => T): T;
export function withTimeout<T, F>(limit: Limit, fn: () => T, fallback: F): T | F;
export function withTimeout<T, F>(limit: Limit, fn: () => T, ...fallback: [F?]): T | F {
  checkFunction(fn, "fn");
  try {
    checkLimit(limit, "limit");
  } catch (error) {
    if (error instanceof AbortError && fallback.length > 0) return fallback[0] as F;
    throw error;
  }
  const timeout = Timeout.start(timeoutOf(limit));
  const signal = signalOf(limit);
  const abort = signal && new Abort(signal);
  try {
    return fn();
  } catch (error) {
    if ((error === timeout || (abort && error === abort.error)) && fallback.length > 0) return fallback[0] as F;
    throw error;
  } finally {
    timeout.cancel();
    abort?.cancel();
  }
}

/** A signal whose AbortError is thrown into the running fiber. */
class Abort {
  error: Error | undefined;
  readonly #fiber = currentRoot() as Coroutine;
  readonly #ignore: () => void;

  constructor(signal: AbortSignal) {
    this.#ignore = whenAborted(signal, () => {
      this.error = new AbortError(signal.reason);
      this.#fiber.interruptLater(this.error); // the fiber itself may be who aborts
    });
  }

  cancel(): void {
    this.#ignore();
    if (this.error) this.#fiber.withdraw(this.error);
  }
}

// Limits: how long a blocking call may last.

import { throwIfAborted, whenAborted } from "./abort";
import { block, type Waiter } from "./block";
import { expire } from "./clock";
import { AbortError, checkDuration, fiberOnly, invalidArgument } from "./errors";

export interface LimitOptions {
  /** Milliseconds. Default: Infinity, without end. */
  timeout?: number | undefined;
  /** Ends the call with an AbortError (code ABORT_ERR, the signal's reason as its cause) when it is aborted. */
  signal?: AbortSignal | undefined;
}

/**
 * The longest that a call may block: milliseconds, an AbortSignal, or both. Infinity is without end; with 0 the call
 * does not wait at all, and does not let others run either. When the time is over the call does what it documents;
 * when the signal is aborted it throws an AbortError.
 */
export type Limit = number | AbortSignal | LimitOptions;

/** What `blockWithin` returns when the time was over first. */
export const EXPIRED: unique symbol = Symbol("expired");
const ABORTED: unique symbol = Symbol("aborted");

function isSignal(value: object): value is AbortSignal {
  return "aborted" in value; // also another realm's, as Node takes it
}

/** Throws if `limit` is none, and an AbortError if its signal is aborted already. */
export function checkLimit(limit: unknown, name: string): asserts limit is Limit {
  if (typeof limit === "number") checkDuration(limit, name);
  else checkOptions(limit, name);
}

function checkOptions(limit: unknown, name: string): void {
  if (typeof limit !== "object" || limit === null) {
    throw invalidArgument(name, "of type number, an AbortSignal, or an object with timeout or signal", limit);
  }
  const { timeout, signal } = isSignal(limit) ? { signal: limit } : (limit as LimitOptions);
  if (timeout !== undefined) checkDuration(timeout, `${name}.timeout`);
  if (signal === undefined) return;
  if (typeof signal !== "object" || signal === null || !isSignal(signal)) {
    throw invalidArgument(`${name}.signal`, "an AbortSignal", signal);
  }
  throwIfAborted(signal);
}

/** Its milliseconds. */
export function timeoutOf(limit: Limit): number {
  if (typeof limit === "number") return limit;
  return (isSignal(limit) ? undefined : limit.timeout) ?? Number.POSITIVE_INFINITY;
}

/**
 * The same for a thread that is to sleep, which no signal can wake.
 * @throws ERR_NOT_IN_FIBER if it has a signal
 */
export function sleepOf(limit: Limit): number {
  if (signalOf(limit)) throw fiberOnly("limit.signal");
  return timeoutOf(limit);
}

/** Its signal. */
export function signalOf(limit: Limit): AbortSignal | undefined {
  if (typeof limit === "number") return undefined;
  return isSignal(limit) ? limit : limit.signal;
}

/**
 * `block`, for no longer than a limit that was checked: what `start` began is cancelled then as by an interruption.
 * @returns the outcome, or EXPIRED when the time was over first
 * @throws AbortError when the limit's signal was aborted first
 */
export function blockWithin<T>(limit: Limit, start: (waiter: Waiter<T>) => (() => void) | void): T | typeof EXPIRED {
  const ms = timeoutOf(limit);
  const signal = signalOf(limit);
  if (ms === 0) return EXPIRED;
  if (ms === Number.POSITIVE_INFINITY && signal === undefined) return block(start);
  return blockRestricted(ms, signal, start);
}

// Apart from the above, where nothing is to be made for a limit that is none.
function blockRestricted<T>(
  ms: number,
  signal: AbortSignal | undefined,
  start: (waiter: Waiter<T>) => (() => void) | void,
): T | typeof EXPIRED {
  let lift = () => {};
  try {
    const outcome = block<T | typeof EXPIRED | typeof ABORTED>((waiter) => {
      const cancel = start(waiter as Waiter<T>);
      if (cancel) waiter.cancel = cancel;
      if (waiter.pending) lift = restrict(waiter as Waiter, ms, signal);
    });
    if (outcome === ABORTED) throw new AbortError((signal as AbortSignal).reason);
    return outcome;
  } finally {
    lift();
  }
}

// Returns what lifts the restriction.
function restrict(waiter: Waiter, ms: number, signal: AbortSignal | undefined): () => void {
  const stop = () => {
    waiter.cancel?.();
    waiter.discard = null; // it is for values of the operation's own
  };
  const timer = expire(ms, () => {
    if (!waiter.pending) return;
    stop();
    waiter.resolve(EXPIRED);
  });
  const onAbort = () => {
    if (!waiter.pending) return;
    stop();
    waiter.resolveLater(ABORTED); // whoever aborts has more to do
  };
  const ignore = signal && whenAborted(signal, onAbort);
  return () => {
    timer?.cancel();
    ignore?.();
  };
}

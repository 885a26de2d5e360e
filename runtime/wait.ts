// Waiting for time, and for what is to come.
import { block, type Waiter } from "./block";
import { expire, now } from "./clock";
import { counts, current, inspectPromise, whyNoFibers } from "./coroutine";
import { checkDuration, notInFiber } from "./errors";
import { scheduled } from "./hub";
import { blockWithin, checkLimit, EXPIRED, type Limit, signalOf, timeoutOf } from "./limit";
import { Timeout } from "./sync/timeout";
import { WAIT } from "./sync/waitable";

// As they were before anybody patched them.
const { setImmediate, clearImmediate } = require("node:timers") as typeof import("node:timers");

/**
 * Suspends the running fiber for `ms` milliseconds. `sleep(0)` lets all others that are ready run first.
 * (gevent: `sleep`)
 * @param options.signal ends it early, with an AbortError
 * @throws ERR_NOT_IN_FIBER on the hub's stack
 */
export function sleep(ms = 0, options: { signal?: AbortSignal } = {}): void {
  checkDuration(ms, "ms");
  checkLimit(options, "options");
  if (ms === 0) {
    block<void>(takeTurn);
    return;
  }
  blockWithin<void>(options, (waiter) => {
    const timer = expire(ms, () => waiter.resolve());
    return () => timer?.cancel();
  });
}

/**
 * Suspends the running fiber until the others have nothing to do: until the event loop has gone round once without any
 * fiber running. For work that shall not stand in anybody's way. (gevent: `idle`)
 * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }; default: without end
 * @returns false if the time was over first
 * @throws ERR_NOT_IN_FIBER on the hub's stack
 */
export function idle(limit: Limit = Number.POSITIVE_INFINITY): boolean {
  checkLimit(limit, "limit");
  const end = blockWithin<void>(limit, (waiter) => {
    let seen = -1;
    const look = () => {
      if (scheduled() === 0 && counts.switches === seen) {
        waiter.resolve();
        return;
      }
      seen = counts.switches;
      next = setImmediate(look);
    };
    let next = setImmediate(look);
    return () => clearImmediate(next);
  });
  return end !== EXPIRED;
}

const takeTurn = (waiter: Waiter<void>) => waiter.turn();

/**
 * Suspends the running fiber until a promise, or anything with a `then`, has settled: `await` in blocking style.
 * For a fiber or an AsyncResult it is `get(limit)`, and where that returns a promise, that one's outcome; for an Event or
 * a Semaphore it ends when it is ready, for a Timeout when its time is over. Anything else is returned as it is, also a
 * queue, another lock, a group. What is settled already costs no switch.
 * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }; default: without end
 * @returns what it was fulfilled with
 * @throws what it was rejected with; Timeout when the time was over first; ERR_NOT_IN_FIBER on the hub's stack
 */
export function wait<T>(awaitable: T, limit: Limit = Number.POSITIVE_INFINITY): Awaited<T> {
  checkLimit(limit, "limit");
  if (isOurs(awaitable)) return waitForOurs(awaitable, limit) as Awaited<T>;
  if (!isThenable(awaitable)) return awaitable as Awaited<T>;
  if (current === null) throw notInFiber(whyNoFibers());
  if (awaitable instanceof Promise && awaitable.then === Promise.prototype.then) {
    const outcome: unknown[] = [];
    const state = inspectPromise(awaitable, outcome);
    if (state === 1) return outcome[0] as Awaited<T>;
    if (state === 2) {
      awaitable.catch(() => {}); // it is handled from now on
      throw outcome[0];
    }
  }
  const value = blockWithin<Awaited<T>>(limit, (waiter) => waiter.follow(awaitable as PromiseLike<Awaited<T>>));
  if (value === EXPIRED) throw new Timeout(timeoutOf(limit));
  return value;
}

// The outcome may be a promise in its turn: of an async function in a fiber, for one. `await` would wait for that, too.
function waitForOurs(awaitable: { [WAIT](limit: Limit): unknown }, limit: Limit): unknown {
  const timeout = timeoutOf(limit);
  const end = timeout === Number.POSITIVE_INFINITY ? timeout : now() + timeout;
  const outcome = awaitable[WAIT](limit);
  if (outcome === awaitable || !isThenable(outcome)) return outcome;
  return wait(outcome, { timeout: Math.max(0, end - now()), signal: signalOf(limit) });
}

function isOurs(value: unknown): value is { [WAIT](limit: Limit): unknown } {
  return typeof value === "object" && value !== null && WAIT in value;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    value !== null &&
    (typeof value === "object" || typeof value === "function") &&
    typeof (value as { then?: unknown }).then === "function"
  );
}

// Waiting for time, and for what is to come.
import { block } from "./block";
import { expire } from "./clock";
import { current, inspectPromise } from "./coroutine";
import { checkDuration, notInFiber } from "./errors";
import { Fiber } from "./fiber";
import { Timeout } from "./sync/timeout";

/**
 * Suspends the running fiber for `ms` milliseconds. `sleep(0)` lets all others that are ready run first.
 * (gevent: `sleep`)
 * @throws ERR_NOT_IN_FIBER on the hub's stack
 */
export function sleep(ms = 0): void {
  checkDuration(ms, "ms");
  block<void>((waiter) => {
    if (ms === 0) {
      waiter.turn();
      return;
    }
    const timer = expire(ms, () => waiter.resolve());
    return () => timer?.cancel();
  });
}

/**
 * Suspends the running fiber until a promise, or anything with a `then`, has settled: `await` in blocking style.
 * For a fiber it is `fiber.get(ms)`. Anything else is returned as it is. What is settled already costs no switch.
 * @param ms the longest to wait, in milliseconds; default: without end
 * @returns what it was fulfilled with
 * @throws what it was rejected with; Timeout after `ms`; ERR_NOT_IN_FIBER on the hub's stack
 */
export function wait<T>(awaitable: T, ms = Number.POSITIVE_INFINITY): Awaited<T> {
  checkDuration(ms, "ms");
  if (awaitable instanceof Fiber) return awaitable.get(ms) as Awaited<T>;
  if (!isThenable(awaitable)) return awaitable as Awaited<T>;
  if (current === null) throw notInFiber();
  if (awaitable instanceof Promise && awaitable.then === Promise.prototype.then) {
    const outcome: unknown[] = [];
    const state = inspectPromise(awaitable, outcome);
    if (state === 1) return outcome[0] as Awaited<T>;
    if (state === 2) {
      awaitable.catch(() => {}); // it is handled from now on
      throw outcome[0];
    }
  }
  return block<Awaited<T>>((waiter) => {
    const timer = expire(ms, () => waiter.reject(new Timeout(ms)));
    waiter.cancel = () => timer?.cancel(); // before a `then` of somebody's own is called, which may throw
    awaitable.then(
      (value) => {
        timer?.cancel();
        waiter.resolve(value as Awaited<T>);
      },
      (error) => {
        timer?.cancel();
        waiter.reject(error);
      },
    );
  });
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    value !== null &&
    (typeof value === "object" || typeof value === "function") &&
    typeof (value as { then?: unknown }).then === "function"
  );
}

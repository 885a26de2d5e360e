// Waiting for what a call has begun, with care for what nobody waits for any more.
import { block } from "../block";
import { current, inspectPromise } from "../coroutine";
import { wait } from "../wait";
import type { Callable } from "./client";

/** What is to be done about an operation whose fiber was interrupted, or could not wait at all. */
export interface Late {
  /** Disposes of the value that it brings nevertheless. */
  // biome-ignore lint/suspicious/noExplicitAny: the result of any method
  readonly discard: ((value: any) => void) | null;
  /** Ends it, where it can be ended. */
  readonly cancel?: () => void;
}

const ignore = () => {};

/** As `wait`, but takes care of a value that comes too late, and of an operation that cannot be waited for. */
export function settle(thenable: PromiseLike<unknown>, late: Late): unknown {
  if (isSettled(thenable)) return wait(thenable);
  let begun = false;
  try {
    return block<unknown>((waiter) => {
      begun = true;
      waiter.discard = late.discard;
      waiter.cancel = late.cancel ?? null;
      waiter.follow(thenable);
    });
  } catch (error) {
    if (!begun) forsake(thenable, late);
    throw error;
  }
}

function isSettled(thenable: PromiseLike<unknown>): boolean {
  if (current === null || !(thenable instanceof Promise) || thenable.then !== Promise.prototype.then) return false;
  return inspectPromise(thenable, []) !== 0;
}

// Nobody can wait for it here, and the caller gets to know that: its rejection is not to be reported as well. A
// thenable of another kind is left alone: queries that start when `then` is called (knex, Prisma) have not started.
function forsake(thenable: PromiseLike<unknown>, late: Late): void {
  if (thenable instanceof Promise) Promise.prototype.then.call(thenable, late.discard ?? ignore, ignore);
  late.cancel?.();
}

/** Calls `fn` with a callback as the last argument, and waits until that is called. */
export function settleCallback(fn: Callable, self: unknown, args: unknown[], late: Late): unknown {
  return block<unknown>((waiter) => {
    waiter.discard = late.discard;
    const result = Reflect.apply(fn, self, [...args, waiter.callback]);
    // An async function among the others, which may know nothing of callbacks.
    if (result instanceof Promise) waiter.follow(result);
  });
}

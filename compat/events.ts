// events: waiting for one event.
import events = require("node:events");

import { withFiberStack } from "../runtime/block";
import { invalidArgument } from "../runtime/errors";
import { blockWithin, checkLimit, EXPIRED, type Limit, timeoutOf } from "../runtime/limit";
import { Timeout } from "../runtime/sync/timeout";
import type { ModulePatch } from "./patching";

declare module "events" {
  /**
   * `events.once` in blocking style: suspends the fiber until `emitter` emits `event`. The fiber continues before the
   * next event is emitted, so that it misses none that it waits for then (unless another fiber emits them where nothing
   * may suspend, as in `require`). However it ends, it leaves no listener behind.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }; default: without end
   * @returns the event's arguments; for an EventTarget, `[event]`
   * @throws what an EventEmitter's "error" event brings meanwhile, unless "error" is what is waited for; Timeout when
   *   the time was over first; AbortError when the signal was aborted first; ERR_NOT_IN_FIBER out of a fiber
   */
  // biome-ignore lint/suspicious/noExplicitAny: as in the types of events.once
  function onceSync(emitter: NodeJS.EventEmitter, event: string | symbol, limit?: Limit): any[];
  // biome-ignore lint/suspicious/noExplicitAny: the same
  function onceSync(emitter: EventTarget, event: string, limit?: Limit): any[];
}

type Listener = (...args: unknown[]) => void;

/** What `onceSync` needs of an emitter, by the names that it goes by there. */
interface Source {
  on(event: string | symbol, listener: Listener): unknown;
  off(event: string | symbol, listener: Listener): unknown;
  /** Whether an "error" event is a failure. */
  readonly fails: boolean;
}

function sourceOf(emitter: unknown): Source {
  const { on, removeListener, addEventListener, removeEventListener } = (emitter ?? {}) as Record<string, unknown>;
  const call =
    (method: unknown) =>
    (...args: unknown[]) =>
      Reflect.apply(method as Listener, emitter, args);
  if (typeof on === "function" && typeof removeListener === "function") {
    return { on: call(on), off: call(removeListener), fails: true };
  }
  if (typeof addEventListener === "function" && typeof removeEventListener === "function") {
    return { on: call(addEventListener), off: call(removeEventListener), fails: false };
  }
  throw invalidArgument("emitter", "an EventEmitter or an EventTarget", emitter);
}

function onceSync(emitter: unknown, event: string | symbol, limit: Limit = Number.POSITIVE_INFINITY): unknown[] {
  const source = sourceOf(emitter);
  if (typeof event !== "string" && typeof event !== "symbol") {
    throw invalidArgument("event", "of type string or symbol", event);
  }
  checkLimit(limit, "limit");
  let args: unknown[] | typeof EXPIRED;
  try {
    args = blockWithin<unknown[]>(limit, (waiter) => {
      const watched = source.fails && event !== "error";
      waiter.cancel = () => stop();
      waiter.urgent = true;
      const stop = () => {
        source.off(event, happened);
        if (watched) source.off("error", failed);
      };
      const happened = (...args: unknown[]) => {
        stop();
        waiter.resolve(args);
      };
      const failed = (error: unknown) => {
        stop();
        waiter.reject(error);
      };
      if (watched) source.on("error", failed);
      source.on(event, happened); // last, for it may happen at once
    });
  } catch (error) {
    throw withFiberStack(error, onceSync);
  }
  if (args === EXPIRED) throw new Timeout(timeoutOf(limit));
  return args;
}

export const eventsPatch: ModulePatch = {
  name: "events",
  apply: (define) => define.add(events, "onceSync", onceSync),
};

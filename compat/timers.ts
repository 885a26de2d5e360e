// timers: sleeping; and callbacks that start in fibers, so that they may block.
import timers = require("node:timers");

import { canSuspend } from "../runtime/coroutine";
import type { AnyFunction } from "../runtime/disguise";
import { checkDuration } from "../runtime/errors";
import type { Fiber } from "../runtime/fiber";
import { getsFiber, runCallback } from "../runtime/listener";
import { sleepThread } from "../runtime/park/poll";
import { sleep } from "../runtime/wait";
import type { Define, ModulePatch } from "./patching";

declare module "timers" {
  /**
   * Waits for `ms` milliseconds: suspends the fiber; out of a fiber, the whole thread sleeps.
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
   */
  function sleepSync(ms: number): void;
}

export function sleepSync(ms: number): void {
  checkDuration(ms, "ms");
  if (canSuspend()) sleep(ms);
  else sleepThread(ms);
}

type Timer = NodeJS.Timeout & { _destroyed?: boolean; _onTimeout: AnyFunction | null };

function once(callback: AnyFunction): AnyFunction {
  return function fired(this: Timer | undefined, ...args) {
    run(callback, this, args, fired);
  };
}

/** Calls a callback; in a fiber, but for the runtime's own, and Node's. `fired` is what the timer calls in its place. */
function run(
  callback: AnyFunction,
  timer: Timer | undefined,
  args: unknown[],
  fired: AnyFunction,
  away?: (fiber: Fiber) => void,
): void {
  // So that stack traces call it what they do in plain Node, also that of an error which leaves this function: V8 looks for
  // the name when somebody reads the trace. (Not so of an Immediate, or of what fakes timers.)
  const isTimeout = timer?._onTimeout === fired;
  if (isTimeout) timer._onTimeout = callback;
  if (getsFiber(callback)) runCallback(callback, timer, args, away);
  else Reflect.apply(callback, timer, args);
  if (isTimeout && timer._onTimeout === callback) timer._onTimeout = fired;
}

/** As a callback that takes long puts off the next one: the interval begins anew when it has ended. */
function repeatedly(callback: AnyFunction): AnyFunction {
  let away = false;
  return function fired(this: Timer | undefined, ...args) {
    if (away) return;
    run(callback, this, args, fired, (fiber) => {
      away = true;
      fiber.atEnd(() => {
        away = false;
        if (!this?._destroyed) this?.refresh?.();
      });
    });
  };
}

/** Replaces a function that takes a callback first, where it is a module's and where it is global: it is the same. */
function replace(define: Define, key: "setTimeout" | "setInterval" | "setImmediate", inFiber: typeof once): void {
  const made = new Map<AnyFunction, AnyFunction>();
  for (const target of [timers, globalThis]) {
    define.replace(target, key, (original) => {
      const before = made.get(original);
      if (before) return before;
      const replaced: AnyFunction = (callback, ...rest) =>
        original(typeof callback === "function" ? inFiber(callback) : callback, ...rest);
      made.set(original, replaced);
      return replaced;
    });
  }
}

export const timersPatch: ModulePatch = {
  name: "timers",
  apply(define) {
    replace(define, "setTimeout", once);
    replace(define, "setInterval", repeatedly);
    replace(define, "setImmediate", once);
    define.add(timers, "sleepSync", sleepSync);
  },
};

// timers: sleeping; and callbacks that start in fibers, so that they may block.
import timers = require("node:timers");

import { canSuspend } from "../runtime/coroutine";
import type { AnyFunction } from "../runtime/disguise";
import { checkDuration } from "../runtime/errors";
import type { Fiber } from "../runtime/fiber";
import { runCallback, startsFiber } from "../runtime/listener";
import { isProgram } from "../runtime/program";
import { sleep } from "../runtime/wait";
import type { Define, ModulePatch } from "./patching";

declare module "timers" {
  /**
   * Waits for `ms` milliseconds: suspends the fiber; out of a fiber, the whole thread sleeps.
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
   */
  function sleepSync(ms: number): void;
}

// As it was before compat/atomics.ts made it cooperative.
const { wait } = Atomics;

function sleepSync(ms: number): void {
  checkDuration(ms, "ms");
  if (canSuspend()) sleep(ms);
  else wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Whether a callback is called in a fiber. The runtime's own timers, and Node's, are none of these. */
function needsFiber(callback: AnyFunction): boolean {
  return startsFiber() && isProgram(callback);
}

type Timer = NodeJS.Timeout & { _destroyed?: boolean; _onTimeout: AnyFunction | null };

function once(callback: AnyFunction): AnyFunction {
  return function fired(this: Timer | undefined, ...args) {
    if (needsFiber(callback)) named(this, callback, fired, () => runCallback(callback, this, args));
    else Reflect.apply(callback, this, args);
  };
}

/** Lets stack traces call a timer's callback what they call it in plain Node. */
function named(timer: Timer | undefined, callback: AnyFunction, fired: AnyFunction, run: () => void): void {
  const isTimeout = timer?._onTimeout === fired; // not so of an Immediate, or of what fakes timers
  if (isTimeout) timer._onTimeout = callback;
  try {
    run();
  } finally {
    if (isTimeout && timer._onTimeout === callback) timer._onTimeout = fired;
  }
}

/** As a callback that takes long puts off the next one: the interval begins anew when it has ended. */
function repeatedly(callback: AnyFunction): AnyFunction {
  let away = false;
  return function fired(this: Timer | undefined, ...args) {
    if (away) return;
    if (!needsFiber(callback)) return void Reflect.apply(callback, this, args);
    const goneAway = (fiber: Fiber) => {
      away = true;
      fiber.atEnd(() => {
        away = false;
        if (!this?._destroyed) this?.refresh?.();
      });
    };
    named(this, callback, fired, () => runCallback(callback, this, args, goneAway));
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

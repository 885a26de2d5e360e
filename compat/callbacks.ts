// Callbacks that Node's functions take last: they start in fibers, so that they may block.
import type { AnyFunction } from "../runtime/disguise";
import { getsFiber, runCallback } from "../runtime/listener";
import type { Define } from "./patching";

function inFiber(callback: AnyFunction): AnyFunction {
  return function (this: unknown, ...args) {
    if (!getsFiber(callback)) return Reflect.apply(callback, this, args);
    return runCallback(callback, this, args);
  };
}

/** Has the callback that `target[key]` takes last start in a fiber, if it is given one that is the program's. */
export function callBackInFiber(define: Define, target: object, key: string): void {
  define.replace(
    target,
    key,
    (original) =>
      function (this: unknown, ...args) {
        const callback = args.at(-1);
        if (typeof callback === "function") args[args.length - 1] = inFiber(callback);
        return Reflect.apply(original, this, args);
      },
  );
}

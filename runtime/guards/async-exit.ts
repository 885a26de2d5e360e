// AsyncLocalStorage#exit in a fiber, where Node keeps stores by async_hooks (up to Node 22).
//
// There it switches the whole storage off until its callback returns. While a fiber is suspended in that, all others would
// be without their stores; and one that switches it on again, by run(), would bring this one's back. To run without a store
// is the same for the callback, and for what that starts.
import { AsyncLocalStorage } from "node:async_hooks";

import { current } from "../coroutine";
import { replace } from "../disguise";

export function guardAsyncExit(): void {
  const { prototype } = AsyncLocalStorage;
  if (!("_enable" in prototype)) return;
  replace(
    prototype,
    "exit",
    (exit) =>
      function (this: AsyncLocalStorage<unknown>, ...args: unknown[]) {
        if (current === null) return Reflect.apply(exit, this, args);
        return Reflect.apply(this.run, this, [undefined, ...args]);
      },
  );
}

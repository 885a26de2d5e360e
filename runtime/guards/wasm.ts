// WebAssembly.promising (JSPI), or fibers: whichever comes first in a thread.
//
// V8 runs such an export on a stack of its own making, and during a collection visits all those stacks once for each thread
// that it knows, fibers included. A scavenge that comes by a second time takes an object's new copy for an old one, copies
// it again, and the heap is corrupt. What the embedder may call does not let it keep V8 from that.
import { forgoFibers } from "../coroutine";
import { type AnyFunction, disguise, replace } from "../disguise";
import { noPromising } from "../errors";

const { WebAssembly } = globalThis as { WebAssembly?: { promising?: unknown } }; // Node can be run without

export function guardWasm(): void {
  if (WebAssembly?.promising === undefined) return;
  replace(
    WebAssembly,
    "promising",
    (promising) =>
      function (this: unknown, ...args: unknown[]) {
        const run = Reflect.apply(promising, this, args) as AnyFunction;
        const guarded = function (this: unknown, ...values: unknown[]) {
          if (!forgoFibers("the program has called an export of WebAssembly.promising")) throw noPromising();
          return Reflect.apply(run, this, values);
        };
        return disguise(guarded, run);
      },
  );
}

// require() in a fiber.
//
// The loader itself reads files with the functions that we patch, and a module is in the cache before it has run. If
// loading could suspend, another fiber would be given the half-loaded module. Only the program's main module may: nobody
// requires that one.
import Module = require("node:module");

import { current, pinned } from "../coroutine";
import { replace } from "../disguise";

export function guardModules(): void {
  const guard = (target: object, key: string, isMain: (self: unknown, args: unknown[]) => boolean) =>
    replace(
      target,
      key,
      (load) =>
        function (this: unknown, ...args: unknown[]) {
          if (current === null || isMain(this, args)) return Reflect.apply(load, this, args);
          return pinned("inside require()", () => Reflect.apply(load, this, args));
        },
    );
  guard(Module, "_load", (_, [, , main]) => main === true);
  guard(Module.prototype, "load", (self) => (self as NodeJS.Module).id === ".");
  guard(Module, "_resolveFilename", () => false);
}

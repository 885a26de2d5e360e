// require() in a fiber.
//
// The loader itself reads files with the functions that we patch, and a module is in the cache before it has run. If
// loading could suspend, another fiber would be given the half-loaded module. Only the program's main module may, once
// its own code runs: nobody requires that one.
import Module = require("node:module");

import { type Coroutine, current, pinned } from "../coroutine";
import { replace } from "../disguise";

/** Finds and reads the main module, and has not come to its code yet. */
let loadingMain: Coroutine | null = null;

export function guardModules(): void {
  const guard = (target: object, key: string, isExempt: (self: unknown) => boolean = () => false) =>
    replace(
      target,
      key,
      (load) =>
        function (this: unknown, ...args: unknown[]) {
          if (current === null || isExempt(this)) return Reflect.apply(load, this, args);
          const before = loadingMain;
          if (key === "_load" && args[2] === true) loadingMain = current;
          try {
            return pinned("inside require()", () => Reflect.apply(load, this, args));
          } finally {
            loadingMain = before;
          }
        },
    );
  guard(Module, "_load");
  guard(Module.prototype, "load", isMain);
  guard(Module, "_resolveFilename");
  replace(
    Module.prototype,
    "_compile",
    (compile) =>
      function (this: unknown, ...args: unknown[]) {
        const run = () => Reflect.apply(compile, this, args);
        return loadingMain !== null && loadingMain === current && isMain(this) ? releaseMain(loadingMain, run) : run();
      },
  );
}

function isMain(module: unknown): boolean {
  return (module as NodeJS.Module).id === ".";
}

/** Runs the main module's code, free of what its loading was pinned by. */
function releaseMain(main: Coroutine, run: () => unknown): unknown {
  loadingMain = null;
  main.pinned--;
  try {
    return run();
  } finally {
    main.pinned++;
  }
}

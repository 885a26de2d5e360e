// require() in a fiber.
//
// A module is in the cache before it has run, so if its top-level code suspends, another fiber could be given the
// half-loaded module. Whoever requires it meanwhile waits until it is loaded; only a cycle of modules gets, as in Node,
// what there is so far, also a cycle that runs through several fibers. Functions of Node's own do not suspend in the loader
// (`canSuspend`), nor does anything in ES modules that are required (loader-stack.ts). The program's main module is none
// that anybody waits for: it may never end.
import Module = require("node:module");

import { canBlock, current } from "../coroutine";
import { replace } from "../disguise";
import { halfLoadedModule } from "../errors";
import { inLoader } from "../loader-stack";
import { endWarnings, halfLoaded, loadModule } from "../loads";
import type { FiberRecord } from "../observe/record";

const loader = Module as unknown as {
  _cache: Record<string, NodeJS.Module | undefined>;
  _resolveFilename(...args: unknown[]): string;
};

// The stack holds no coroutine while it is suspended, see coroutine.ts.
function runningRecord(): FiberRecord | null {
  return current?.record ?? null;
}

function inFiberLoader<T>(record: FiberRecord, fn: () => T): T {
  record.loading++;
  try {
    return inLoader(fn);
  } finally {
    record.loading--;
  }
}

/** Whether a module was asked for that is not `module`, though it exports the same. */
function isOther(module: NodeJS.Module, [request, parent]: unknown[]): boolean {
  try {
    const filename = loader._resolveFilename(request, parent, false);
    return Module.isBuiltin(filename) || loader._cache[filename] !== module;
  } catch {
    return false; // the program's own hooks resolve it
  }
}

function requireWhole(record: FiberRecord | null, load: () => unknown, args: unknown[]): unknown {
  for (;;) {
    const exports = record === null ? load() : inFiberLoader(record, load);
    const half = halfLoaded(exports, (module) => isOther(module, args));
    if (half === undefined || (record !== null && half.load.isHeldUpBy(record))) return exports;
    endWarnings(exports as object);
    if (record === null || !canBlock()) throw halfLoadedModule(half.module.filename, half.load.loader);
    half.load.wait(record);
  }
}

export function guardModules(): void {
  type Guard = (record: FiberRecord | null, load: () => unknown, self: unknown, args: unknown[]) => unknown;
  const guard = (target: object, key: string, around: Guard) =>
    replace(
      target,
      key,
      (load) =>
        function (this: unknown, ...args: unknown[]) {
          return around(runningRecord(), () => Reflect.apply(load, this, args), this, args);
        },
    );
  guard(Module, "_load", (record, load, _, args) => (args[2] === true ? load() : requireWhole(record, load, args)));
  guard(Module, "_resolveFilename", (record, resolve) =>
    record === null ? resolve() : inFiberLoader(record, resolve),
  );
  guard(Module.prototype, "load", (record, load, module) => {
    if (record === null || (module as NodeJS.Module).id === ".") return load();
    return loadModule(module as NodeJS.Module, record, () => inFiberLoader(record, load));
  });
}

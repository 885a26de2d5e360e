// require() in a fiber.
//
// A module is in the cache before it has run, so if its top-level code suspends, another fiber could be given the
// half-loaded module. Whoever requires it meanwhile waits until it is loaded; only a cycle of modules gets, as in Node,
// what there is so far, also a cycle that runs through several fibers. Functions of Node's own do not suspend in the loader
// (`canSuspend`), nor does anything in ES modules that are required, or in CommonJS that ES modules import (loader-stack.ts).
// The program's main module is none that anybody waits for: it may never end.
import Module = require("node:module");

import { noticeLoads } from "../builtins";
import { canBlock, current } from "../coroutine";
import { replace } from "../disguise";
import { halfLoadedModule } from "../errors";
import { loadMain } from "../loader-stack";
import { beginLoad, endLoad, endWarnings, halfLoaded, type Load } from "../loads";
import type { FiberRecord } from "../observe/record";
import { guardTransactions } from "./sqlite";

const loader = Module as unknown as {
  _cache: Record<string, NodeJS.Module | undefined>;
  _resolveFilename(...args: unknown[]): string;
};

// The stack holds no coroutine while it is suspended, see coroutine.ts.
function runningRecord(): FiberRecord | null {
  return current?.record ?? null;
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

/**
 * What to wait for, before it is asked for once more, if `exports` are those of a module that another fiber is loading.
 * @throws ERR_HALF_LOADED_MODULE where waiting is not possible
 */
function loadToAwait(record: FiberRecord | null, exports: unknown, args: unknown[]): Load | undefined {
  const half = halfLoaded(exports, (module) => isOther(module, args));
  if (half === undefined || (record !== null && half.load.isHeldUpBy(record))) return undefined;
  endWarnings(exports as object);
  if (record === null || !canBlock()) throw halfLoadedModule(half.module.filename, half.load.loader);
  return half.load;
}

// One frame for each of Node's own, so that stack traces, which are cut off, show as much of the program as may be.
export function guardModules(): void {
  replace(
    Module,
    "_load",
    (original) =>
      function (this: unknown, ...args: unknown[]) {
        if (args[2] === true) return loadMain(original, this, args);
        const record = runningRecord();
        for (;;) {
          let exports: unknown;
          if (record !== null) record.loading++;
          try {
            exports = Reflect.apply(original, this, args);
          } finally {
            if (record !== null) record.loading--;
          }
          noticeLoads();
          const awaited = loadToAwait(record, exports, args);
          if (awaited === undefined) return exports;
          awaited.wait(record as FiberRecord);
        }
      },
  );
  replace(
    Module,
    "_resolveFilename",
    (resolve) =>
      function (this: unknown, ...args: unknown[]) {
        const record = runningRecord();
        if (record !== null) record.loading++;
        try {
          return Reflect.apply(resolve, this, args);
        } finally {
          if (record !== null) record.loading--;
        }
      },
  );
  replace(
    Module.prototype,
    "load",
    (original) =>
      function (this: NodeJS.Module, ...args: unknown[]) {
        if (this.id === ".") return loadMain(original, this, args);
        const record = runningRecord();
        const own = record && beginLoad(this, record);
        try {
          Reflect.apply(original, this, args);
          guardTransactions(this);
        } finally {
          if (own !== null) endLoad(this, own);
        }
      },
  );
}

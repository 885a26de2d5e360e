// require("fibers") and import "fibers", in programs and libraries that were written for that package, get ours.
//
// The rule: ours takes the place of a package that is not there, and of the original, which works on no Node that has this
// package. Whatever else goes by that name (another implementation under an alias, a stub of the program's own) stays; and so
// does the original, should it ever work again, once it is loaded.
import Module = require("node:module");
import path = require("node:path");

import { fileURLToPath, pathToFileURL } from "node:url";

import type { AnyFunction } from "../../runtime/disguise";
import type { ModulePatch } from "../patching";

import Fiber = require("./fiber");

/** What programs ask for, and the file of ours. */
const entries: Record<string, string> = {
  fibers: "fibers.js",
  "fibers/fibers": "fibers.js",
  "fibers/fibers.js": "fibers.js",
  "fibers/future": "future.js",
  "fibers/future.js": "future.js",
};

/** Names of the packages that ours replaces: the original, and what leads to ours anyway (the folder alias). */
const replaced: unknown[] = ["fibers", "runtime-fibers"];

/** Where the original leaves itself for other copies of it, of any version, that are loaded later. */
const place = process as { fiberLib?: unknown };

export const fibersPatch: ModulePatch = {
  name: "fibers",
  apply(define) {
    // So the original itself hands out ours: also where no hook sees how it is loaded, as in a graph of ES modules that was
    // linked before it was patched.
    define.add(place, "fiberLib", Fiber as unknown as AnyFunction);
    define.replace(
      Module,
      "_resolveFilename",
      (original) =>
        function (this: unknown, ...args: unknown[]) {
          const resolve = () => Reflect.apply(original, this, args) as string;
          const own = ownFile(args[0]);
          return own === undefined || isForeign(resolve) ? resolve() : own;
        },
    );
    hookImports();
  },
};

/** The file of ours for what a program asks for; undefined if there is none, or none of ours is wanted now. */
function ownFile(request: unknown): string | undefined {
  if (typeof request !== "string" || !Object.hasOwn(entries, request) || place.fiberLib !== Fiber) return undefined;
  return path.join(__dirname, entries[request] as string);
}

/** Whether there is something by that name that is to stay. */
function isForeign(resolve: () => string): boolean {
  let filename: string;
  try {
    filename = resolve();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== "MODULE_NOT_FOUND" && code !== "ERR_MODULE_NOT_FOUND";
  }
  try {
    return !replaced.includes(require(path.join(path.dirname(filename), "package.json")).name);
  } catch {
    return true;
  }
}

interface Resolved {
  url: string;
  format?: string;
  shortCircuit?: boolean;
}
type Resolve = (specifier: string, context: unknown) => Resolved;

let hooked = false;

/** From Node 22.15 on, ES modules are resolved by hooks in this thread. They stay when the patch is undone, idle. */
function hookImports(): void {
  const { registerHooks } = Module as { registerHooks?: (hooks: object) => void };
  if (hooked || registerHooks === undefined) return;
  hooked = true;
  registerHooks({
    resolve(specifier: string, context: unknown, next: Resolve): Resolved {
      const own = ownFile(specifier);
      if (own === undefined || isForeign(() => fileURLToPath(next(specifier, context).url)))
        return next(specifier, context);
      return { url: pathToFileURL(own).href, format: "commonjs", shortCircuit: true };
    },
  });
}

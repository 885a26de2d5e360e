// require("fibers"), in a program that was written for that package, gets ours.
//
// The rule: ours takes the place of a package that is not there, and of the original, which works on no Node that has this
// package. Whatever else goes by that name (another implementation under an alias, a stub of the program's own) stays; and so
// does the original once it is loaded, should it ever work again.
import Module = require("node:module");
import path = require("node:path");

import type { AnyFunction } from "../../runtime/disguise";
import type { ModulePatch } from "../patching";

import Fiber = require("./fiber");

/** What programs require, and where it is in our package. */
const entries: Record<string, string> = {
  fibers: "fibers.js",
  "fibers/fibers": "fibers.js",
  "fibers/fibers.js": "fibers.js",
  "fibers/future": "future.js",
  "fibers/future.js": "future.js",
};

/** The original, and what stands in for it where there is an alias: compat/fibers/alias. */
const replaced = ["fibers", "runtime-fibers"];

function packageOf(filename: string): string | undefined {
  try {
    return (require(path.join(path.dirname(filename), "package.json")) as { name?: string }).name;
  } catch {
    return undefined;
  }
}

function resolveOriginal(resolve: () => string): string | undefined {
  try {
    return resolve();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
    return undefined;
  }
}

export const fibersPatch: ModulePatch = {
  name: "fibers",
  apply(define) {
    // All versions of the original hand out what is here: also where no hook of ours sees how it is loaded, as in a graph of
    // ES modules that is linked before the patch.
    define.add(process, "fiberLib", Fiber as unknown as AnyFunction);
    define.replace(
      Module,
      "_resolveFilename",
      (original) =>
        function (this: unknown, ...args: unknown[]) {
          const entry = typeof args[0] === "string" && Object.hasOwn(entries, args[0]) ? entries[args[0]] : undefined;
          const resolve = () => Reflect.apply(original, this, args) as string;
          if (entry === undefined || (process as { fiberLib?: unknown }).fiberLib !== Fiber) return resolve();
          const filename = resolveOriginal(resolve);
          if (filename !== undefined && !replaced.includes(packageOf(filename) as string)) return filename;
          return path.join(__dirname, entry);
        },
    );
  },
};

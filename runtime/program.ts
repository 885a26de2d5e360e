// Which functions are the program's: not Node's own, not V8's, not the runtime's.
import { types } from "node:util";

import { type Addon, loadAddon } from "./switch";

/** What is known of scripts, by the addon's numbers for them; and of functions of theirs that are bound. */
const scripts: (boolean | undefined)[] = [];
const boundScripts: (boolean | undefined)[] = [];

/** Of Node's, these make functions that call one of the program's: AsyncResource.bind, util.deprecate, and their like. */
const wrappers = ["node:async_hooks", "node:internal/async_local_storage/", "node:internal/util"];

/** Whether calling `fn` may run the program's code. Only where there is an addon. */
export function isProgram(fn: unknown): boolean {
  const addon = loadAddon();
  const script = addon.scriptOf(fn);
  if (script === 0) return types.isProxy(fn);
  return script > 0
    ? (scripts[script] ??= classify(addon, fn, false))
    : (boundScripts[-script] ??= classify(addon, fn, true));
}

/**
 * Node's own streams once more, as a package: its listeners count on each other as those do. What is under our pools of
 * threads. And of undici what makes promises of a response's body: two listeners for each, which call nobody.
 */
const libraries = /[\\/]node_modules[\\/](readable-stream[\\/]|piscina[\\/]|undici[\\/]lib[\\/]api[\\/]readable\.js$)/;

function classify(addon: Addon, fn: unknown, bound: boolean): boolean {
  const script = addon.scriptName(fn);
  if (script === __filename) return bound; // by the program: `queue.put.bind(queue)`, or our `runInAsyncScope`
  if (!script?.startsWith("node:")) return script === undefined || !libraries.test(script);
  return wrappers.some((wrapper) => (wrapper.endsWith("/") ? script.startsWith(wrapper) : script === wrapper));
}

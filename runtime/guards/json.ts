// JSON.stringify on V8 12 (Node 22), and what Node itself makes JSON by.
//
// There the serializer puts itself onto a per-isolate list that must be left in the reverse order: two fibers that
// suspend in it (in a getter, a toJSON, a replacer) and come back in another order abort the process. Later and
// earlier versions keep no such list.
import Module = require("node:module");
import util = require("node:util");

import { inOneGo } from "../coroutine";
import { type AnyFunction, replace } from "../disguise";

export function guardJson(): void {
  if (!process.versions.v8.startsWith("12.")) return;
  replace(JSON, "stringify", (stringify) => inOneGo(stringify, why));
  replace(process, "send", (send) => inOneGo(send, why));
  replace(util, "format", (format) => inOneGoIfJson(format, 0));
  replace(util, "formatWithOptions", (format) => inOneGoIfJson(format, 1));
  Module.syncBuiltinESMExports();
  for (const name of ["log", "info", "debug", "warn", "error", "trace", "group", "groupCollapsed"]) {
    replace(console, name, (print) => inOneGoIfJson(print, 0));
  }
}

const why = "inside JSON.stringify, on this version of V8";

/** Of functions that take a format: only %j makes JSON. */
function inOneGoIfJson(print: AnyFunction, formatAt: number): AnyFunction {
  const printJson = inOneGo(print, why);
  return function (this: unknown, ...args: unknown[]) {
    const format = args[formatAt];
    return Reflect.apply(typeof format === "string" && format.includes("%j") ? printJson : print, this, args);
  };
}

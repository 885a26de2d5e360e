// fs.watch: on Linux it goes through the directories by itself when it is to watch them all, and reads them by functions that
// may suspend a fiber. It tells its own listener of what happens meanwhile, which does not expect that before the call is over.
import Module = require("node:module");

import { beforeFirstFiber, inOneGo } from "../coroutine";
import { replace } from "../disguise";

export function guardWatch(): void {
  beforeFirstFiber(() => {
    const fs = require("node:fs") as typeof import("node:fs");
    replace(fs, "watch", (watch) => inOneGo(watch, "inside fs.watch"));
    Module.syncBuiltinESMExports();
  });
}

// The public API: import { spawn } from "runtime".
import { installGuards } from "../runtime/guards";

installGuards();

export { isPatched, original, type PatchOptions, patch, unpatch } from "../compat";
export { FiberExit } from "../runtime/errors";
export { configure, Fiber, type FiberOptions, spawn, spawnLater, wrap } from "../runtime/fiber";
export { type Info, info } from "../runtime/info";
export { runMain } from "../runtime/main-fiber";
export { Timeout, withTimeout } from "../runtime/sync/timeout";
export { sleep, wait } from "../runtime/wait";

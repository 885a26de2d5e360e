// The public API: import { spawn } from "runtime".
import { installGuards } from "../runtime/guards";

installGuards();

export { isPatched, original, type PatchOptions, patch, unpatch } from "../compat";
export { FiberExit } from "../runtime/errors";
export { configure, Fiber, type FiberOptions, spawn, spawnLater, wrap } from "../runtime/fiber";
export { type Info, info } from "../runtime/info";
export { runMain } from "../runtime/main-fiber";
export { type FiberInfo, fibers } from "../runtime/observe/fibers";
export { type Hog, type Monitor, type MonitorOptions, monitor } from "../runtime/observe/monitor";
export { runInfo } from "../runtime/observe/run-info";
export { type Stats, stats } from "../runtime/observe/stats";
export { Timeout, withTimeout } from "../runtime/sync/timeout";
export { sleep, wait } from "../runtime/wait";

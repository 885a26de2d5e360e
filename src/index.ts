// The public API: import { spawn } from "runtime".
import { installGuards } from "../runtime/guards";

installGuards();

export { isPatched, original, type PatchOptions, patch, unpatch } from "../compat";
export { asAsync } from "../runtime/as-async";
export { type Blocking, type BlockingOptions, blocking } from "../runtime/blocking";
export { configure, type Settings } from "../runtime/configure";
export { AbortError, Empty, FiberExit, Full, ShutDown } from "../runtime/errors";
export { Fiber, type FiberOptions, type KillOptions, spawn, spawnLater } from "../runtime/fiber";
export { type Info, info } from "../runtime/info";
export type { Limit, LimitOptions } from "../runtime/limit";
export { wrap } from "../runtime/listener";
export { runMain } from "../runtime/main-fiber";
export { type FiberInfo, fibers } from "../runtime/observe/fibers";
export { type Hog, type Monitor, type MonitorOptions, monitor } from "../runtime/observe/monitor";
export { runInfo } from "../runtime/observe/run-info";
export { type Stats, stats } from "../runtime/observe/stats";
export { AsyncResult, type Outcome } from "../runtime/sync/async-result";
export { Condition } from "../runtime/sync/condition";
export { Event } from "../runtime/sync/event";
export { Group, type GroupJoinOptions, type MapOptions } from "../runtime/sync/group";
export { FiberLocal } from "../runtime/sync/local";
export { Pool } from "../runtime/sync/pool";
export { Channel, JoinableQueue, LifoQueue, PriorityQueue, Queue } from "../runtime/sync/queue";
export { RLock } from "../runtime/sync/rlock";
export { BoundedSemaphore, type Lockable, Semaphore } from "../runtime/sync/semaphore";
export { type Awaitable, iwait, joinAll, killAll, type WaitOptions, waitAll } from "../runtime/sync/several";
export { Timeout, withTimeout } from "../runtime/sync/timeout";
export type { Link, Waitable } from "../runtime/sync/waitable";
export { idle, sleep, wait } from "../runtime/wait";
export { offload } from "../runtime/workers/offload/offload";
export type { TaskOptions } from "../runtime/workers/offload/task";
export { ThreadPool, type ThreadPoolOptions } from "../runtime/workers/offload/thread-pool";
export { type Threaded, threaded } from "../runtime/workers/threaded/threaded";
/** @internal */
export * from "./internal";
export { type AppServer, serve } from "./server";
export type { Answer, App, Body } from "./server/app";
export type { ServeOptions } from "./server/options";
export type { UpgradeHandler } from "./server/upgrade";

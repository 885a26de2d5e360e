// offload(): one piece of work for another thread.
import type { TaskFunction, TaskOptions } from "./task";
import { ThreadPool } from "./thread-pool";

/**
 * Has a worker thread call a function, and suspends the running fiber until it has the outcome: for code that computes, or
 * blocks in a native call. `ThreadPool.shared` has the threads, as many as there are processors; what a task can be, how
 * values and errors travel, and what happens when the fiber is killed: see `ThreadPool`.
 *
 * @param fn a self-contained function; and its arguments
 * @returns what it returns, or what its promise brings
 * @throws what it throws; see `ThreadPool#apply`. ERR_NOT_IN_FIBER out of a fiber: to sleep there while another thread
 *   computes would be no better than to compute; in async code, `await ThreadPool.shared.spawn(…)`
 * @example const digest = offload((bytes) => require("node:crypto").createHash("sha512").update(bytes).digest("hex"), bytes);
 */
// biome-ignore lint/suspicious/noExplicitAny: any function
export function offload<T, A extends any[]>(fn: TaskFunction<A, T>, ...args: A): Awaited<T>;
/**
 * The same for a function that a module exports.
 * @param module a URL, or an absolute path: `new URL("./scale.js", import.meta.url)`, `path.join(__dirname, "scale.js")`
 * @param options.name which export; default "default" (`module.exports` itself)
 * @param options.signal ends the task, and the call with an AbortError
 * @param options.transfer what of the arguments is moved instead of copied
 * @param options.onProgress gets what the task passes to `progress` of "runtime/task"
 * @example offload(new URL("./scale.js", import.meta.url), [image], { name: "half", transfer: [image.buffer] });
 */
// biome-ignore lint/suspicious/noExplicitAny: what a module's function returns
export function offload<T = any>(module: URL | string, args?: readonly unknown[], options?: TaskOptions): T;
// biome-ignore lint/suspicious/noExplicitAny: either
export function offload(...call: [any, ...any[]]): any {
  return ThreadPool.shared.apply(...call);
}

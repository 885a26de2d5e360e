// What a task can say to whoever waits for it: the entry point "runtime/task". A bundle of its own, for nothing else of the
// package is needed in a thread; so the thread's own code (thread.ts) is found by way of the global object.

/** @internal What the thread offers to the task that it runs. */
export interface Inside {
  report(value: unknown): void;
  transfer(value: object, list: readonly unknown[]): void;
}

/** @internal */
export const INSIDE: unique symbol = Symbol.for("runtime.task") as never;

const inside = () => (globalThis as { [INSIDE]?: Inside })[INSIDE];

/**
 * Reports something to the `onProgress` of whoever has offloaded the task that runs in this thread. If nobody has, it does
 * nothing: the function can be called directly, too.
 * A function that is sent as text gets it by `require("runtime/task")`.
 * @throws DataCloneError if `value` cannot be sent
 * @example for (const [i, row] of rows.entries()) { convert(row); progress(i / rows.length); }
 */
export function progress(value: unknown): void {
  inside()?.report(value);
}

/**
 * Says of a result that the task returns what of it is to be moved instead of copied: it is gone in this thread then.
 * @returns `value`
 * @example return transfer(pixels, [pixels.buffer]);
 */
export function transfer<T extends object>(value: T, list: readonly unknown[]): T {
  inside()?.transfer(value, list);
  return value;
}

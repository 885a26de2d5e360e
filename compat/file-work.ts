// What the addon does for files beside looking into the page cache (cached-files.ts): work on whole files in one trip to
// the pool.
import { isBuiltin } from "node:module";
import { blockLikeNode as block, type Waiter } from "../runtime/block";
import { type Addon, addonOrNull, type FileJob, type FileWork } from "../runtime/switch";

// Node's file systems of its own are for Node's own functions: neither their paths nor their descriptors are the system's.
const virtual = isBuiltin("node:vfs");

let addon: Addon | null | undefined;
let work: FileWork | undefined;

/** The addon; null where there is none, and where it is for Node's own functions to say what a descriptor is. */
export function theAddon(): Addon | null {
  if (addon === undefined) addon = virtual ? null : addonOrNull();
  return addon;
}

/** The addon; null under Node's permission model, where it is for Node's own functions to say what may be touched. */
export function addonForPaths(): Addon | null {
  return (process as { permission?: unknown }).permission === undefined ? theAddon() : null;
}

function theWork(from: Addon): FileWork {
  work ??= from.fileWork((id, error, result) => {
    const waiter = jobs.get(id);
    jobs.delete(id);
    waiter?.callback(error, result);
  });
  return work;
}

const jobs = new Map<number, Waiter>();

/**
 * Has the pool do a job, and waits for it; see `FileWork.start`. Undefined if Node's own functions have to do it, or to
 * tell what is wrong with it; null if they have to because it is no plain file.
 */
export function inPool<T>(
  kind: FileJob,
  path: string | Uint8Array,
  { data = "" as string | NodeJS.ArrayBufferView, flags = 0, mode = 0, asUtf8 = false } = {},
): T | null | undefined {
  const from = process.platform === "win32" ? null : addonForPaths();
  if (from === null) return undefined;
  return block<T | null | undefined>((waiter) => {
    const { start, cancel } = theWork(from);
    const id = start(kind, path, data, flags, mode, asUtf8);
    if (id === 0) return waiter.resolve(undefined);
    jobs.set(id, waiter as Waiter);
    return () => {
      jobs.delete(id);
      cancel(id);
    };
  });
}

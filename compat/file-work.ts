// What the addon does for files beside looking into the page cache (cached-files.ts): work on whole files in one trip to
// the pool, and reading and writing pipes, terminals and sockets, which nobody knows how long to wait for. The event loop
// tells when they are ready; a thread of the pool that waited in a read could do nothing else.
import { isBuiltin } from "node:module";
import { blockLikeNode as block, type Waiter } from "../runtime/block";
import { type Addon, type FileJob, type FileWork, loadAddon } from "../runtime/switch";

// Node's file systems of its own are for Node's own functions: neither their paths nor their descriptors are the system's.
const virtual = isBuiltin("node:vfs");

let addon: Addon | null | undefined;
let work: FileWork | undefined;

function theAddon(): Addon | null {
  if (addon === undefined) addon = virtual ? null : loadAddon();
  return addon;
}

/** The addon; null under Node's permission model, where it is for Node's own functions to say what may be touched. */
export function addonForPaths(): Addon | null {
  return (process as { permission?: unknown }).permission === undefined ? theAddon() : null;
}

function theWork(from: Addon): FileWork {
  work ??= from.fileWork(
    (id, error, result) => {
      const waiter = jobs.get(id);
      jobs.delete(id);
      waiter?.callback(error, result);
    },
    (watch) => watches.get(watch)?.waiter?.resolve(),
  );
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

interface Watch {
  readonly fd: number;
  waiter: Waiter<void> | null;
  closed: boolean;
}

const watches = new Map<number, Watch>();

/** Waits, again and again, until the descriptor is ready and `attempt` comes to something. Undefined if nobody can tell. */
function whenReady<T>(from: Addon, fd: number, writing: boolean, attempt: (fd: number) => T | null): T | undefined {
  const { watch: begin, unwatch } = theWork(from);
  const own = begin(fd, writing);
  if (own < 0) return undefined;
  const watch: Watch = { fd, waiter: null, closed: false };
  watches.set(own, watch);
  try {
    for (;;) {
      block<void>((waiter) => {
        watch.waiter = waiter;
      });
      const result = attempt(watch.closed ? -1 : own); // which is no descriptor, and the system says so
      if (result !== null) return result;
    }
  } finally {
    watches.delete(own);
    unwatch(own);
  }
}

/** A descriptor is about to be closed: who waits for it is told that it is none any more. */
export function forget(fd: unknown): void {
  for (const watch of watches.values()) {
    if (watch.fd !== fd) continue;
    watch.closed = true;
    watch.waiter?.resolveLater();
  }
}

/**
 * Reads from a pipe, terminal, socket or the like into `parts`, or writes to it from them: waits until some can be, and
 * returns how many bytes that was. Undefined for other kinds of descriptors. Throws as `readSync` and `writeSync` do.
 */
export function transfer(
  fd: unknown,
  parts: readonly NodeJS.ArrayBufferView[],
  writing: boolean,
): number | null | undefined {
  if (!Number.isInteger(fd) || (fd as number) < 0 || (fd as number) > 2 ** 31 - 1) return undefined;
  if (!parts.some(({ byteLength }) => byteLength > 0)) return undefined;
  const from = theAddon();
  const count = from?.transfer(fd as number, parts, writing);
  if (count !== null || !from) return count;
  return whenReady(from, fd as number, writing, (own) => from.transfer(own, parts, writing));
}

/**
 * Waits until a fifo that was opened for reading has something to read, or had a writer: before that it looks like one that
 * is at its end.
 */
export function writerOf(fd: number): void {
  const from = theAddon();
  if (from !== null) whenReady(from, fd, false, () => true);
}

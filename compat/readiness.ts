// Pipes, terminals and sockets, which nobody knows how long to wait for. The event loop tells when they are ready; a thread
// of its pool that waited in a read could do nothing else.
import { blockLikeNode as block, type Waiter } from "../runtime/block";
import type { Addon, Readiness } from "../runtime/switch";
import { theAddon } from "./file-work";

/** What to do when a descriptor is ready, and whether its other end has hung up then. */
const readers: (((hungUp: boolean) => void) | undefined)[] = []; // by descriptor
const found = new Int32Array(64);
let readiness: Readiness | undefined;

function readinessOf(addon: Addon): Readiness {
  readiness ??= addon.readiness((count) => {
    const all = found.slice(0, count);
    for (const one of all) readers[one < 0 ? -1 - one : one]?.(one < 0);
  }, found);
  return readiness;
}

/** Calls `more` each time that more has come to a socket, until `disregard`. False if that cannot be told. */
export function attend(addon: Addon, fd: number, more: (hungUp: boolean) => void): boolean {
  if (readinessOf(addon).attend(fd) !== 0) return false;
  readers[fd] = more;
  return true;
}

/** Takes that back; nothing if the descriptor is somebody else's by now, since the socket was closed. */
export function disregard(addon: Addon, fd: number, more: (hungUp: boolean) => void): void {
  if (readers[fd] !== more) return;
  readers[fd] = undefined;
  readinessOf(addon).disregard(fd);
}

const watches = new Map<number, Watch>();

interface Watch {
  readonly fd: number;
  waiter: Waiter<void> | null;
  closed: boolean;
}

/** Waits, again and again, until the descriptor is ready and `attempt` comes to something. Undefined if nobody can tell. */
function whenReady<T>(from: Addon, fd: number, writing: boolean, attempt: (fd: number) => T | null): T | undefined {
  const { watch: begin, unwatch } = readinessOf(from);
  const own = begin(fd, writing);
  if (own < 0) return undefined;
  const watch: Watch = { fd, waiter: null, closed: false };
  watches.set(own, watch);
  readers[own] = () => watch.waiter?.resolve();
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
    readers[own] = undefined;
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

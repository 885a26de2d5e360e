// Chooses how stacks are switched, once a thread, and opens the addon that does it.
import path = require("node:path");

import { outOfRange } from "./errors";

export type SwitchName = "swap" | "handoff" | "none";

/** What the addon offers once it is open; see native/binding.cc. Nothing checks its arguments but its callers here. */
export interface Stacks {
  /** A stack with at least so many bytes for JavaScript, ready for its first `resume`. Throws when there is no room. */
  acquire(stackSize: number): number;
  /** Continues a stack from wherever this is called, until it suspends or ends. */
  resume(stack: number): void;
  /** Leaves the running stack for the one that resumed it. */
  suspend(): void;
  /** The same, where nothing that this stack holds is needed any more. */
  rest(): void;
  /** Whether enough of the running stack is left for an operation of Node's to begin. */
  hasRoom(): boolean;
  /** How many stacks there are, and how many of them lie cold: not in V8, nothing on them. */
  counts(): [created: number, cold: number];
  /** 0 pending, 1 fulfilled, 2 rejected; the outcome is put into `outcome[0]`. */
  inspect(promise: Promise<unknown>, outcome: unknown[]): 0 | 1 | 2;
  /** Calls `fn`, which must not suspend, while no stack of the process comes or goes. */
  holdingContexts(fn: () => unknown): unknown;
  /** Sets what is called before a stack is left, once steps are expected. */
  landSteps(landing: () => void): void;
}

/** What the addon exports; see native/binding.cc. */
export interface Addon {
  forbidFastCalls(): void;
  /** A debugger may tell any of the process's threads to step, from now on. */
  expectSteps(): void;
  /**
   * Every stack calls `main`, until it returns. `failed` gets what it throws, before it is called again, and tells whether
   * that goes uncaught.
   */
  open(name: "swap" | "handoff", main: () => void, failed: (error: unknown) => boolean): Stacks;
  /** Watches this thread, in place of a watch before. */
  monitor(
    threshold: number,
    records: readonly unknown[],
    own: string,
    report: ((name: string | null, id: number | null, duration: number, stack: string) => void) | undefined,
  ): void;
  unmonitor(): void;
  /**
   * Puts a file's contents into `bytes` and returns their length, or what they are as text; undefined if they are not to be
   * had without waiting for a disk or a network, or are not less than what `bytes` holds.
   */
  readCached(path: string | Uint8Array, bytes: Uint8Array, asUtf8: boolean): number | string | undefined;
  /** Whether there is such a path: 1, 0, or -1 if only a disk could tell. */
  existsCached(path: string | Uint8Array): 1 | 0 | -1;
  /**
   * Reads from a regular file, at its current position if that is -1: how many bytes up to `length` or the end; -1 - n if
   * only n were to be had without waiting.
   */
  readNow(fd: number, bytes: NodeJS.ArrayBufferView, offset: number, length: number, position: number): number;
  /** The number of the script with a function's code, negative if it is a bound function; 0 if it has no such code. */
  scriptOf(fn: unknown): number;
  /** The name of that script, if it has one. */
  scriptName(fn: unknown): string | undefined;
  /**
   * Reads from a pipe, terminal, socket or the like, or writes to it, as much as can be done at once: how many bytes; null
   * if that is nothing yet. Undefined for other kinds of files, and where the system knows no way but to wait. Throws as
   * `readSync` and `writeSync` do.
   */
  transfer(fd: number, parts: readonly NodeJS.ArrayBufferView[], writing: boolean): number | null | undefined;
  /**
   * What has come to a socket: how many bytes of it are in `pool`, from `used` on; a Buffer of its own where they are more
   * than fit there, and no more than fit into `room` besides. 0 at its end; or an error's negative number, EAGAIN's if none.
   */
  receive(fd: number, pool: Buffer, used: number, room: Buffer): Buffer | number;
  /** Gives bytes to a socket: how many it has taken, or an error's negative number. */
  send(fd: number, bytes: Uint8Array): number;
  /**
   * Takes one datagram out of a socket, for which the thread sleeps no longer than `ms` milliseconds.
   * @param room where its bytes go
   * @param sender where the address and the port go that it came from
   * @returns how many bytes, or an error's negative number, EAGAIN's if there is none
   */
  receiveFrom(fd: number, room: Uint8Array, sender: [address: string, port: number], ms: number): number;
  /**
   * Gives a socket one datagram: how many bytes it has taken, or an error's negative number.
   * @param ip where it is to go, undefined if the socket is connected
   */
  sendTo(fd: number, bytes: NodeJS.ArrayBufferView, ip: string | undefined, port: number, isIPv6: boolean): number;
  /**
   * Has a listening TCP socket, in whichever processes it is, hear of no further handshakes; who begins one tries again by
   * and by. 0, or an error's negative number; undefined where there is no way.
   */
  deafen(fd: number): number | undefined;
  /**
   * Begins work on files for this thread.
   * @param done a job has ended. An error, or the result; undefined if the job is for Node's own functions to do,
   * null if that is because it is no plain file.
   */
  fileWork(done: (id: number, error: Error | undefined, result: unknown) => void): FileWork;
  /**
   * Begins to tell what is ready to this thread.
   * @param ready so many descriptors are
   * @param found where their numbers are then; that of one whose other end has hung up as -1 - number
   */
  readiness(ready: (count: number) => void, found: Int32Array): Readiness;
}

/** What a thread of the pool does in one go; see native/file_jobs.h. */
export const enum FileJob {
  Read,
  Write,
  MakeDirectories,
  Remove,
  Copy,
}

export interface FileWork {
  /**
   * Has a thread of the pool do a job.
   * @param data what to write, or where to copy to
   * @param flags to open the file with; 1 to remove or copy all that is below
   * @returns its id; 0 if the thread's environment ends, and it is not begun
   */
  start(
    kind: FileJob,
    path: string | Uint8Array,
    data: string | NodeJS.ArrayBufferView,
    flags: number,
    mode: number,
    asUtf8: boolean,
  ): number;
  /** Nobody waits for the job any more. */
  cancel(id: number): void;
}

export interface Readiness {
  /**
   * Tells when a descriptor can be read from, or written to, as often as it is.
   * @returns another descriptor for the same open file, until `unwatch`; or an error's negative number if it cannot be told
   */
  watch(fd: number, writing: boolean): number;
  unwatch(watch: number): void;
  /** Tells each time that more has come to a socket, until `disregard` or until it is closed. 0, or an error's negative number. */
  attend(fd: number): number;
  disregard(fd: number): void;
}

export interface Switch {
  readonly name: SwitchName;
  /** Why it is this one, where it is not the best one: in a sentence's middle, or empty. */
  readonly reason: string;
  readonly stacks: Stacks | null;
}

const names: readonly string[] = ["swap", "handoff", "none"];

function describe(error: unknown): string {
  return error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
}

/** Why `loadAddon` has failed. */
function whyNotLoaded(error: unknown): string {
  const missing = (error as { code?: unknown } | null)?.code === "MODULE_NOT_FOUND";
  const where = `Node ${process.version} on ${process.platform}-${process.arch}`;
  const why = missing ? `there is none for ${where}; \`npm rebuild\`, with this Node, builds it` : describe(error);
  return `the addon could not be loaded (${why})`;
}

const forced = process.env.RUNTIME_SWITCH || undefined;
if (forced !== undefined && !names.includes(forced)) {
  throw outOfRange("RUNTIME_SWITCH", `one of ${names.join(", ")}`, forced);
}

let loaded: Addon | undefined;
/** Whether that is under way. */
export let loadsAddon = false;

/** Loads the addon. Throws where there is none, or where RUNTIME_SWITCH tells to do without. */
export function loadAddon(): Addon {
  if (forced === "none") throw new Error("RUNTIME_SWITCH=none");
  if (loaded !== undefined) return loaded;
  loadsAddon = true;
  try {
    const name = `node.abi${process.versions.modules}.node`; // as scripts/addon.mjs has put it there
    loaded = require(path.join(__dirname, "..", "prebuilds", `${process.platform}-${process.arch}`, name)) as Addon;
  } finally {
    loadsAddon = false;
  }
  return loaded;
}

/** The same; null where there is none, or RUNTIME_SWITCH tells to do without. */
export function addonOrNull(): Addon | null {
  try {
    return loadAddon();
  } catch (error) {
    if (error instanceof RangeError) throw error; // a stack overflow says nothing of this machine
    return null;
  }
}

/**
 * Opens the best switch that works here, or the one that RUNTIME_SWITCH forces.
 * @param main what every new stack runs; see `Addon.open`
 */
export function openSwitch(main: () => void, failed: (error: unknown) => boolean): Switch {
  if (forced === "none") return { name: "none", reason: "RUNTIME_SWITCH=none", stacks: null };
  let addon: Addon;
  try {
    addon = loadAddon();
  } catch (error) {
    if (forced || error instanceof RangeError) throw error; // a stack overflow says nothing of this machine
    return { name: "none", reason: whyNotLoaded(error), stacks: null };
  }
  if (forced === "handoff")
    return { name: "handoff", reason: "RUNTIME_SWITCH=handoff", stacks: addon.open("handoff", main, failed) };
  try {
    return { name: "swap", reason: forced ? "RUNTIME_SWITCH=swap" : "", stacks: addon.open("swap", main, failed) };
  } catch (error) {
    if (forced || error instanceof RangeError) throw error;
    const reason = `swap does not work here: ${describe(error)}`;
    try {
      return { name: "handoff", reason, stacks: addon.open("handoff", main, failed) };
    } catch (second) {
      return { name: "none", reason: `${reason}; nor does handoff: ${describe(second)}`, stacks: null };
    }
  }
}

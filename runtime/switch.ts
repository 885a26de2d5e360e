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
  /** Calls `fn`, which must not suspend, while libc sees only threads that have a kernel thread. */
  withoutContexts(fn: () => unknown): unknown;
}

/** What the addon exports; see native/binding.cc. */
export interface Addon {
  open(name: "swap" | "handoff", main: () => void): Stacks;
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

const forced = process.env.RUNTIME_SWITCH || undefined;
if (forced !== undefined && !names.includes(forced)) {
  throw outOfRange("RUNTIME_SWITCH", `one of ${names.join(", ")}`, forced);
}

let loaded: Addon | undefined;

/**
 * Loads the addon; once, as finding it reads directories, for which a fiber would wait. Throws where there is none, or
 * where RUNTIME_SWITCH tells to do without.
 */
export function loadAddon(): Addon {
  if (forced === "none") throw new Error("RUNTIME_SWITCH=none");
  loaded ??= require("node-gyp-build")(path.join(__dirname, "..")) as Addon;
  return loaded;
}

/**
 * Opens the best switch that works here, or the one that RUNTIME_SWITCH forces.
 * @param main what every new stack runs
 */
export function openSwitch(main: () => void): Switch {
  if (forced === "none") return { name: "none", reason: "RUNTIME_SWITCH=none", stacks: null };
  let addon: Addon;
  try {
    addon = loadAddon();
  } catch (error) {
    if (forced || error instanceof RangeError) throw error; // a stack overflow says nothing of this machine
    return { name: "none", reason: `the addon could not be loaded (${describe(error)})`, stacks: null };
  }
  if (forced === "handoff")
    return { name: "handoff", reason: "RUNTIME_SWITCH=handoff", stacks: addon.open("handoff", main) };
  try {
    return { name: "swap", reason: forced ? "RUNTIME_SWITCH=swap" : "", stacks: addon.open("swap", main) };
  } catch (error) {
    if (forced || error instanceof RangeError) throw error;
    const reason = `swap does not work here: ${describe(error)}`;
    try {
      return { name: "handoff", reason, stacks: addon.open("handoff", main) };
    } catch (second) {
      return { name: "none", reason: `${reason}; nor does handoff: ${describe(second)}`, stacks: null };
    }
  }
}

// The patch: which of Node's modules it covers, and how a program turns it on and off.
import workerThreads = require("node:worker_threads");

import { invalidArgument } from "../runtime/errors";
import { forbidFastCalls } from "../runtime/guards/fast-calls";
import { atomicsPatch } from "./atomics";
import { childProcessPatch } from "./child_process";
import { cryptoPatch } from "./crypto";
import { dgramPatch } from "./dgram";
import { dnsPatch } from "./dns";
import { eventsPatch } from "./events";
import { fetchPatch } from "./fetch";
import { fibersPatch } from "./fibers/redirect";
import { fsPatch } from "./fs";
import { httpPatch, httpsPatch } from "./http";
import { http2Patch } from "./http2";
import { netPatch } from "./net";
import { type PatchedName, Patches } from "./patching";
import { processPatch } from "./process";
import { readlinePatch } from "./readline";
import { streamPatch } from "./stream";
import { timersPatch } from "./timers";
import { tlsPatch } from "./tls";
import { workerThreadsPatch } from "./worker_threads";
import { zlibPatch } from "./zlib";
// What they declare in Node's modules is for users too: an import of names alone is not in the emitted types.
import "./child_process";
import "./dgram";
import "./dns";
import "./events";
import "./http";
import "./fetch";
import "./http2";
import "./net";
import "./readline";
import "./stream";
import "./timers";
import "./tls";
import "./worker_threads";

const patches = new Patches([
  fsPatch,
  eventsPatch,
  processPatch,
  streamPatch,
  timersPatch,
  dnsPatch,
  netPatch,
  tlsPatch,
  dgramPatch,
  httpPatch,
  httpsPatch,
  http2Patch,
  fetchPatch,
  readlinePatch,
  workerThreadsPatch,
  atomicsPatch,
  childProcessPatch,
  cryptoPatch,
  zlibPatch,
  fibersPatch,
]);

/**
 * Whether this is a thread of Node itself, that of `module.register()`: what is preloaded by `--require` is loaded there, too.
 * On Node 22, a hook of ours would end it with an error.
 */
const isNodesThread = (workerThreads as { isInternalThread?: boolean }).isInternalThread === true; // from Node 22.14 on

/**
 * Which modules to patch, by name: `{ fs: true, net: false }`. Those that are not named are patched. "fibers" stands for that
 * package, in whose place there is a drop-in then, unless something else than the original goes by its name.
 */
export type PatchOptions = Record<string, boolean>;

/**
 * Makes Node's blocking functions suspend the fiber that calls them, starts server handlers in fibers, and adds the
 * blocking functions that Node lacks. Patching again changes nothing. (gevent: `monkey.patch_all`)
 * @throws ERR_INVALID_ARG_TYPE for a name that is not patchable
 */
export function patch(options: PatchOptions = {}): void {
  const names = chosen(options, true);
  if (isNodesThread) return;
  patches.apply(names);
  forbidFastCalls();
}

/**
 * Takes `patch` back, for tests. What has captured a patched function keeps it; and where somebody has put a function
 * over a patched one since (graceful-fs, fake timers, a spy), theirs stays, and calls the patched one if it did before.
 */
export function unpatch(options: PatchOptions = {}): void {
  patches.undo(chosen(options, true));
}

/** @internal What `patch` has come to in this version of Node: for docs/patched.md. */
export function patchedNames(): PatchedName[] {
  return patches.patched.filter(({ module }) => module !== fibersPatch.name); // which is none of Node's
}

/** Whether a module is patched. */
export function isPatched(name: string): boolean {
  return patches.isPatched(name);
}

/** Node's own function in the place of a patched one: `original("fs", "readFileSync")`. */
export function original(name: string, key: string): unknown {
  return patches.original(name, key);
}

function chosen(options: unknown, fallback: boolean): string[] {
  if (typeof options !== "object" || options === null) throw invalidArgument("options", "of type object", options);
  for (const [name, value] of Object.entries(options)) {
    if (!patches.names.includes(name))
      throw invalidArgument(`options.${name}`, `one of ${patches.names.join(", ")}`, name);
    if (typeof value !== "boolean") throw invalidArgument(`options.${name}`, "of type boolean", value);
  }
  return patches.names.filter((name) => (options as PatchOptions)[name] ?? fallback);
}

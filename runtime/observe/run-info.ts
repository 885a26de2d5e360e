// The fibers of this thread as a tree for people, on demand or at a signal. (gevent: `print_run_info`)
import os = require("node:os");

import { invalidArgument, outOfRange } from "../errors";
import { type FiberInfo, fibers } from "./fibers";

/** Deeper than this, the tree is no longer indented: a long chain of parents would fill the lines with blanks. */
const DEEPEST = 20;

/**
 * Tells what the fibers of this thread do: each with its name, id, state, age and stack trace, under the fiber that
 * created it. It costs what `fibers()` does.
 * @returns some lines of text, the last one with its line break
 */
export function runInfo(): string {
  const all = fibers();
  const known = new Set(all.map(({ id }) => id));
  const children = new Map<number | null, FiberInfo[]>();
  for (const fiber of all) {
    const under = fiber.parent !== null && known.has(fiber.parent) ? fiber.parent : null;
    const siblings = children.get(under);
    if (siblings) siblings.push(fiber);
    else children.set(under, [fiber]);
  }
  let text = `${summary(all)}\n`;
  // With a list in place of recursion: how deep parents go is the program's choice.
  const rest = inOrder(children.get(null), 0);
  for (let next = rest.pop(); next !== undefined; next = rest.pop()) {
    const { fiber, depth } = next;
    text += describe(fiber, depth, known);
    for (const place of inOrder(children.get(fiber.id), depth + 1)) rest.push(place);
  }
  return text;
}

interface Place {
  fiber: FiberInfo;
  depth: number;
}

/** As a stack of what is to be written next: the first one on top. */
function inOrder(fibers: FiberInfo[] | undefined, depth: number): Place[] {
  return (fibers ?? []).map((fiber) => ({ fiber, depth })).reverse();
}

function summary(all: FiberInfo[]): string {
  const states = ["running", "ready", "suspended", "new"]
    .map((state) => ({ state, count: all.filter((fiber) => fiber.state === state).length }))
    .filter(({ count }) => count > 0)
    .map(({ state, count }) => `${count} ${state}`);
  const fibers = all.length === 1 ? "1 fiber" : `${all.length} fibers`;
  return states.length > 0 ? `${fibers}: ${states.join(", ")}` : "no fibers";
}

function describe({ id, name, state, age, parent, stack }: FiberInfo, depth: number, known: Set<number>): string {
  const indent = "  ".repeat(Math.min(depth, DEEPEST));
  const orphan = parent !== null && !known.has(parent) ? `, created by ${parent}, which has ended` : "";
  const head = `${indent}${name || "(anonymous)"} (${id}): ${state}, ${(age / 1000).toFixed(3)} s old${orphan}\n`;
  return stack === "" ? head : `${head}${stack.replace(/^/gm, indent)}\n`;
}

let enabled: NodeJS.Signals | null = null;

function print(): void {
  process.stderr.write(runInfo());
}

/** Prints `runInfo()` at this signal from now on, and at no other; null: at none. `name` is what the caller calls it. */
export function setRunInfoSignal(signal: unknown, name: string): void {
  if (signal !== null) {
    if (typeof signal !== "string") throw invalidArgument(name, "the name of a signal, or null", signal);
    if (!Object.hasOwn(os.constants.signals, signal) || signal === "SIGKILL" || signal === "SIGSTOP") {
      throw outOfRange(name, "the name of a signal that a process can handle", signal);
    }
  }
  const { isMainThread } = require("node:worker_threads") as typeof import("node:worker_threads");
  if (!isMainThread) return; // signals are the main thread's
  if (enabled !== null) process.off(enabled, print);
  enabled = signal as NodeJS.Signals | null;
  if (enabled !== null) process.on(enabled, print); // Node does not keep a process alive for it
}

if (process.env.RUNTIME_INFO_SIGNAL) setRunInfoSignal(process.env.RUNTIME_INFO_SIGNAL, "RUNTIME_INFO_SIGNAL");

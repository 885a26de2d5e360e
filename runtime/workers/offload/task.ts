// What a thread is asked to do: a function's text, or a module's export, with arguments.
import { throwIfAborted } from "../../abort";
import { checkFunction, invalidArgument, invalidValue } from "../../errors";
import { pack } from "../cargo";
import { moduleUrl } from "../module-url";
import type { Callee, Request } from "./protocol";

export interface TaskOptions {
  /** Which of the module's exports to call. Default: "default". */
  name?: string;
  /** Ends the task, and the call with an AbortError, when it is aborted. The thread is terminated if it has begun. */
  signal?: AbortSignal;
  /** What is moved to the thread instead of copied: ArrayBuffers, MessagePorts, … As of `postMessage`. */
  transfer?: readonly unknown[];
  /**
   * Gets what the task reports with `progress(value)` of "runtime/task", in order, before the call returns: in a fiber of its
   * own, which may block. What it throws ends the task, and the call.
   */
  // biome-ignore lint/suspicious/noExplicitAny: a task reports anything
  onProgress?: (value: any) => void;
}

// biome-ignore lint/suspicious/noExplicitAny: any function
export type TaskFunction<A extends any[] = any[], T = unknown> = (...args: A) => T;

/** A task that was checked, as often as it is to be done. */
export interface Task {
  readonly callee: Callee;
  readonly options: TaskOptions;
}

/** The callee and the options of a call that was given `options` for a module; a function has none. */
export function taskOf(callee: unknown, options: unknown): Task {
  if (typeof callee === "function") return { callee: textOf(callee as TaskFunction), options: none };
  const checked = checkOptions(options);
  return { callee: exportOf(callee, checked.name ?? "default"), options: checked };
}

/** A call's arguments: those that follow a function, or what is given to a module as an array. */
export function argumentsOf(callee: unknown, rest: unknown[]): [args: unknown[], options: unknown] {
  if (typeof callee === "function") return [rest, undefined];
  const [args = [], options = {}] = rest;
  if (!Array.isArray(args)) throw invalidArgument("args", "an array", args);
  return [args, options];
}

/** By module, as it was given, and name: a task does not take long, and is often done again. */
const callees = new Map<unknown, Map<string, Callee>>();
const MOST = 1000;

function exportOf(module: unknown, name: string): Callee {
  const key = module instanceof URL ? module.href : module;
  let callee = callees.get(key)?.get(name);
  if (callee !== undefined) return callee;
  callee = `m${name}\n${moduleUrl(module, "task")}`;
  if (callees.size < MOST && typeof key === "string") {
    const named = callees.get(key) ?? new Map();
    callees.set(key, named.set(name, callee));
  }
  return callee;
}

const none: TaskOptions = {};

export function requestOf({ options }: Task, args: unknown[]): Request {
  const cargo = pack(args, "args", options);
  return cargo.parts === undefined ? args : cargo;
}

function checkOptions(options: unknown): TaskOptions {
  if (typeof options !== "object" || options === null) throw invalidArgument("options", "of type object", options);
  const { name, signal, transfer, onProgress } = options as TaskOptions;
  if (name !== undefined && typeof name !== "string") throw invalidArgument("options.name", "of type string", name);
  if (transfer !== undefined && !Array.isArray(transfer))
    throw invalidArgument("options.transfer", "an array", transfer);
  if (onProgress !== undefined) checkFunction(onProgress, "options.onProgress");
  if (signal !== undefined) {
    if (typeof signal !== "object" || signal === null || !("aborted" in signal)) {
      throw invalidArgument("options.signal", "an AbortSignal", signal);
    }
    throwIfAborted(signal);
  }
  return options;
}

function textOf(fn: TaskFunction): Callee {
  const source = Function.prototype.toString.call(fn);
  if (source.endsWith("}") && /\{\s*\[native code\]\s*\}$/.test(source)) {
    throw invalidValue(
      "task",
      `must be a function with a text of its own: "${fn.name}" is bound, or native. Wrap it: (...args) => fn(...args)`,
    );
  }
  if (/^class\b/.test(source)) throw invalidValue("task", `must be a function to call: "${fn.name}" is a class`);
  if (/^(async\s+)?(function\s*)?\*/.test(source)) {
    throw invalidValue("task", `must be a function that returns its result: "${fn.name}" is a generator function`);
  }
  return `${isStrict(fn) ? "f" : "s"}${source}`;
}

/** Arrow functions and methods all count as strict ones: nobody can tell. */
function isStrict(fn: TaskFunction): boolean {
  if (!Object.hasOwn(fn, "prototype")) return true;
  try {
    void fn.caller; // which only sloppy functions have
    return false;
  } catch {
    return true;
  }
}

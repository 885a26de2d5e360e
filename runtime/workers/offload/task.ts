// What a thread is asked to do: a function's text, or a module's export, with arguments.
import { throwIfAborted } from "../../abort";
import { checkFunction, invalidArgument, invalidValue } from "../../errors";
import { type Cargo, pack } from "../cargo";
import { moduleUrl } from "../module-url";

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

/** What is sent to a thread: the arguments, and what is to be called. */
export type Request = Cargo & Callee & { readonly progress?: unknown };
type Callee = { source: string; strict: boolean } | { url: string; name: string };

/** A task that was checked, as often as it is to be done. */
export interface Task {
  readonly callee: Callee;
  readonly options: TaskOptions;
}

/** The callee and the options of a call that was given `options` for a module; a function has none. */
export function taskOf(callee: unknown, options: unknown): Task {
  if (typeof callee === "function") return { callee: sourceOf(callee as TaskFunction), options: {} };
  const url = moduleUrl(callee, "task");
  return { callee: { url, name: nameOf(options) }, options: checkOptions(options) };
}

/** A call's arguments: those that follow a function, or what is given to a module as an array. */
export function argumentsOf(callee: unknown, rest: unknown[]): [args: unknown[], options: unknown] {
  if (typeof callee === "function") return [rest, undefined];
  const [args = [], options = {}] = rest;
  if (!Array.isArray(args)) throw invalidArgument("args", "an array", args);
  return [args, options];
}

export function requestOf({ callee, options }: Task, args: unknown[]): Request {
  const cargo = pack(args, "args", options);
  if ("url" in callee && cargo.parts === undefined) return { value: cargo.value, url: callee.url, name: callee.name };
  return { ...cargo, ...callee };
}

function nameOf(options: unknown): string {
  return (options as TaskOptions | undefined)?.name ?? "default";
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

const sources = new WeakMap<TaskFunction, Callee>();

function sourceOf(fn: TaskFunction): Callee {
  let callee = sources.get(fn);
  if (callee === undefined) sources.set(fn, (callee = read(fn)));
  return callee;
}

function read(fn: TaskFunction): Callee {
  const source = Function.prototype.toString.call(fn);
  if (/\{\s*\[native code\]\s*\}$/.test(source)) {
    throw invalidValue(
      "task",
      `must be a function with a text of its own: "${fn.name}" is bound, or native. Wrap it: (...args) => fn(...args)`,
    );
  }
  if (/^class\b/.test(source)) throw invalidValue("task", `must be a function to call: "${fn.name}" is a class`);
  if (/^(async\s+)?(function\s*)?\*/.test(source)) {
    throw invalidValue("task", `must be a function that returns its result: "${fn.name}" is a generator function`);
  }
  return { source, strict: isStrict(fn) };
}

/** Arrow functions and methods all count as strict ones. */
function isStrict(fn: TaskFunction): boolean {
  try {
    void fn.caller; // which only sloppy functions have
    return false;
  } catch {
    return true;
  }
}

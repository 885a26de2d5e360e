// A thread of a pool: what piscina calls there, once for each task. A bundle of its own, so that nothing of the rest of the
// package is loaded: no patch and no fibers. Code that computes has no use for them, and what blocks in a thread may block.
import { createRequire } from "node:module";
import { type MessagePort, workerData } from "node:worker_threads";
import { noSuchExport } from "../../errors";
import { type Cargo, isObject, pack, unpack } from "../cargo";
import { functionNamed, load } from "../load";
import { INSIDE, type Inside } from "./inside";
import type { Callee, Reply, Request, ThreadData } from "./protocol";

type Run = (...args: unknown[]) => unknown;

// By which piscina knows what of a result is to be moved; Piscina.transferableSymbol, Piscina.valueSymbol.
const TRANSFERABLE = Symbol.for("Piscina.transferable");
const VALUE = Symbol.for("Piscina.valueOf");

let port: MessagePort | undefined; // for what the task reports
let reports = 0;
let moved: Map<unknown, readonly unknown[]> | undefined;

const inside: Inside = {
  report(value) {
    if (port === undefined) return;
    port.postMessage(pack(value, "progress", { certain: true }));
    reports++;
  },
  transfer(value, list) {
    moved = (moved ?? new Map()).set(value, list);
  },
};
Object.assign(globalThis, { [INSIDE]: inside });

/** Does a task with what `find` finds. Never fails: a failure is an answer. What is there at once costs no promise. */
function run(request: Request, find: () => Run | Promise<Run>, isText: boolean): unknown {
  const isArgs = Array.isArray(request);
  port = isArgs ? undefined : (request.progress as MessagePort | undefined);
  reports = 0;
  moved = undefined;
  try {
    const args = isArgs ? request : (unpack(request) as unknown[]);
    const fn = find();
    const value = typeof fn === "function" ? fn(...args) : fn.then((found) => found(...args));
    return isObject(value) ? awaited(value, isText) : succeeded(value);
  } catch (error) {
    return failed(error, isText);
  }
}

async function awaited(value: object, isText: boolean): Promise<unknown> {
  try {
    return succeeded(await value);
  } catch (error) {
    return failed(error, isText);
  }
}

/** @throws DataCloneError if the value cannot be sent */
function succeeded(value: unknown): unknown {
  if (!isObject(value) && typeof value !== "symbol" && port === undefined) return value;
  const transfer = moved?.get(value);
  return answer(pack(value, "the result", { certain: true, transfer }), transfer);
}

function failed(error: unknown, isText: boolean): unknown {
  return answer({ ...describe(isText ? explained(error) : error), failed: true });
}

function answer(reply: Reply, transfer?: readonly unknown[]): unknown {
  if (port !== undefined) {
    reply.reports = reports;
    port.close();
    port = undefined;
  }
  return transfer ? moving(reply, transfer) : reply;
}

function describe(error: unknown): Cargo {
  try {
    return pack(error, "what the task has thrown", { certain: true, machinery: __filename });
  } catch (uncloneable) {
    return pack(uncloneable, "error", { machinery: __filename });
  }
}

/** A function that is sent as text has lost what was around it. */
function explained(error: unknown): unknown {
  if (!(error instanceof ReferenceError) || !/^.* is not defined$/.test(error.message)) return error;
  const { message, stack } = error;
  const longer = `${message} (this function runs in another thread, as its text: what is around it does not exist there, so pass it as an argument)`;
  error.message = longer;
  error.stack = stack?.replace(message, () => longer);
  return error;
}

let move: ((value: object) => unknown) | undefined;

function moving(reply: Reply, list: readonly unknown[]): unknown {
  move ??= (require("piscina") as typeof import("piscina")).move as never as (value: object) => unknown;
  return move({ [TRANSFERABLE]: list, [VALUE]: reply });
}

const own = createRequire((workerData as ThreadData | undefined)?.main ?? __filename);

function evaluate(source: string, strict: boolean): Run {
  const evaluateAs = (expression: string) =>
    // `__name` is what tsx and esbuild have functions call that are to keep their names.
    new Function("require", "__name", `${strict ? '"use strict";' : ""}return ${expression}\n//# sourceURL=offloaded`)(
      own,
      (fn: unknown) => fn,
    ) as Run;
  try {
    return evaluateAs(`(${source}\n)`);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return Object.values(evaluateAs(`({${source}\n})`) as object)[0] as Run; // a method
  }
}

async function loadFunction(url: string, name: string): Promise<Run> {
  const exports = await load(url);
  const fn = functionNamed(exports, name);
  if (fn === undefined) throw noSuchExport(url, name, Object.keys(exports));
  return fn;
}

// Piscina looks for a handler by name among what this exports, and keeps it. So the name is the callee.
const handlers = new Proxy(
  { __esModule: true },
  {
    get(target, callee) {
      if (typeof callee !== "string" || callee in target || callee === "then") return Reflect.get(target, callee);
      return handlerOf(callee);
    },
  },
);

function handlerOf(callee: Callee): (request: Request) => unknown {
  const rest = callee.slice(1);
  const kind = callee[0];
  const [name = "", url = ""] = kind === "m" ? rest.split("\n", 2) : [];
  let fn: Run | undefined;
  const found = (run: Run) => (fn = run);
  const find = () => fn ?? (kind === "m" ? loadFunction(url, name).then(found) : found(evaluate(rest, kind === "f")));
  return (request) => run(request, find, kind !== "m");
}

export = handlers;

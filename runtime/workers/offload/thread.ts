// A thread of a pool: what piscina calls there, once for each task. A bundle of its own, so that nothing of the rest of the
// package is loaded: no patch and no fibers. Code that computes has no use for them, and what blocks in a thread may block.
import { createRequire } from "node:module";
import { type MessagePort, workerData } from "node:worker_threads";
import { noSuchExport } from "../../errors";
import { type Cargo, isObject, pack, unpack } from "../cargo";
import { functionNamed, load } from "../load";
import { INSIDE, type Inside } from "./inside";
import type { Request } from "./task";

/** What a thread answers: the result, or what was thrown. */
export interface Reply extends Cargo {
  readonly failed?: true;
  /** How many reports the task has sent before. */
  reports?: number;
}

/** What all threads of a pool are told. */
export interface ThreadData {
  /** The program's main module, from which functions `require`. */
  readonly main: string;
}

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

/** Does one task. Never fails: a failure is an answer. */
export async function run(request: Request): Promise<unknown> {
  port = request.progress as MessagePort | undefined;
  reports = 0;
  let transfer: readonly unknown[] | undefined;
  let reply: Reply;
  try {
    const run = "source" in request ? compile(request.source, request.strict) : find(request.url, request.name);
    const args = unpack(request) as unknown[];
    let value: unknown = typeof run === "function" ? run(...args) : (await run)(...args);
    if (isObject(value)) value = await value;
    transfer = moved?.get(value);
    reply = pack(value, "the result", { certain: true, transfer });
  } catch (error) {
    transfer = undefined;
    reply = { ...describe("source" in request ? explained(error) : error), failed: true };
  }
  moved = undefined;
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

function moving(reply: Reply, list: readonly unknown[]): object {
  const movable = { [TRANSFERABLE]: list, [VALUE]: reply };
  const { Piscina } = require("piscina") as typeof import("piscina");
  return Piscina.move(movable as never) as object;
}

const compiled = new Map<string, Run>();
const found = new Map<string, Run>();

function compile(source: string, strict: boolean): Run {
  const key = `${strict ? '"use strict";' : ""}${source}`;
  let fn = compiled.get(key);
  if (fn === undefined) compiled.set(key, (fn = evaluate(source, strict)));
  return fn;
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

function find(url: string, name: string): Run | Promise<Run> {
  return found.get(`${name} ${url}`) ?? loadFunction(url, name);
}

async function loadFunction(url: string, name: string): Promise<Run> {
  const exports = await load(url);
  const fn = functionNamed(exports, name);
  if (fn === undefined) throw noSuchExport(url, name, Object.keys(exports));
  found.set(`${name} ${url}`, fn);
  return fn;
}

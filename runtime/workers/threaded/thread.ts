// An object's thread: carries out what it is asked to do with the objects that live there. A bundle of its own, as that of
// the pools' threads.
import { readlinkSync } from "node:fs";
import { basename } from "node:path";
import { receiveMessageOnPort, workerData } from "node:worker_threads";
import { type Cargo, pack, unpack } from "../cargo";
import { loadWhole } from "../load";
import { Objects } from "./objects";
import {
  type Argument,
  type ObjectThreadData,
  type Operation,
  ORDERS,
  type Order,
  type Outcome,
  propertyOf,
  REPORTS,
  type Reference,
  type Report,
  type Returned,
} from "./protocol";

const { url, port, counters } = workerData as ObjectThreadData;

type Ordered = Extract<Order, { id: number }>;

/** Invocations of the other side's functions that this stack waits for, innermost last. */
const awaited: number[] = [];
/** Orders that came while it waited, and have nothing to do with what it waits for. */
const backlog: Ordered[] = [];
const answers = new Map<number, Outcome>();
let lastInvocation = 0;
/** The order whose synchronous part runs now; 0 if none does. */
let running = 0;
/** What the module is; throws what it has failed with. */
let root: () => unknown;
/** Functions and errors of the other side: they go back as what they are there. */
const theirs = new WeakMap<object, Returned>();

const objects = new Objects((shape, methods) => report({ shape, methods }));

function report(message: Report): void {
  port.postMessage(message);
  Atomics.add(counters, REPORTS, 1);
  Atomics.notify(counters, REPORTS);
}

function packed(value: unknown, name: string): Cargo {
  const replace = (object: object): Reference | undefined => theirs.get(object) ?? objects.reference(object);
  return pack(value, name, { certain: true, machinery: __filename, replace });
}

function failed(error: unknown): Outcome {
  try {
    return { failure: packed(error, "what was thrown") };
  } catch (uncloneable) {
    return { failure: packed(uncloneable, "error") };
  }
}

function unpacked(cargo: Cargo): unknown {
  return unpack(cargo, (content) => {
    const argument = content as Argument;
    if ("own" in argument) return objects.get(argument.own);
    if ("called" in argument) return callback(argument);
    const error = unpacked(argument.copy);
    if (typeof error === "object" && error !== null) theirs.set(error, { thrown: argument.thrown });
    return error;
  });
}

interface Callback {
  readonly fn: WeakRef<object>;
  /** How often it was received. */
  times: number;
}

const callbacks = new Map<number, Callback>();
const forgotten = new FinalizationRegistry<number>((called) => {
  const known = callbacks.get(called);
  if (known === undefined || known.fn.deref() !== undefined) return;
  callbacks.delete(called);
  report({ forget: called, times: known.times });
});

/** A function that calls one of the other side: waits for what it returns, where an order is under way on this stack. */
function callback({ called, name, length }: Extract<Argument, { called: number }>): object {
  const known = callbacks.get(called);
  const existing = known?.fn.deref();
  if (known !== undefined && existing !== undefined) {
    known.times++;
    return existing;
  }
  const fn = function (this: unknown, ...args: unknown[]): unknown {
    const self = packed(this !== globalThis && objects.stays(this) ? this : undefined, "this");
    const call = { calls: called, self, args: packed(args, "args") };
    if (running === 0) return report({ ...call, id: 0, invocation: 0 });
    report({ ...call, id: running, invocation: ++lastInvocation });
    return answerTo(lastInvocation);
  };
  // Libraries look at how many parameters a function has.
  Object.defineProperty(fn, "name", { value: name, configurable: true });
  Object.defineProperty(fn, "length", { value: length, configurable: true });
  callbacks.set(called, { fn: new WeakRef(fn), times: 1 + (known?.times ?? 0) });
  theirs.set(fn, { called });
  forgotten.register(fn, called);
  return fn;
}

function answerTo(invocation: number): unknown {
  awaited.push(invocation);
  const under = running;
  try {
    while (!answers.has(invocation)) {
      const seen = Atomics.load(counters, ORDERS);
      const next = receiveMessageOnPort(port);
      if (next === undefined) Atomics.wait(counters, ORDERS, seen);
      else obey(next.message);
    }
  } finally {
    awaited.pop();
    running = under;
  }
  const outcome = answers.get(invocation) as Outcome;
  answers.delete(invocation);
  if ("value" in outcome) return unpacked(outcome.value);
  throw unpacked(outcome.failure);
}

function obey(order: Order): void {
  if ("answerTo" in order) answers.set(order.answerTo, order.outcome);
  else if ("release" in order) objects.release(order.release);
  // In the midst of something, only what belongs to it.
  else if (awaited.length > 0 && order.within !== awaited.at(-1)) backlog.push(order);
  else carryOut(order);
}

function carryOut({ id, operation }: Ordered): void {
  const before = running;
  running = id;
  let outcome: Outcome;
  try {
    const value = perform(operation);
    if (typeof (value as PromiseLike<unknown> | null)?.then === "function") {
      (value as PromiseLike<unknown>).then(
        (value) => report({ id, outcome: succeeded(value) }),
        (error) => report({ id, outcome: failed(error) }),
      );
      return;
    }
    outcome = succeeded(value);
  } catch (error) {
    outcome = failed(error);
  } finally {
    running = before;
  }
  report({ id, outcome });
}

function succeeded(value: unknown): Outcome {
  try {
    return { value: packed(value, "the result") };
  } catch (error) {
    return failed(error);
  }
}

function perform({ does, object, key, self, args }: Operation): unknown {
  if (does === "load") return root();
  const target = objects.get(object) as Record<PropertyKey, unknown> & ((...args: unknown[]) => unknown);
  const property = key === undefined ? "" : propertyOf(key);
  const values = args === undefined ? [] : (unpacked(args) as unknown[]);
  switch (does) {
    case "get":
      // An ES module sees what CommonJS exports as its default.
      return object === 0 && property === "default" && !("default" in target) ? target : target[property];
    case "set":
      if (!Reflect.set(target, property, values[0])) throw new TypeError(`Cannot assign to "${String(property)}"`);
      return undefined;
    case "has":
      return property in target;
    case "delete":
      return Reflect.deleteProperty(target, property);
    case "keys":
      return Reflect.ownKeys(target).filter((key) => typeof key === "string");
    case "describe":
      return describe(target, property);
    case "instance":
      return values[0] instanceof target;
    case "call":
      return Reflect.apply(target[property] as typeof target, target, values);
    case "apply":
      return Reflect.apply(target, self && unpacked(self), values);
    case "new":
      return Reflect.construct(target, values);
  }
}

function describe(target: object, property: PropertyKey): unknown {
  const descriptor = Reflect.getOwnPropertyDescriptor(target, property);
  return descriptor && [descriptor.enumerable, Reflect.get(target, property)];
}

process.on("exit", (code) => {
  report({
    ends: lastError
      ? `an uncaught error, ${String(lastError.message ?? lastError)}`
      : `process.exit(${code}) was called in it`,
    error: lastError && packed(lastError, "error"),
  });
});

let lastError: Error | undefined;
process.on("uncaughtExceptionMonitor", (error) => {
  lastError = error;
});

function threadInSystem(): number {
  try {
    return Number(basename(readlinkSync("/proc/thread-self")));
  } catch {
    return 0; // not on Linux
  }
}

report({ thread: threadInSystem() });
loadWhole(url).then(
  (exports) => {
    objects.root = exports;
    root = () => exports;
    listen();
  },
  (error) => {
    root = () => {
      throw error;
    };
    listen();
  },
);

function listen(): void {
  port.on("message", (order: Order) => {
    obey(order);
    for (let next = backlog.shift(); next !== undefined; next = backlog.shift()) obey(next);
  });
}

// Parking: a thread that cannot suspend sleeps in Atomics.wait while its worker, on synckit, does the asynchronous work.
import path = require("node:path");

import type { MessagePort } from "node:worker_threads";

import { withFiberStack } from "../block";
import { pinned } from "../coroutine";
import { type CodedError, checkDuration, fiberOnly, parkWorkerLost } from "../errors";
import { Timeout } from "../sync/timeout";
import { reviveError } from "./failure";
import type { Operation, Reply } from "./operations";
import { type Bytes, isLarge, LINE, portable, received } from "./portable";
import { isDetached } from "./ports";

type Exchange = (operation: Operation | typeof LINE, ms?: number, args?: unknown[], large?: number[]) => Reply;

/** A worker, and the line to it: for large bytes, and to see whether it still exists. */
interface ParkWorker {
  readonly exchange: Exchange;
  readonly line: MessagePort;
}

/** The thread's one worker; none before the first call, and after it was lost. */
let worker: ParkWorker | null = null;

let lastHandle = 0;

/** A name for something that the worker is to hold. None is used twice, not even by a worker that follows a lost one. */
export function newHandle(): number {
  return ++lastHandle;
}

/** `park`, for operations that let go of something the worker holds: when there is no worker, it is gone. */
export function parkRelease(operation: Operation, handle: number): void {
  try {
    if (worker !== null) park(operation, handle);
  } catch (error) {
    if ((error as CodedError).code !== "ERR_PARK_WORKER_LOST") throw error;
  }
}

/**
 * Runs an operation in the park worker and puts the calling thread to sleep until it is done. Nothing else runs in
 * this thread meanwhile, no fiber and no callback.
 * @param args cloneable values. Bytes arrive as they are, and come back as Buffers
 * @returns what the operation returns
 * @throws what it throws, as an error of the same built-in class with the same properties; ERR_PARK_WORKER_LOST if
 *   the worker has died under it: what it held is gone, the next call starts another one
 */
export function park<T>(operation: Operation, ...args: unknown[]): T {
  return run(operation, Number.POSITIVE_INFINITY, args, park) as T;
}

/**
 * `park`, for at most `ms` milliseconds; then the operation is cancelled.
 * @throws Timeout after `ms`
 */
export function parkWithin<T>(ms: number, operation: Operation, ...args: unknown[]): T {
  checkDuration(ms, "ms");
  return run(operation, ms, args, parkWithin) as T;
}

/**
 * `park`, with arguments that a program gave: they may be such as cannot be sent. `check` is given them then, and
 * throws what Node throws for them; if it takes them, that is ERR_NOT_IN_FIBER.
 */
export function parkChecked<T>(check: () => void, operation: Operation, ...args: unknown[]): T {
  try {
    return run(operation, Number.POSITIVE_INFINITY, args, parkChecked) as T;
  } catch (error) {
    if (!isCloneError(error)) throw error;
    check();
    throw Object.assign(fiberOnly("An argument that cannot be sent to another thread"), { cause: error });
  }
}

function run(operation: Operation, ms: number, args: unknown[], entry: (...args: never[]) => unknown): unknown {
  // Were a fiber to suspend here, another one could call synckit in the middle of this call, and take its answer.
  const reply = pinned("parked", () => send(operation, ms, args));
  if ("value" in reply) return received(reply.value);
  throw withFiberStack("failure" in reply ? reviveError(reply.failure) : new Timeout(ms), entry);
}

function send(operation: Operation, ms: number, args: unknown[]): Reply {
  try {
    worker ??= startWorker();
    const { exchange, line } = worker;
    return awake(line, () => exchange(operation, ms, ...packed(args, line)));
  } catch (error) {
    // What operations throw comes as a reply. This is an argument that can't be cloned, or the end of the worker.
    if (isCloneError(error)) throw error;
    worker = null;
    throw parkWorkerLost(error);
  }
}

/** Arguments as synckit gets them, and the positions of those that go over the line. */
function packed(args: unknown[], line: MessagePort): [args: unknown[], large?: number[]] {
  if (!args.some(isLarge)) return [args.map(portable)];
  const parcel: Bytes[] = [];
  const large: number[] = [];
  const small = args.map((arg, position) => {
    if (!isLarge(arg)) return portable(arg);
    large.push(position);
    parcel.push(new Uint8Array(arg)); // the program keeps its own
    return null;
  });
  line.postMessage(
    parcel,
    parcel.map(({ buffer }) => buffer),
  );
  return [small, large];
}

// As it was before compat/atomics.ts made it cooperative.
const { wait } = Atomics;

/** How long the thread sleeps before it looks whether its worker still exists, in milliseconds. */
const LOOK = 1000;

/**
 * Calls `fn`, in which synckit sleeps, so that it wakes when the worker is gone: it learns of any end but that for want
 * of memory, after which no JavaScript runs there. The system then closes the line.
 */
function awake<T>(line: MessagePort, fn: () => T): T {
  const before = Atomics.wait;
  const watchful = (array: Int32Array, index: number, value: number, timeout = Number.POSITIVE_INFINITY) => {
    let left = timeout;
    for (;;) {
      const result = wait(array, index, value, Math.min(left, LOOK));
      left -= LOOK;
      if (result !== "timed-out" || left <= 0) return result;
      if (isClosed(line)) throw new Error("The worker has ended");
    }
  };
  Reflect.set(Atomics, "wait", watchful);
  try {
    return fn();
  } finally {
    Reflect.set(Atomics, "wait", before);
  }
}

function isClosed(line: MessagePort): boolean {
  const { receiveMessageOnPort } = require("node:worker_threads") as typeof import("node:worker_threads");
  receiveMessageOnPort(line); // without a turn of the event loop, only this sees that the other end was closed
  return isDetached(line);
}

function isCloneError(error: unknown): boolean {
  return error instanceof Error && error.name === "DataCloneError";
}

function startWorker(): ParkWorker {
  const exchange = startExchange();
  const { value } = exchange(LINE) as { value: MessagePort };
  return { exchange, line: value };
}

function startExchange(): Exchange {
  const { startWorkerThread } = require("synckit") as typeof import("synckit");
  const threads = require("node:worker_threads") as typeof import("node:worker_threads");
  const { Worker } = threads;
  const { env } = process;
  const { NODE_OPTIONS: _, ...rest } = env;
  // For synckit alone, just now. The worker is not to load what NODE_OPTIONS preloads: this package, for one. And its end
  // for want of memory is an "error" event, which is told by the call that it breaks off, and would end the program.
  process.env = rest;
  Reflect.set(threads, "Worker", function quiet(...args: ConstructorParameters<typeof Worker>) {
    return new Worker(...args).on("error", () => {});
  });
  try {
    return startWorkerThread(path.join(__dirname, "park-worker.js"), {
      execArgv: [],
      globalShims: [],
      timeout: Number.POSITIVE_INFINITY, // else that of SYNCKIT_TIMEOUT; the worker itself keeps the time
    }) as Exchange;
  } finally {
    process.env = env;
    Reflect.set(threads, "Worker", Worker);
  }
}

// Parking: a thread that cannot suspend sleeps in Atomics.wait while its worker, on synckit, does the asynchronous work.
import path = require("node:path");

import { withFiberStack } from "../block";
import { pinned } from "../coroutine";
import { type CodedError, checkDuration, parkWorkerLost } from "../errors";
import { Timeout } from "../sync/timeout";
import { reviveError } from "./failure";
import type { Operation, Reply } from "./operations";
import { portable, received } from "./portable";

type Exchange = (operation: Operation, ms: number, args: unknown[]) => Reply;

/** The thread's one worker; none before the first call, and after it was lost. */
let exchange: Exchange | null = null;

let lastHandle = 0;

/** A name for something that the worker is to hold. None is used twice, not even by a worker that follows a lost one. */
export function newHandle(): number {
  return ++lastHandle;
}

/** `park`, for operations that let go of something the worker holds: when there is no worker, it is gone. */
export function parkRelease(operation: Operation, handle: number): void {
  try {
    if (exchange !== null) park(operation, handle);
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
 * throws what Node throws for them.
 */
export function parkChecked<T>(check: () => void, operation: Operation, ...args: unknown[]): T {
  try {
    return run(operation, Number.POSITIVE_INFINITY, args, parkChecked) as T;
  } catch (error) {
    if (isCloneError(error)) check();
    throw error;
  }
}

function run(operation: Operation, ms: number, args: unknown[], entry: (...args: never[]) => unknown): unknown {
  const bytes = args.map(portable);
  // Were a fiber to suspend here, another one could call synckit in the middle of this call, and take its answer.
  const reply = pinned("parked", () => send(operation, ms, bytes));
  if ("value" in reply) return received(reply.value);
  throw withFiberStack("failure" in reply ? reviveError(reply.failure) : new Timeout(ms), entry);
}

function send(operation: Operation, ms: number, args: unknown[]): Reply {
  exchange ??= startWorker();
  try {
    return exchange(operation, ms, args);
  } catch (error) {
    // What operations throw comes as a reply. This is an argument that can't be cloned, or the end of the worker.
    if (isCloneError(error)) throw error;
    exchange = null;
    throw parkWorkerLost(error);
  }
}

function isCloneError(error: unknown): boolean {
  return error instanceof Error && error.name === "DataCloneError";
}

function startWorker(): Exchange {
  const { startWorkerThread } = require("synckit") as typeof import("synckit");
  const { env } = process;
  const { NODE_OPTIONS: _, ...rest } = env;
  // The worker is not to load what NODE_OPTIONS preloads: this package, for one. Only synckit looks, just now.
  process.env = rest;
  try {
    return startWorkerThread(path.join(__dirname, "park-worker.js"), {
      execArgv: [],
      globalShims: [],
      timeout: Number.POSITIVE_INFINITY, // else that of SYNCKIT_TIMEOUT; the worker itself keeps the time
    }) as Exchange;
  } finally {
    process.env = env;
  }
}

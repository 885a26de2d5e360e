// Every error of the runtime's own: a class that says what kind, a code that programs can compare.

/** What `FiberExit` and friends carry beside the message. */
export interface CodedError extends Error {
  readonly code: string;
}

function coded(error: Error, code: string): CodedError {
  Object.defineProperty(error, "code", { value: code, enumerable: true, configurable: true, writable: true });
  return error as CodedError;
}

/**
 * Thrown into a fiber that is killed. It ends the fiber without being a failure: the fiber's value is the
 * `FiberExit` itself. Code that catches everything should rethrow it. (gevent: `GreenletExit`)
 */
export class FiberExit extends Error {
  readonly code = "ERR_FIBER_EXIT";
  override name = "FiberExit";
  constructor(message = "the fiber was killed") {
    super(message);
  }
}

const WAYS_OUT =
  "Call it in a fiber: spawn(() => ...), or start the program in one with `runtime run`; " +
  "or, in async code, use await on the asynchronous form instead.";

/**
 * A blocking call was made on the hub's own stack, where nothing can suspend.
 * @param whyNone why there can be no fibers in this thread at all, if that is so
 */
export function notInFiber(whyNone?: string): CodedError {
  const message =
    whyNone === undefined
      ? `This call blocks, and there is no fiber here that it could suspend. ${WAYS_OUT}`
      : `This call blocks, and there are no fibers in this process that it could suspend: ${whyNone}. ` +
        "In async code, use await on the asynchronous form instead.";
  return coded(new Error(message), "ERR_NOT_IN_FIBER");
}

/** A call that would block was made on the hub's own stack, and it is none that a thread could sleep in. */
export function cannotPark(call: string): CodedError {
  return coded(
    new Error(
      `${call} would have to run the event loop here, on its own stack, which is out of the question. ` +
        "Call it in a fiber: spawn(() => ...), or start the program in one with `runtime run`.",
    ),
    "ERR_NOT_IN_FIBER",
  );
}

/** A blocking call was made in a fiber, but under a frame that must not be left half-way. */
export function cannotSuspend(why: string): CodedError {
  return coded(new Error(`This call blocks, and the fiber cannot suspend here: ${why}`), "ERR_CANNOT_SUSPEND");
}

/** A module was required that a suspended fiber is loading, where it is not possible to wait for that. */
export function halfLoadedModule(filename: string, loader: string): CodedError {
  return coded(
    new Error(
      `${filename} is being loaded by the fiber "${loader}", which is suspended in the module's top-level code, and nothing ` +
        "can wait here until it is loaded. Require it in a fiber, or load it before.",
    ),
    "ERR_HALF_LOADED_MODULE",
  );
}

export function noFibers(reason: string): CodedError {
  return coded(new Error(`There are no fibers in this process: ${reason}`), "ERR_NO_FIBERS");
}

/** The monitor is a part of the addon. */
export function noMonitor(reason: string): CodedError {
  return coded(new Error(`There is no monitor in this process: ${reason}`), "ERR_NO_FIBERS");
}

export function fiberLimit(reason: string): CodedError {
  return coded(new Error(`No room for another fiber: ${reason}`), "ERR_FIBER_LIMIT");
}

/** A file that is to be served has no app in it. */
export function noApp(file: string): CodedError {
  return coded(
    new Error(
      `${file} exports no app. Export one: module.exports = (req, res) => { ... }, as for http.createServer, or ` +
        `export default (req) => ({ status: 200, body: "hello" }). A program that listens by itself is for \`runtime run\`.`,
    ),
    "ERR_NO_APP",
  );
}

/** Thrown by a blocking call whose AbortSignal was aborted; the cause is the signal's reason. As Node's own. */
export class AbortError extends Error {
  readonly code = "ABORT_ERR";
  override name = "AbortError";
  constructor(reason: unknown) {
    super("The operation was aborted", { cause: reason });
  }
}

/** A queue had nothing to give, and the caller would not wait (any longer). (gevent: `queue.Empty`) */
export class Empty extends Error {
  readonly code = "ERR_QUEUE_EMPTY";
  override name = "Empty";
  constructor(message = "the queue is empty") {
    super(message);
  }
}

/** A queue, or a pool, had no room, and the caller would not wait (any longer). (gevent: `queue.Full`) */
export class Full extends Error {
  readonly code = "ERR_QUEUE_FULL";
  override name = "Full";
  constructor(message = "the queue is full") {
    super(message);
  }
}

/** A queue was shut down: nothing can be put, or nothing is left to get. (gevent: `queue.ShutDown`) */
export class ShutDown extends Error {
  readonly code = "ERR_QUEUE_SHUT_DOWN";
  override name = "ShutDown";
  constructor(message = "the queue was shut down") {
    super(message);
  }
}

/** Something was given back more often than it was taken. */
export function overReleased(what: string): CodedError {
  return coded(new RangeError(what), "ERR_OVER_RELEASED");
}

/** A lock was used by a fiber that does not hold it. */
export function notOwner(what: string): CodedError {
  return coded(new Error(what), "ERR_NOT_OWNER");
}

export function noPromising(): CodedError {
  return coded(
    new Error(
      "An export of WebAssembly.promising cannot run in a thread that has had fibers: V8 would corrupt its heap. " +
        "Call it in a worker without fibers, or run with RUNTIME_SWITCH=none.",
    ),
    "ERR_PROMISING_AND_FIBERS",
  );
}

export function parkWorkerLost(cause: unknown): CodedError {
  return coded(new Error("The worker that carries out parked calls was lost", { cause }), "ERR_PARK_WORKER_LOST");
}

/** The thread that ran a task has died under it: process.exit() in the task, an uncaught error, no memory left. */
export function threadLost(why: string, cause?: unknown): CodedError {
  const message = `The thread that ran this has ended: ${why}`;
  return coded(cause === undefined ? new Error(message) : new Error(message, { cause }), "ERR_THREAD_LOST");
}

/** A task was ended with its pool, a call with the thread of its object. */
export function threadEnded(what: string): CodedError {
  return coded(new Error(what), "ERR_THREAD_ENDED");
}

/** A module does not export the function that was asked for. */
export function noSuchExport(module: string, name: string, names: string[]): CodedError {
  const others = names.length > 0 ? `It exports ${names.join(", ")}` : "It exports nothing";
  return coded(new Error(`${module} does not export a function "${name}". ${others}.`), "ERR_NO_SUCH_EXPORT");
}

/** Node 20 leaves TypeScript to others. */
export function noTypeScript(filename: string): CodedError {
  const message =
    `${filename}: Node ${process.version} does not run TypeScript by itself. Install tsx beside the program ` +
    "(npm install --save-dev tsx), or use Node 22.18 or later.";
  return coded(new Error(message), "ERR_UNKNOWN_FILE_EXTENSION");
}

/** A value cannot be sent to another thread. As structuredClone's, but it tells where in the value the reason is. */
export function notCloneable(name: string, path: readonly (string | number)[], why: string): Error {
  const place = path.map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`)).join("");
  return new DOMException(`${name}${place} cannot be sent to another thread: ${why}`, "DataCloneError");
}

/** `use` would need a parked object's events in this thread. */
export function parkedObject(use: string, calls: string): CodedError {
  return coded(
    new Error(
      `${use}: this socket was opened out of a fiber, so it lives in another thread, where only blocking calls reach ` +
        `it (${calls}). Open it in a fiber, spawn(() => ...), to use it asynchronously as well; or in the asynchronous way.`,
    ),
    "ERR_PARKED_SOCKET",
  );
}

/** `use` would need a client's connection in a thread that only handles its request. */
export function socketElsewhere(use: string): CodedError {
  return coded(
    new Error(
      `${use} of a request's socket: the connection is the main thread's, which this thread sends the response to. Answer ` +
        "by `res`; for what needs the connection itself (an upgrade), serve with fibers.",
    ),
    "ERR_SOCKET_ELSEWHERE",
  );
}

/** A request took longer than it may. */
export function requestTimedOut(ms: number): CodedError {
  return coded(
    new Error(`No response after ${ms} ms. The worker thread that had the request was terminated`),
    "ERR_REQUEST_TIMEOUT",
  );
}

/** `what` is of this thread, and of no use to the one that carries out parked calls. */
export function fiberOnly(what: string): CodedError {
  return coded(
    new Error(`${what} is of use in this thread only, which sleeps while a call out of a fiber blocks. ${WAYS_OUT}`),
    "ERR_NOT_IN_FIBER",
  );
}

function received(value: unknown): string {
  if (value == null || typeof value === "boolean" || typeof value === "number") return `Received ${String(value)}`;
  if (typeof value === "function") return `Received function ${value.name}`;
  if (typeof value === "object") return `Received an instance of ${value.constructor?.name ?? "Object"}`;
  return `Received type ${typeof value} (${String(value)})`;
}

export function invalidArgument(name: string, expected: string, value: unknown): CodedError {
  return coded(new TypeError(`The "${name}" argument must be ${expected}. ${received(value)}`), "ERR_INVALID_ARG_TYPE");
}

export function invalidValue(name: string, why: string): CodedError {
  return coded(new TypeError(`The argument "${name}" ${why}`), "ERR_INVALID_ARG_VALUE");
}

/** A function that was handed in has returned something else than it should. As Node's own. */
export function invalidReturn(expected: string, name: string, returned: string): CodedError {
  return coded(
    new TypeError(`Expected ${expected} to be returned from the "${name}" function but got ${returned}.`),
    "ERR_INVALID_RETURN_VALUE",
  );
}

export function outOfRange(name: string, range: string, value: unknown): CodedError {
  return coded(
    new RangeError(`The value of "${name}" is out of range. It must be ${range}. Received ${String(value)}`),
    "ERR_OUT_OF_RANGE",
  );
}

/** A whole number from `least` on; Infinity too. */
export function checkCount(value: unknown, name: string, least = 0): asserts value is number {
  if (typeof value !== "number") throw invalidArgument(name, "of type number", value);
  if (value !== Number.POSITIVE_INFINITY && !(Number.isSafeInteger(value) && value >= least)) {
    throw outOfRange(name, `a whole number from ${least} on, or Infinity`, value);
  }
}

export function checkIterable(value: unknown, name: string): asserts value is Iterable<unknown> {
  if (typeof (value as Iterable<unknown> | null | undefined)?.[Symbol.iterator] !== "function") {
    throw invalidArgument(name, "iterable", value);
  }
}

// biome-ignore lint/suspicious/noExplicitAny: any function will do, as in Node's own checks
export function checkFunction(value: unknown, name: string): asserts value is (...args: any[]) => any {
  if (typeof value !== "function") throw invalidArgument(name, "of type function", value);
}

/** A duration in milliseconds: a number, not negative; Infinity for "without end". */
export function checkDuration(value: unknown, name: string): asserts value is number {
  if (typeof value !== "number") throw invalidArgument(name, "of type number", value);
  if (!(value >= 0)) throw outOfRange(name, ">= 0 (milliseconds)", value);
}

/** What blocking calls throw that write to somebody, or read from somebody, who has gone. */
const left = new Set([
  "ERR_STREAM_PREMATURE_CLOSE",
  "ERR_STREAM_DESTROYED",
  "ERR_STREAM_WRITE_AFTER_END",
  "ERR_HTTP2_INVALID_STREAM",
  "ERR_HTTP2_SESSION_ERROR",
  "ERR_HTTP2_STREAM_ERROR",
  "ECANCELED",
  "ECONNRESET",
  "EPIPE",
]);

/** Whether an error may tell that a client has gone; or somebody else, whom a handler talks to. */
export function mayHaveLeft(error: unknown): boolean {
  return left.has(String((error as CodedError | null | undefined)?.code));
}

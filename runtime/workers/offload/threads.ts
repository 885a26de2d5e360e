// The threads under a pool, on piscina, which is loaded for the first task. The pool gives it no more tasks than there may
// be threads, so nothing ever waits there but for a thread to start.
import path = require("node:path");

import type { ResourceLimits } from "node:worker_threads";
import type { Piscina } from "piscina";
import { pinned } from "../../coroutine";
import { threadLost } from "../../errors";
import { inheritedOptions } from "../inherited";
import type { Callee, Request, ThreadData } from "./protocol";

export interface ThreadsOptions {
  readonly min: number;
  readonly max: number;
  readonly idleTimeout: number;
  readonly resourceLimits: ResourceLimits | undefined;
}

// As it was before anybody patched it.
const { setImmediate } = require("node:timers") as typeof import("node:timers");

/** Who has a task done. Hears, once, of what has come of it, unless it is aborted before. */
export interface Client {
  answered(reply: unknown): void;
  /** There will be no reply. */
  lost(error: Error): void;
}

export class Threads {
  readonly #piscina: Piscina;
  #lastError: Error | undefined;

  /** @param stranded called when no thread is left, and none will come, for tasks that wait for one to start */
  constructor({ min, max, idleTimeout, resourceLimits }: ThreadsOptions, stranded: (error: Error) => void) {
    const { Piscina } = require("piscina") as typeof import("piscina");
    const workerData: ThreadData = { main: path.resolve(process.argv[1] ?? "[eval]") };
    this.#piscina = new Piscina({
      ...inheritedOptions(),
      filename: path.join(__dirname, "thread.js"),
      minThreads: min,
      maxThreads: max,
      idleTimeout,
      workerData,
      recordTiming: false,
      stricterFIFO: true,
      ...(resourceLimits && { resourceLimits }),
    });
    // Of a thread that was idle, or that could not start.
    this.#piscina.on("error", (error: Error) => {
      this.#lastError = error;
    });
    // After the failures of its own tasks, which are promises' reactions.
    const look = () => this.count === 0 && stranded(notStarted(this.#lastError));
    this.#piscina.on("workerDestroy", () => setImmediate(look));
  }

  /** How many there are. */
  get count(): number {
    return this.#piscina.threads.length;
  }

  /** Has a thread do a task. */
  run(callee: Callee, request: Request, transfer: readonly unknown[], client: Client): Running {
    const signal = new Running();
    // So that a patched postMessage does not take it for the beginning of a conversation of this fiber's.
    const reply = pinned("it speaks to another thread", () =>
      this.#piscina.run(request, { name: callee, transferList: transfer as never, signal }),
    );
    reply.then(
      (reply: unknown) => signal.aborted || client.answered(reply),
      (error: Error) => signal.aborted || client.lost(explain(error)),
    );
    return signal;
  }

  /** Ends all threads. */
  end(): void {
    this.#piscina.destroy().catch(() => {});
  }
}

/** A task that piscina has. To piscina it is an AbortSignal: much cheaper than a real one, which nobody else would see. */
export class Running {
  aborted = false;
  #listener: (() => void) | null = null;

  /** Ends the task, and the thread that runs it, without a word. */
  abort(): void {
    this.aborted = true;
    this.#listener?.();
  }

  addEventListener(_type: string, listener: () => void): void {
    this.#listener = listener;
  }

  removeEventListener(): void {
    this.#listener = null;
  }
}

function notStarted(error: Error | undefined): Error {
  return threadLost(`it could not be started${error ? `, ${error.message}` : ""}`, error);
}

/** Piscina's own errors have no codes. */
function explain(error: Error): Error {
  if (error?.name === "DataCloneError") return error;
  const [, code] = /^worker exited with code: (\d+)$/.exec(error?.message ?? "") ?? [];
  if (code !== undefined) return threadLost(`process.exit(${code}) was called in it`, error);
  const { message = String(error), code: reason } = error as NodeJS.ErrnoException;
  return threadLost(reason === "ERR_WORKER_OUT_OF_MEMORY" ? message : `an uncaught error, ${message}`, error);
}

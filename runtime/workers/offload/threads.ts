// The threads under a pool, on piscina, which is loaded for the first task. The pool gives it no more tasks than there may
// be threads, so nothing ever waits there but for a thread to start.
import path = require("node:path");

import type { ResourceLimits } from "node:worker_threads";
import type { Piscina } from "piscina";
import { pinned } from "../../coroutine";
import { threadEnded, threadLost } from "../../errors";
import { inheritedOptions } from "../inherited";
import type { Request } from "./task";
import type { Reply, ThreadData } from "./thread";

export interface ThreadsOptions {
  readonly min: number;
  readonly max: number;
  readonly idleTimeout: number;
  readonly resourceLimits: ResourceLimits | undefined;
}

// As it was before anybody patched it.
const { setImmediate } = require("node:timers") as typeof import("node:timers");

/** What a task has come to: a reply, or the error that says why there is none. */
export type Settle = (error: Error | null, reply?: Reply) => void;

export class Threads {
  readonly #piscina: Piscina;
  readonly #running = new Set<Running>();
  #lastError: Error | undefined;

  constructor({ min, max, idleTimeout, resourceLimits }: ThreadsOptions) {
    const { Piscina } = require("piscina") as typeof import("piscina");
    const workerData: ThreadData = { main: process.argv[1] ?? path.join(process.cwd(), "[eval]") };
    this.#piscina = new Piscina({
      ...inheritedOptions(),
      filename: path.join(__dirname, "thread.js"),
      name: "run",
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
    this.#piscina.on("workerDestroy", () => setImmediate(() => this.#failIfStranded()));
  }

  /** How many there are. */
  get count(): number {
    return this.#piscina.threads.length;
  }

  /**
   * Has a thread do a task.
   * @returns what ends it, and the thread that runs it, without a word
   */
  run(request: Request, transfer: readonly unknown[], settle: Settle): () => void {
    const running = new Running(settle);
    this.#running.add(running);
    const end = (error: Error | null, reply?: Reply) => {
      this.#running.delete(running);
      running.settle(error, reply);
    };
    // So that a patched postMessage does not take it for the beginning of a conversation of this fiber's.
    pinned("it speaks to another thread", () =>
      this.#piscina.run(request, { transferList: transfer as never, signal: running }),
    ).then(
      (reply: Reply) => end(null, reply),
      (error: Error) => end(explain(error)),
    );
    return () => {
      running.settle = () => {};
      this.#running.delete(running);
      running.abort();
    };
  }

  /** Ends all threads; tasks that run fail. */
  end(): void {
    for (const running of this.#running) {
      this.#running.delete(running);
      running.settle(threadEnded("The task was ended with its thread pool"));
      running.settle = () => {};
    }
    this.#piscina.destroy().catch(() => {});
  }

  /** No thread is left, and none will come, for tasks that wait for one to start: those that were to have failed. */
  #failIfStranded(): void {
    if (this.count > 0) return;
    const error = this.#lastError;
    for (const running of this.#running) {
      running.settle(threadLost(`it could not be started${error ? `, ${error.message}` : ""}`, error));
      running.settle = () => {};
      running.abort();
    }
    this.#running.clear();
  }
}

/** A task that piscina has. To piscina it is an AbortSignal: much cheaper than a real one, which nobody else would see. */
class Running {
  readonly aborted = false;
  settle: Settle;
  #listener: (() => void) | null = null;

  constructor(settle: Settle) {
    this.settle = settle;
  }

  abort(): void {
    this.#listener?.();
  }

  addEventListener(_type: string, listener: () => void): void {
    this.#listener = listener;
  }

  removeEventListener(): void {
    this.#listener = null;
  }
}

/** Piscina's own errors have no codes. */
function explain(error: Error): Error {
  if (error?.name === "DataCloneError") return error;
  const [, code] = /^worker exited with code: (\d+)$/.exec(error?.message ?? "") ?? [];
  if (code !== undefined) return threadLost(`process.exit(${code}) was called in it`, error);
  const { message = String(error), code: reason } = error as NodeJS.ErrnoException;
  return threadLost(reason === "ERR_WORKER_OUT_OF_MEMORY" ? message : `an uncaught error, ${message}`, error);
}

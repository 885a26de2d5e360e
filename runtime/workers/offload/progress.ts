// What a task reports while it runs, on its way to the program.
import { AsyncResource } from "node:async_hooks";
import type { MessagePort } from "node:worker_threads";
import { theSwitch } from "../../coroutine";
import { spawn } from "../../fiber";
import { type Cargo, unpack } from "../cargo";

/**
 * Calls a function with each report, one after another, in a fiber where there are any, in the async context of the task's
 * caller.
 */
export class Progress {
  /** For the thread. */
  readonly port: MessagePort;
  readonly #own: MessagePort;
  readonly #onProgress: (value: unknown) => void;
  readonly #failed: (error: unknown) => void;
  readonly #waiting: unknown[] = [];
  readonly #context = new AsyncResource("OFFLOAD_PROGRESS");
  #busy = false;
  #received = 0;
  #expected = Number.POSITIVE_INFINITY;
  #complete: (() => void) | null = null;

  /** @param failed gets what the function throws; it is not called again then */
  constructor(onProgress: (value: unknown) => void, failed: (error: unknown) => void) {
    const { MessageChannel } = require("node:worker_threads") as typeof import("node:worker_threads");
    const { port1, port2 } = new MessageChannel();
    this.port = port2;
    this.#own = port1;
    this.#onProgress = onProgress;
    this.#failed = failed;
    port1.on("message", (cargo: Cargo) => {
      this.#received++;
      this.#waiting.push(unpack(cargo));
      if (!this.#busy) this.#deliver();
      else this.#finish();
    });
  }

  /** Calls `complete` when the function has been called with all of the `count` reports that there were. */
  whenComplete(count: number, complete: () => void): void {
    this.#expected = count;
    this.#complete = complete;
    this.#finish();
  }

  /** No report is wanted any more. */
  close(): void {
    this.#own.close();
    this.#waiting.length = 0;
    this.#complete = null;
  }

  #deliver(): void {
    this.#busy = true;
    const deliver = () => {
      try {
        while (this.#waiting.length > 0) this.#onProgress(this.#waiting.shift());
        this.#busy = false;
        this.#finish();
      } catch (error) {
        this.#failed(error);
      }
    };
    this.#context.runInAsyncScope(() => (theSwitch().stacks === null ? deliver() : spawn(deliver)));
  }

  #finish(): void {
    if (this.#received < this.#expected || this.#busy || this.#complete === null) return;
    const complete = this.#complete;
    this.close();
    complete();
  }
}

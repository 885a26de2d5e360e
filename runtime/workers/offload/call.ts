// One task of a pool, from its acceptance to its outcome.
import { threadEnded } from "../../errors";
import { pack, unpack } from "../cargo";
import { Progress } from "./progress";
import { type Request, requestOf, type Task } from "./task";
import type { Reply } from "./thread";
import type { Threads } from "./threads";

/** What becomes of a call: exactly once, unless it is aborted. */
export interface Receiver {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export class Call {
  readonly #request: Request;
  readonly #transfer: readonly unknown[];
  readonly #receiver: Receiver;
  #progress: Progress | null = null;
  #stop: (() => void) | null = null;
  /** Called once at its end, before anybody hears of the outcome. */
  ended: () => void = () => {};

  /** @throws DataCloneError if the arguments cannot be sent */
  constructor(task: Task, args: unknown[], receiver: Receiver) {
    const request = requestOf(task, args);
    const { onProgress, transfer = [] } = task.options;
    this.#receiver = receiver;
    if (onProgress === undefined) {
      this.#request = request;
      this.#transfer = transfer;
      return;
    }
    this.#progress = new Progress(onProgress, (error) => {
      this.abort();
      receiver.reject(error);
    });
    this.#request = { ...request, progress: this.#progress.port };
    this.#transfer = [...transfer, this.#progress.port];
  }

  /** Has one of `threads` do it. */
  run(threads: Threads): void {
    this.#stop = threads.run(this.#request, this.#transfer, (error, reply) => {
      this.#stop = null;
      if (error !== null || reply === undefined) this.#end(() => this.#receiver.reject(this.#explained(error)));
      else if (this.#progress === null) this.#end(() => this.#deliver(reply));
      else this.#progress.whenComplete(reply.reports ?? 0, () => this.#end(() => this.#deliver(reply)));
    });
  }

  /** Ends it without a word to who waits for it: it is not begun, or its thread is terminated. */
  abort(): void {
    const stop = this.#stop;
    this.#stop = null;
    stop?.();
    this.#end(() => {});
  }

  /** Ends it, and says why. */
  fail(why: string): void {
    this.abort();
    this.#receiver.reject(threadEnded(why));
  }

  /** V8 says what it could not clone, but not where that is. */
  #explained(error: Error | null): unknown {
    if (error?.name !== "DataCloneError") return error;
    try {
      pack(this.#request.args.value, "args", { transfer: this.#transfer, certain: true });
      return error;
    } catch (better) {
      return better;
    }
  }

  #deliver(reply: Reply): void {
    if ("value" in reply) this.#receiver.resolve(unpack(reply.value));
    else this.#receiver.reject(unpack(reply.failure));
  }

  #end(tell: () => void): void {
    this.#progress?.close();
    this.#progress = null;
    const { ended } = this;
    this.ended = () => {};
    ended();
    tell();
  }
}

// One task of a pool, from its acceptance to its outcome.
import { isObject, pack, unpack } from "../cargo";
import { Progress } from "./progress";
import type { Callee, Reply, Request } from "./protocol";
import { requestOf, type Task } from "./task";
import type { Client, Running, Threads } from "./threads";

/** What becomes of a call: exactly once, unless it is aborted. */
export interface Receiver {
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export class Call implements Client {
  readonly #callee: Callee;
  readonly #request: Request;
  readonly #transfer: readonly unknown[];
  readonly #receiver: Receiver;
  #progress: Progress | null = null;
  #running: Running | null = null;
  /** Called once at its end, before anybody hears of the outcome. */
  ended: (() => void) | null = null;

  /** @throws DataCloneError if the arguments cannot be sent */
  constructor(task: Task, args: unknown[], receiver: Receiver) {
    const request = requestOf(task, args);
    const { onProgress, transfer = nothing } = task.options;
    this.#callee = task.callee;
    this.#receiver = receiver;
    if (onProgress === undefined) {
      this.#request = request;
      this.#transfer = transfer;
      return;
    }
    this.#progress = new Progress(onProgress, (error) => this.fail(error));
    const cargo = Array.isArray(request) ? { value: request } : request;
    this.#request = { ...cargo, progress: this.#progress.port };
    this.#transfer = [...transfer, this.#progress.port];
  }

  /** Whether a thread has it, or is started for it. */
  get isRunning(): boolean {
    return this.#running !== null;
  }

  /** Has one of `threads` do it. */
  run(threads: Threads): void {
    this.#running = threads.run(this.#callee, this.#request, this.#transfer, this);
  }

  answered(reply: unknown): void {
    this.#running = null; // the thread has nothing to do with it any more
    if (!isObject(reply)) this.#deliver({ value: reply });
    else if (this.#progress === null) this.#deliver(reply as Reply);
    else this.#progress.whenComplete((reply as Reply).reports ?? 0, () => this.#deliver(reply as Reply));
  }

  lost(error: Error): void {
    this.#end();
    this.#receiver.reject(this.#explained(error));
  }

  /** Ends it without a word to who waits for it: it is not begun, or its thread is terminated. */
  abort(): void {
    this.#running?.abort();
    this.#end();
  }

  /** Ends it, and says why. */
  fail(error: unknown): void {
    this.abort();
    this.#receiver.reject(error);
  }

  #deliver(reply: Reply): void {
    this.#end();
    if (reply.failed) this.#receiver.reject(unpack(reply));
    else this.#receiver.resolve(unpack(reply));
  }

  /** V8 says what it could not clone, but not where that is. */
  #explained(error: Error): unknown {
    if (error.name !== "DataCloneError") return error;
    try {
      const request = this.#request;
      pack(Array.isArray(request) ? request : request.value, "args", { transfer: this.#transfer, certain: true });
      return error;
    } catch (better) {
      return better;
    }
  }

  #end(): void {
    const { ended } = this;
    this.#running = null;
    this.#progress?.close();
    this.#progress = null;
    this.ended = null;
    ended?.();
  }
}

const nothing: readonly unknown[] = [];

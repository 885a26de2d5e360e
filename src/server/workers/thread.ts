// A worker thread, as the scheduler knows it.
import path = require("node:path");

import {
  MessageChannel,
  type MessagePort,
  type ResourceLimits,
  receiveMessageOnPort,
  Worker,
} from "node:worker_threads";

import { expire } from "../../../runtime/clock";
import type { Exchange } from "./exchange";
import { type FromThread, Shared, type ThreadData, type ToThread } from "./protocol";

/** Milliseconds that a thread has for its "exit" listeners. */
const LAST_WORDS = 1000;

export interface ThreadObserver {
  /** It has loaded the app. */
  loaded(thread: Thread, upgrades: boolean): void;
  /** It has done with its request. */
  done(thread: Thread): void;
  /** It has ended. The error is what went uncaught in it, if that was why. */
  ended(thread: Thread, code: number, error: unknown): void;
}

export class Thread {
  /** The request that it has. */
  exchange: Exchange | null = null;
  loaded = false;
  /** It was told to end. */
  leaving = false;
  readonly shared = new Int32Array(new SharedArrayBuffer(Shared.Size * Int32Array.BYTES_PER_ELEMENT));
  readonly #port: MessagePort;
  readonly #worker: Worker;
  readonly #observer: ThreadObserver;

  constructor(file: string, resourceLimits: ResourceLimits | undefined, observer: ThreadObserver) {
    this.#observer = observer;
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    const workerData: ThreadData = { file, port: port2, shared: this.shared, forcedSwitch: process.env.RUNTIME_SWITCH };
    this.#worker = new Worker(path.join(__dirname, "serve-thread.js"), {
      workerData,
      transferList: [port2],
      // Everywhere the same, whether or not there could be fibers in it.
      env: { ...process.env, RUNTIME_SWITCH: "none" },
      ...(resourceLimits && { resourceLimits }),
    });
    this.#listen();
  }

  #listen(): void {
    let failure: unknown;
    this.#worker.on("error", (error: unknown) => {
      failure = error;
    });
    this.#worker.on("exit", (code: number) => {
      this.leaving ||= this.loaded; // and is given nothing more to do
      // What it has sent before its end is there, and yet to be told of, perhaps.
      for (let left = receiveMessageOnPort(this.#port); left; left = receiveMessageOnPort(this.#port)) {
        this.#receive(left.message);
      }
      this.#port.close();
      this.#observer.ended(this, code, failure);
    });
    this.#port.on("message", (message: FromThread) => this.#receive(message));
    this.#port.unref();
  }

  #receive(message: FromThread): void {
    if (message.type === "loaded") {
      this.loaded = true;
      this.#worker.unref();
      this.#observer.loaded(this, message.upgrades);
    } else if (message.type === "done") this.#observer.done(this);
    else this.exchange?.receive(message);
  }

  post(message: ToThread, transfer: ArrayBuffer[] = []): void {
    this.#port.postMessage(message, transfer);
    Atomics.add(this.shared, Shared.Sent, 1);
    Atomics.notify(this.shared, Shared.Sent);
  }

  /** Ends it from within, as `process.exit()` does; and by force where that does not help. */
  retire(): void {
    if (this.leaving) return;
    this.leaving = true;
    this.#worker.ref();
    this.post({ type: "exit" });
    const force = expire(LAST_WORDS, () => this.terminate());
    this.#worker.once("exit", () => force?.cancel());
  }

  /** Ends it where it is. */
  terminate(): void {
    this.leaving = true;
    this.#worker.ref();
    void this.#worker.terminate();
  }
}

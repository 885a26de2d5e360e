// The thread's end of its connection with the scheduler. Messages come by the event loop while that turns, and are fetched
// where the thread blocks.
import { type MessagePort, receiveMessageOnPort } from "node:worker_threads";

import { type FromThread, Shared, type ToThread, WINDOW } from "../protocol";

// As it was before anybody patched it.
const { wait } = Atomics;

export class Link {
  readonly #port: MessagePort;
  readonly #shared: Int32Array;
  #receive: (message: ToThread) => void = () => {};
  #fetching = 0;

  constructor(port: MessagePort, shared: Int32Array) {
    this.#port = port;
    this.#shared = shared;
  }

  /** From now on `receive` is given every message, in order, from the event loop or from `poll` and `park`. */
  listen(receive: (message: ToThread) => void): void {
    this.#receive = receive;
    this.#port.on("message", receive);
  }

  post(message: FromThread, transfer: ArrayBuffer[] = []): void {
    this.#port.postMessage(message, transfer);
  }

  /** Whether what is received now was fetched, in the middle of whatever the app does. */
  get fetching(): boolean {
    return this.#fetching > 0;
  }

  /** Takes what has come already. */
  poll(): void {
    while (this.#take());
  }

  /** Puts the thread to sleep until a message comes, and takes that. */
  park(): void {
    for (;;) {
      const sent = Atomics.load(this.#shared, Shared.Sent);
      if (this.#take()) return;
      wait(this.#shared, Shared.Sent, sent);
    }
  }

  #take(): boolean {
    const received = receiveMessageOnPort(this.#port);
    if (received === undefined) return false;
    this.#fetching++;
    try {
      this.#receive(received.message);
    } finally {
      this.#fetching--;
    }
    return true;
  }

  /** Whether more of a response may be sent, of which `sent` bytes have been. If not, "room" will tell. */
  hasRoom(sent: number): boolean {
    if (this.#isInWindow(sent)) return true;
    Atomics.store(this.#shared, Shared.Waiting, 1);
    return this.#isInWindow(sent); // taken meanwhile, perhaps, by somebody who saw nobody wait
  }

  #isInWindow(sent: number): boolean {
    return ((sent - Atomics.load(this.#shared, Shared.Taken)) | 0) <= WINDOW;
  }
}

// Atomics.wait in a fiber suspends it, so that what is built on it (synckit, sync-rpc, a library's own worker with a
// shared buffer) becomes cooperative.
//
// Some libraries send a worker a message, sleep in one place that both know until it has answered, and take the answer
// from a port: two at a time would take each other's. So a fiber that is about to send something to a worker, or into a
// port, is suspended first while another sleeps for the answer, unless this worker has been seen to answer in more than
// one place: then every message has its own, and any number may be under way.
import type { MessagePort } from "node:worker_threads";

import { blockLikeNode as block, type Waiter } from "../runtime/block";
import { type Coroutine, canSuspend, current } from "../runtime/coroutine";
import { calledExclusively } from "./exclusive";
import type { ModulePatch } from "./patching";

type Result = "ok" | "not-equal" | "timed-out";
type WaitArguments = [array: Int32Array, index: number, value: number, timeout?: number];

/** ES2024; TypeScript's libraries before that do not have it, all supported Nodes do. */
type WaitAsync = (...args: WaitArguments) => { async: false; value: Result } | { async: true; value: Promise<Result> };
const { waitAsync } = Atomics as unknown as { waitAsync: WaitAsync };

const LONGEST = 2 ** 31 - 1;

function waitInFiber(...args: WaitArguments): Result {
  return block<Result>((waiter) => {
    const pending = waitAsync(...args);
    if (!pending.async) {
      waiter.resolve(pending.value);
      return;
    }
    // A pending waitAsync does not keep the event loop alive; a thread in Atomics.wait would be.
    const alive = setInterval(() => {}, LONGEST);
    // It cannot be taken back either: a notification that reaches it too late is passed on to the next.
    waiter.discard = (result) => {
      if (result === "ok") Atomics.notify(args[0], args[1], 1);
    };
    pending.value.then((result) => {
      clearInterval(alive);
      waiter.resolve(result);
    });
    return () => clearInterval(alive);
  });
}

/** Somebody to send messages to, who answers by waking fibers that wait somewhere in shared memory. */
class Correspondent {
  static readonly #all = new WeakMap<object, Correspondent>();
  /** How many fibers sleep until it answers. */
  #asked = 0;
  /** In how many places it has been seen to answer. */
  #places = 0;
  #next: Waiter<void>[] = [];

  static of(port: object): Correspondent {
    let one = Correspondent.#all.get(port);
    if (!one) Correspondent.#all.set(port, (one = new Correspondent()));
    return one;
  }

  /** Suspends the running fiber while another waits for an answer in the one place that there is. */
  waitUntilFree(): void {
    while (this.#asked > 0 && this.#places < 2) {
      block<void>((waiter) => {
        this.#next.push(waiter);
        return () => this.#next.splice(this.#next.indexOf(waiter), 1);
      });
    }
  }

  answer<T>(wait: () => T): T {
    this.#asked++;
    try {
      return wait();
    } finally {
      // Those who come next run when this fiber suspends again: when it has taken its answer, or waits on.
      if (--this.#asked === 0) this.#wakeNext();
    }
  }

  answersIn(places: Map<number, Correspondent>, index: number): void {
    if (places.get(index) === this) return;
    places.set(index, this);
    if (++this.#places === 2) this.#wakeNext();
  }

  #wakeNext(): void {
    for (const waiter of this.#next.splice(0)) waiter.resolveLater();
  }
}

/** To whom a fiber has just sent a message: if it waits now, then for the answer. */
let sent: { by: number; to: Correspondent } | null = null;

/** Whose answers wake those who wait at an index of a buffer. */
const answered = new WeakMap<ArrayBufferLike, Map<number, Correspondent>>();

function correspondentAt({ buffer }: Int32Array, index: number): Correspondent | undefined {
  let places = answered.get(buffer);
  if (sent?.by === (current as Coroutine).asyncId) {
    if (!places) answered.set(buffer, (places = new Map()));
    sent.to.answersIn(places, index);
  }
  sent = null;
  return places?.get(index);
}

function send(post: (...args: unknown[]) => unknown): (this: MessagePort, ...args: unknown[]) => unknown {
  return function (...args) {
    if (canSuspend()) {
      const to = Correspondent.of(this);
      to.waitUntilFree();
      sent = { by: (current as Coroutine).asyncId, to };
    }
    return Reflect.apply(post, this, args);
  };
}

export const atomicsPatch: ModulePatch = {
  name: "Atomics",
  apply(define) {
    define.replace(
      Atomics,
      "wait",
      (wait) =>
        function replacement(...args) {
          if (!canSuspend() || calledExclusively(replacement)) return wait(...args);
          const [array, index] = args as WaitArguments;
          if (!ArrayBuffer.isView(array)) return wait(...args); // which says what is wrong
          const correspondent = correspondentAt(array, array.byteOffset / array.BYTES_PER_ELEMENT + Number(index));
          const sleep = () => waitInFiber(...(args as WaitArguments));
          return correspondent ? correspondent.answer(sleep) : sleep();
        },
    );
    const { MessagePort } = globalThis;
    define.replace(MessagePort.prototype, "postMessage", send); // Worker#postMessage calls it
  },
};

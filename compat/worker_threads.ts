// worker_threads: receiving messages in blocking style.
import type { MessagePort, Worker } from "node:worker_threads";

import { refusal } from "../runtime/block";
import { canBlock } from "../runtime/coroutine";
import type { AnyFunction } from "../runtime/disguise";
import { checkLimit, type Limit, sleepOf } from "../runtime/limit";
import { getsFiber } from "../runtime/listener";
import { poll } from "../runtime/park/poll";
import { isDetached } from "../runtime/park/ports";
import { callInOrder, inOrder, listenInFibers } from "./emitters";
import { Inbox } from "./inbox";
import type { ModulePatch } from "./patching";

declare module "worker_threads" {
  interface MessagePort {
    /**
     * The next message itself, in the order in which they were sent; works for `parentPort` too. Suspends the fiber
     * until there is one. Several fibers may wait, each gets another message. The port keeps the process alive while
     * somebody waits, not otherwise.
     *
     * From the first call on, messages that nobody waits for are kept for the next call, unless the port has "message"
     * listeners of the program's own. What is kept is also returned when the limit is 0. Out of a fiber the thread sleeps,
     * so that only other threads can send something.
     * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }; default: without end
     * @throws ERR_CLOSED_MESSAGE_PORT when the port is closed, from either side, and no message is left; Timeout when
     *   the time was over first; AbortError when the signal was aborted first; what its "messageerror" event brings;
     *   ERR_NOT_IN_FIBER out of a fiber, if the port has "message" listeners of the program's own, or for a signal that
     *   is not aborted
     */
    // biome-ignore lint/suspicious/noExplicitAny: any value can be sent
    receiveSync(limit?: Limit): any;
  }
  interface Worker {
    /**
     * The next message that the worker sends with `parentPort.postMessage`. As `MessagePort#receiveSync` otherwise; but
     * a worker's messages are lost while it has neither a "message" listener nor had a first call of this, and it is
     * `worker.unref()` that decides whether it keeps the process alive.
     * @throws ERR_WORKER_NOT_RUNNING when the worker has ended, and no message is left; what its "error" event brings
     *   (out of a fiber it comes as that event)
     */
    // biome-ignore lint/suspicious/noExplicitAny: the same
    receiveSync(limit?: Limit): any;
  }
}

const inboxes = new WeakMap<MessagePort | Worker, Inbox<unknown>>();

/** @param end the event after which no message comes */
function inboxOf(
  source: MessagePort | Worker,
  failure: "error" | "messageerror",
  end: "close" | "exit",
): Inbox<unknown> {
  let inbox = inboxes.get(source);
  if (inbox) return inbox;
  inboxes.set(source, (inbox = new Inbox()));
  const kept = inbox;
  source.on("message", (message: unknown) => kept.wants(source, "message") && kept.put(message));
  source.on(failure as "messageerror", (error: unknown) => kept.wants(source, failure) && kept.fail(error));
  source.on(end as "close", () => kept.close());
  return inbox;
}

function portClosed(): Error {
  return Object.assign(new Error("The message port is closed"), { code: "ERR_CLOSED_MESSAGE_PORT" });
}

function notRunning(): Error {
  return Object.assign(new Error("The worker has ended"), { code: "ERR_WORKER_NOT_RUNNING" });
}

/** Keeps the process alive for the sake of those who wait. */
function whileReferenced<T>(port: MessagePort, inbox: Inbox<unknown>, fn: () => T): T {
  port.ref();
  try {
    return fn();
  } finally {
    if (inbox.waiting === 0 && port.listenerCount("message") === 1) port.unref();
  }
}

/** Whether a port can receive: a closed one cannot be referenced. */
function open(port: MessagePort): boolean {
  port.ref();
  const { hasRef } = port as MessagePort & { hasRef(): boolean }; // new in Node 18.1, unknown to the types
  const open = hasRef.call(port);
  if (port.listenerCount("message") === 0) port.unref();
  return open;
}

/** Out of a fiber: what is kept, else what is in the port. */
function receiveParked(
  source: MessagePort | Worker,
  port: MessagePort | null,
  limit: Limit,
  ended: () => Error,
): unknown {
  const inbox = inboxes.get(source);
  const kept = inbox && inbox.size > 0 && inbox.take(0, receiveParked);
  if (kept) return kept.value;
  // The port is Node's, whose name for it is not known here; or the program's own listeners wait for its messages.
  if (port === null || source.listenerCount("message") > (inbox ? 1 : 0)) throw refusal();
  const ms = sleepOf(limit);
  const { receiveMessageOnPort } = require("node:worker_threads") as typeof import("node:worker_threads");
  const got = poll(ms, () => {
    // For a port that was transferred, or that emits "close", receiveMessageOnPort crashes the process.
    if (isDetached(port)) throw ended();
    return receiveMessageOnPort(port);
  });
  return got.message;
}

/** A worker's messages come by a port that Node keeps in a property that only its code knows. */
function publicPort(worker: Worker): MessagePort | null {
  const symbol = Object.getOwnPropertySymbols(worker).find(({ description }) => description === "kPublicPort");
  const port = symbol && (worker as unknown as Record<symbol, unknown>)[symbol];
  if (port === null) throw notRunning();
  return port instanceof globalThis.MessagePort ? (port as unknown as MessagePort) : null;
}

function receiveFromPort(this: MessagePort, limit: Limit = Number.POSITIVE_INFINITY): unknown {
  checkLimit(limit, "limit");
  if (!canBlock()) return receiveParked(this, this, limit, portClosed);
  if (!inboxes.has(this) && !open(this)) throw portClosed();
  const inbox = inboxOf(this, "messageerror", "close");
  const taken = whileReferenced(this, inbox, () => inbox.take(limit, receiveFromPort));
  if (taken === null) throw portClosed();
  return taken.value;
}

function receiveFromWorker(this: Worker, limit: Limit = Number.POSITIVE_INFINITY): unknown {
  checkLimit(limit, "limit");
  if (!canBlock()) return receiveParked(this, publicPort(this), limit, notRunning);
  if (!inboxes.has(this) && this.threadId === -1) throw notRunning();
  const taken = inboxOf(this, "error", "exit").take(limit, receiveFromWorker);
  if (taken === null) throw notRunning();
  return taken.value;
}

type Listener = AnyFunction & { handler?: unknown };

/** What is registered in a listener's place: always the same, so that it can be taken back. */
const inFibers = new WeakMap<Listener, AnyFunction>();

function inFiber(listener: unknown): unknown {
  if (typeof listener !== "function") return listener;
  const known = inFibers.get(listener as Listener);
  if (known) return known;
  const made = function (this: MessagePort, ...args: unknown[]): void {
    const { handler = listener } = listener as Listener; // of Node's own function, behind `onmessage`
    if (getsFiber(handler)) callInOrder(this, listener as Listener, this, args, "message");
    else Reflect.apply(listener, this, args);
  };
  inFibers.set(listener as Listener, made);
  return made;
}

export const workerThreadsPatch: ModulePatch = {
  name: "worker_threads",
  apply(define) {
    // All other ways to listen, `on` and `onmessage` among them, lead here.
    for (const key of ["addEventListener", "removeEventListener"]) {
      define.replace(
        globalThis.MessagePort.prototype,
        key,
        (original) =>
          function (this: MessagePort, type: unknown, listener: unknown, ...rest: unknown[]) {
            return Reflect.apply(original, this, [type, inFiber(listener), ...rest]);
          },
      );
    }
    define.add(globalThis.MessagePort.prototype, "receiveSync", receiveFromPort);
    const { Worker } = require("node:worker_threads") as typeof import("node:worker_threads"); // not before it is asked for
    define.add(Worker.prototype, "receiveSync", receiveFromWorker);
    listenInFibers(define, Worker.prototype, inOrder);
  },
};

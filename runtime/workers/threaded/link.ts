// The thread of some objects, seen from here: orders, and what comes back. An order suspends the fiber that gives it; where
// none can be suspended, this thread sleeps until it is carried out, as it would if the objects lived here.
import path = require("node:path");

import type { MessagePort, Worker } from "node:worker_threads";
import { block, type Waiter, withFiberStack } from "../../block";
import { canBlock, currentRoot, pinned } from "../../coroutine";
import { threadEnded, threadLost } from "../../errors";
import { wrap } from "../../listener";
import { type Cargo, pack, unpack } from "../cargo";
import { inheritedOptions } from "../inherited";
import { Functions } from "./functions";
import {
  type Argument,
  type ObjectThreadData,
  type Operation,
  ORDERS,
  type Order,
  type Outcome,
  REPORTS,
  type Reference,
  type Report,
} from "./protocol";
import { Proxies } from "./proxies";

// As they were before anybody patched them.
const { wait: sleep } = Atomics;
const { setImmediate } = require("node:timers") as typeof import("node:timers");

/** After so many milliseconds asleep it is looked whether the thread still lives, which may have had no chance to tell. */
const LOOK_EVERY = 500;

type Call = Extract<Report, { calls: number }>;
type Answer = Exclude<Extract<Report, { id: number }>, Call>;

/** An order that was given, and what has come back and was not looked at yet. */
class Pending {
  readonly inbox: (Call | Answer)[] = [];
  waiter: Waiter<void> | null = null;
  /** What functions that were called under it have thrown. */
  readonly thrown = new Map<number, unknown>();
}

export class Link {
  readonly proxies: Proxies;
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #receive: (port: MessagePort) => { message: Report } | undefined;
  readonly #counters = new Int32Array(new SharedArrayBuffer(8));
  readonly #pending = new Map<number, Pending>();
  readonly #functions = new Functions();
  readonly #within = new WeakMap<object, number[]>(); // by fiber: invocations that it answers, innermost last
  readonly #hub = {}; // stands for none there
  #lastOrder = 0;
  #lastThrown = 0;
  #thread = 0;
  #open = true; // the port
  #end: (() => Error) | null = null;

  constructor(url: string) {
    const { MessageChannel, receiveMessageOnPort, Worker } =
      require("node:worker_threads") as typeof import("node:worker_threads");
    const { port1, port2 } = new MessageChannel();
    const workerData: ObjectThreadData = { url, port: port2, counters: this.#counters };
    const filename = path.join(__dirname, "object-thread.js");
    this.#worker = new Worker(filename, { ...inheritedOptions(), workerData, transferList: [port2] });
    this.#port = port1;
    this.#receive = receiveMessageOnPort as never;
    this.proxies = new Proxies(this, (objects) => this.#post({ release: objects }));
    port1.on("message", (report: Report) => this.#hear(report, false));
    port1.unref();
    this.#worker.unref();
    this.#worker.on("error", (error) => this.#lose(`an uncaught error, ${error?.message ?? error}`, error));
    let exitCode: number | null = null;
    const end = () => exitCode !== null && !this.#open && this.#lose(`with exit code ${exitCode}`);
    this.#worker.on("exit", (code) => {
      exitCode = code;
      end(); // but not before all that it has said was heard
    });
    port1.on("close", () => {
      this.#open = false;
      if (this.#end === null) this.#worker.ref(); // it is about to exit
      end();
    });
  }

  /** Has something done and blocks until it is. Throws what it throws. */
  perform(operation: Operation): unknown {
    if (this.#end !== null) throw this.#end();
    const id = ++this.#lastOrder;
    const pending = new Pending();
    const within = this.#within.get(currentRoot() ?? this.#hub)?.at(-1) ?? 0;
    this.#post({ id, within, operation });
    this.#pending.set(id, pending);
    this.#port.ref();
    try {
      for (;;) {
        const report = this.#next(pending);
        if ("calls" in report) this.#answer(report, pending);
        else return this.#outcome(report.outcome, pending);
      }
    } finally {
      this.#pending.delete(id);
      if (this.#pending.size === 0 && this.#open) this.#port.unref();
    }
  }

  /** @param name what people call it */
  pack(value: unknown, name: string): Cargo {
    return pack(value, name, { certain: true, replace: (object) => this.#argument(object) });
  }

  /** Ends the thread. Whoever waits for something there, and whoever wants something from then on, gets ERR_THREAD_ENDED. */
  end(): void {
    this.#close(() => threadEnded("The thread of this object was ended"));
    this.#worker.terminate();
  }

  /** Ends the thread if nobody here can reach it, nor it anybody here. */
  endIfUnused(): void {
    if (this.proxies.size === 0 && this.#pending.size === 0 && this.#functions.size === 0) this.end();
  }

  #argument(object: object): Argument | undefined {
    const own = this.proxies.numberOf(object);
    if (own !== undefined) return { own };
    if (typeof object !== "function") return undefined;
    const { name, length } = object;
    return { called: this.#functions.numberOf(object), name: String(name), length: Number(length) };
  }

  #post(order: Order): void {
    if (this.#end !== null) return;
    // So that a patched postMessage does not take it for the beginning of a conversation of this fiber's.
    pinned("it speaks to another thread", () => this.#port.postMessage(order));
    Atomics.add(this.#counters, ORDERS, 1);
    Atomics.notify(this.#counters, ORDERS);
  }

  #next(pending: Pending): Call | Answer {
    if (pending.inbox.length === 0) {
      if (canBlock()) {
        block<void>((waiter) => {
          pending.waiter = waiter;
        });
        pending.waiter = null;
      } else pinned("its thread sleeps", () => this.#sleepUntilHeard(pending));
    }
    return pending.inbox.shift() as Call | Answer;
  }

  #sleepUntilHeard(pending: Pending): void {
    while (pending.inbox.length === 0) {
      const seen = Atomics.load(this.#counters, REPORTS);
      const next = this.#open ? this.#receive(this.#port) : undefined; // Node crashes if the port has told its end
      if (next !== undefined) this.#hear(next.message, true);
      else if (sleep(this.#counters, REPORTS, seen, LOOK_EVERY) === "timed-out" && this.#isGone()) {
        this.#lose("it was terminated, perhaps for want of memory");
      }
    }
  }

  #isGone(): boolean {
    if (!this.#open) return true;
    if (this.#thread === 0) return false; // nobody can tell
    try {
      return !process.kill(this.#thread, 0);
    } catch {
      return true;
    }
  }

  /** @param asleep whether this thread sleeps for one of its fibers, or none, and others must wait */
  #hear(report: Report, asleep: boolean): void {
    if ("shape" in report) this.proxies.addShape(report.shape, report.methods);
    else if ("forget" in report) this.#forget(report.forget, report.times);
    else if ("thread" in report) this.#thread = report.thread;
    else if ("ends" in report) this.#lose(report.ends, report.error && this.#unpack(report.error));
    else this.#hearOf(report, asleep);
  }

  #hearOf(report: Call | Answer, asleep: boolean): void {
    const pending = this.#pending.get(report.id);
    if (pending !== undefined) {
      pending.inbox.push(report);
      if (asleep) pending.waiter?.resolveLater();
      else pending.waiter?.resolve();
    } else if (!("calls" in report)) {
      // Nobody wants it any more; what it refers to is let go.
      this.#unpack("value" in report.outcome ? report.outcome.value : report.outcome.failure);
    } else if (report.id === 0) {
      const call = () => this.#call(report, true);
      if (asleep) setImmediate(call);
      else call();
    } else {
      const failure = this.pack(threadEnded("Whoever has made this call does not wait for it any more"), "error");
      this.#post({ answerTo: report.invocation, outcome: { failure } });
    }
  }

  #call({ calls, self, args }: Call, inFiber: boolean): unknown {
    const fn = this.#functions.get(calls);
    return Reflect.apply(inFiber ? wrap(fn) : fn, this.#unpack(self), this.#unpack(args) as unknown[]);
  }

  /** Calls a function on behalf of the thread, which waits for it; orders that it gives meanwhile are part of its own. */
  #answer(call: Call, pending: Pending): void {
    const caller = currentRoot() ?? this.#hub;
    let invocations = this.#within.get(caller);
    if (invocations === undefined) this.#within.set(caller, (invocations = []));
    invocations.push(call.invocation);
    let outcome: Outcome;
    try {
      outcome = { value: this.pack(this.#call(call, false), "what the function returns") };
    } catch (error) {
      outcome = { failure: this.#failure(error, pending) };
    } finally {
      invocations.pop();
    }
    this.#post({ answerTo: call.invocation, outcome });
  }

  #failure(error: unknown, pending: Pending): Cargo {
    if (!(error instanceof Error)) return this.pack(error, "what the function throws");
    const thrown = ++this.#lastThrown;
    pending.thrown.set(thrown, error);
    const copy = pack(error, "error");
    return pack(error, "error", {
      replace: (object): Argument | undefined => (object === error ? { thrown, copy } : undefined),
    });
  }

  #outcome(outcome: Outcome, pending: Pending): unknown {
    if ("value" in outcome) return this.#unpack(outcome.value, pending);
    const error = this.#unpack(outcome.failure, pending);
    throw [...pending.thrown.values()].includes(error) ? error : withFiberStack(error, this.perform);
  }

  #unpack(cargo: Cargo, pending?: Pending): unknown {
    return unpack(cargo, (content) => {
      const reference = content as Reference;
      if ("object" in reference) return this.proxies.proxyOf(reference);
      return "called" in reference ? this.#functions.get(reference.called) : pending?.thrown.get(reference.thrown);
    });
  }

  #forget(fn: number, times: number): void {
    this.#functions.forget(fn, times);
    this.endIfUnused();
  }

  #lose(why: string, cause?: unknown): void {
    this.#close(() => threadLost(why, cause));
  }

  #close(error: () => Error): void {
    if (this.#end !== null) return;
    this.#end = error;
    for (const [id, pending] of this.#pending) {
      pending.inbox.push({ id, outcome: { failure: pack(error(), "error") } });
      pending.waiter?.resolveLater();
    }
    this.#port.close();
  }
}

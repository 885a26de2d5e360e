// The engine of worker threads: needs no addon. The main thread gives each request to a thread that has the app loaded and
// nothing else to do; what blocks in the handler, blocks that thread alone.
//
// (Not on piscina: it takes tasks that end with a value, this is about conversations. It starts no thread in the place of one
// that crashed under requests that wait, gives up on the first that cannot load the app, and starts as many at once as there
// are requests.)
import type http = require("node:http");
import os = require("node:os");
import path = require("node:path");

import type { ResourceLimits } from "node:worker_threads";

import { type Expiry, expire } from "../../../runtime/clock";
import {
  checkCount,
  checkDuration,
  invalidArgument,
  outOfRange,
  requestTimedOut,
  threadLost,
} from "../../../runtime/errors";
import { LinkedList, type Place } from "../../../runtime/sync/linked-list";
import type { Engine } from "../engine";
import { logFailure, refuse } from "../failure";
import { asksForUpgrade } from "../upgrade";
import { Exchange } from "./exchange";
import { Thread, type ThreadObserver } from "./thread";

export interface WorkersOptions {
  /** Threads that are always there; one is, until it has loaded the app. Default: 1. */
  min?: number | undefined;
  /** The most that there may be. Default: 64. */
  max?: number | undefined;
  /** Milliseconds after which a thread that has nothing to do ends, where there are more than `min`. Default: 10,000. */
  idleTimeout?: number | undefined;
  /** Requests that may wait for a thread; those above that are answered with 503. Default: 10,000. */
  maxQueue?: number | undefined;
  /**
   * Milliseconds from when a request has a thread until the response has been sent, and the handler has returned. Then the
   * thread is terminated, and the client is answered with 504; or its connection is cut, where the response has begun. Who
   * has waited for a thread for as long is answered with 503. Default: Infinity.
   */
  requestTimeout?: number | undefined;
  /** The most memory that a thread may use, as for `new Worker`. Default: Node's. */
  resourceLimits?: ResourceLimits | undefined;
}

export interface WorkersEngine extends Engine {
  /** Settles when the first thread has loaded the app, or has failed to: then the engine answers 503. */
  readonly ready: Promise<void>;
  /** Threads that there are, those that have a request, and requests that wait for one. */
  readonly counts: { threads: number; busy: number; waiting: number };
}

/**
 * An engine that runs the app which a module exports in worker threads, one request a thread at a time.
 * @param file the app's module: CommonJS, an ES module, or TypeScript (on Node 20 by tsx, if it is installed)
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
 */
export function createWorkersEngine(file: string, options: WorkersOptions = {}): WorkersEngine {
  if (typeof file !== "string") throw invalidArgument("file", "of type string", file);
  const { min = 1, max = Math.max(64, min), idleTimeout = 10_000, maxQueue = 10_000 } = options;
  const { requestTimeout = Number.POSITIVE_INFINITY, resourceLimits } = options;
  checkCount(min, "options.min");
  checkCount(max, "options.max", 1);
  if (min > max) throw outOfRange("options.min", `at most options.max, ${max}`, min);
  checkDuration(idleTimeout, "options.idleTimeout");
  checkCount(maxQueue, "options.maxQueue");
  checkDuration(requestTimeout, "options.requestTimeout");
  return new Scheduler(path.resolve(file), { min, max, idleTimeout, maxQueue, requestTimeout, resourceLimits });
}

type Settings = { [Name in Exclude<keyof WorkersOptions, "resourceLimits">]-?: number } & {
  resourceLimits: ResourceLimits | undefined;
};

const LATER = { "retry-after": "1" };

/** Threads that load the app at the same time: more would only take each other's processors. */
const AT_ONCE = os.availableParallelism();

/** Milliseconds without new threads after one could not load the app; twice as long after each further failure. */
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 10_000;

class Scheduler implements WorkersEngine, ThreadObserver {
  readonly ready: Promise<void>;
  readonly #file: string;
  readonly #settings: Settings;
  readonly #threads = new Set<Thread>();
  /** Threads that were told to end, and have not yet. */
  readonly #leaving = new Set<Thread>();
  /** The one that was busy last is busy next, so that those which are not needed stay idle. */
  readonly #idle: Thread[] = [];
  #everLoaded = false;
  /** The app would take upgrades. */
  #refusesUpgrades = false;
  readonly #idleTimers = new Map<Thread, Expiry | null>();
  readonly #waiting = new LinkedList<Exchange>();
  #starting = 0;
  #failures = 0;
  #paused = false;
  /** The app has never been loaded, and could not be. */
  #broken = false;
  #settleReady!: { resolve(): void; reject(error: unknown): void };
  #closing: { promise: Promise<void>; resolve(): void; timers: Expiry[] } | null = null;

  constructor(file: string, settings: Settings) {
    this.#file = file;
    this.#settings = settings;
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = { resolve, reject };
    });
    this.#grow();
  }

  get counts(): WorkersEngine["counts"] {
    let busy = 0;
    for (const { exchange } of this.#threads) if (exchange !== null) busy++;
    return { threads: this.#threads.size, busy, waiting: this.#waiting.size };
  }

  handle(req: http.IncomingMessage, res: http.ServerResponse): void {
    if (this.#refusesUpgrades && asksForUpgrade(req)) {
      refuse(res, 501);
      return;
    }
    const thread = this.#closing === null ? this.#idle.pop() : undefined;
    if (thread === undefined && !this.#mayWait) {
      refuse(res, 503, this.#closing ? { ...LATER, connection: "close" } : LATER);
      return;
    }
    let place: Place<Exchange> | null = null;
    const exchange = new Exchange(req, res, () => {
      if (place?.linked) exchange.finish();
      if (place) this.#waiting.remove(place);
    });
    if (thread) this.#begin(thread, exchange);
    else {
      place = this.#waiting.append(exchange);
      exchange.expiry = expire(this.#settings.requestTimeout, () => {
        if (place) this.#waiting.remove(place);
        exchange.fail(503, LATER);
      });
      this.#grow();
    }
  }

  get #mayWait(): boolean {
    if (this.#closing !== null || this.#broken) return false;
    if (this.#paused && this.#threads.size === 0) return false;
    return this.#waiting.size < this.#settings.maxQueue;
  }

  #begin(thread: Thread, exchange: Exchange): void {
    this.#idleTimers.get(thread)?.cancel();
    this.#idleTimers.delete(thread);
    thread.exchange = exchange;
    exchange.expiry?.cancel();
    exchange.expiry = expire(this.#settings.requestTimeout, () => this.#timeOut(thread, exchange));
    exchange.begin(thread);
  }

  /** Starts threads for those who wait, and the least number. */
  #grow(): void {
    if (this.#paused || this.#broken) return;
    while (this.#starting < AT_ONCE && this.#needsMore) {
      this.#starting++;
      this.#threads.add(new Thread(this.#file, this.#settings.resourceLimits, this));
    }
  }

  get #needsMore(): boolean {
    const { min, max } = this.#settings;
    const { size } = this.#threads;
    // One that is to end, and is deep in native code, may take its time. Not any number of them, though.
    if (size >= max || size + this.#leaving.size >= 2 * max) return false;
    const least = this.#everLoaded ? min : Math.max(1, min);
    return (size < least && this.#closing === null) || this.#waiting.size > this.#starting;
  }

  loaded(thread: Thread, upgrades: boolean): void {
    if (upgrades && !this.#refusesUpgrades) {
      this.#refusesUpgrades = true;
      console.error(`${this.#file} takes upgrades, which the engine "workers" cannot: their clients get 501`);
    }
    if (thread.leaving) return;
    this.#starting--;
    this.#failures = 0;
    this.#everLoaded = true;
    this.#settleReady.resolve();
    this.#free(thread);
    this.#grow();
  }

  done(thread: Thread): void {
    thread.exchange?.finish();
    thread.exchange = null;
    if (!thread.leaving) this.#free(thread);
  }

  #free(thread: Thread): void {
    const first = this.#waiting.first;
    if (first !== null) {
      this.#waiting.remove(first);
      this.#begin(thread, first.value);
    } else if (this.#closing !== null) this.#retire(thread);
    else {
      this.#idle.push(thread);
      const timer = expire(this.#settings.idleTimeout, () => this.#shrink(thread));
      timer?.unref();
      this.#idleTimers.set(thread, timer);
    }
  }

  #shrink(thread: Thread): void {
    if (this.#threads.size > this.#settings.min) this.#retire(thread);
  }

  /** Ends a thread that has nothing to do. */
  #retire(thread: Thread): void {
    this.#remove(thread);
    this.#leaving.add(thread);
    thread.retire();
  }

  #terminate(thread: Thread): void {
    this.#remove(thread);
    this.#leaving.add(thread);
    thread.terminate();
  }

  /** False if it was removed before. */
  #remove(thread: Thread): boolean {
    if (!this.#threads.delete(thread)) return false;
    if (!thread.loaded) this.#starting--;
    const at = this.#idle.indexOf(thread);
    if (at >= 0) this.#idle.splice(at, 1);
    this.#idleTimers.get(thread)?.cancel();
    this.#idleTimers.delete(thread);
    return true;
  }

  #timeOut(thread: Thread, exchange: Exchange): void {
    if (thread.exchange !== exchange) {
      exchange.cut(); // its client does not take what the thread has answered
      return;
    }
    logFailure(exchange.req, exchange.res, requestTimedOut(this.#settings.requestTimeout));
    thread.exchange = null;
    this.#terminate(thread);
    exchange.fail(504);
    this.#grow();
  }

  ended(thread: Thread, code: number, error: unknown): void {
    this.#leaving.delete(thread);
    if (this.#remove(thread)) {
      if (!thread.loaded) this.#failToLoad(error ?? threadLost(`with code ${code}, while it loaded the app`));
      else this.#lose(thread, error ?? threadLost(`with code ${code}, in a request`));
      this.#grow();
    }
    this.#endIfClosed();
  }

  /** A thread has crashed, and its request with it. */
  #lose({ exchange }: Thread, error: unknown): void {
    if (exchange === null) console.error("A worker thread that had no request has failed:", error);
    else {
      logFailure(exchange.req, exchange.res, error);
      exchange.fail(500);
    }
  }

  #failToLoad(error: unknown): void {
    if (!this.#everLoaded) {
      this.#broken = true;
      this.#settleReady.reject(error);
    } else {
      console.error(`A worker thread could not load ${this.#file}:`, error);
      if (!this.#paused) this.#pause();
    }
    if (!this.#threads.size) this.#refuseWaiting();
  }

  #pause(): void {
    this.#paused = true;
    const ms = Math.min(FIRST_PAUSE * 2 ** this.#failures++, LONGEST_PAUSE);
    const timer = expire(ms, () => {
      this.#paused = false;
      this.#grow();
    });
    timer?.unref();
  }

  #refuseWaiting(): void {
    for (let place = this.#waiting.first; place !== null; place = this.#waiting.first) {
      this.#waiting.remove(place);
      place.value.fail(503, LATER);
    }
  }

  close(grace: number): Promise<void> {
    checkDuration(grace, "grace");
    if (this.#closing === null) {
      let resolve = () => {};
      const promise = new Promise<void>((settle) => {
        resolve = settle;
      });
      this.#closing = { promise, resolve, timers: [] };
      this.#settleReady.resolve();
      for (const thread of [...this.#idle]) this.#retire(thread);
      if (this.#waiting.size === 0) this.#terminateStarting();
    }
    const timer = expire(grace, () => this.#endAll());
    if (timer) this.#closing.timers.push(timer);
    this.#endIfClosed();
    return this.#closing.promise;
  }

  #terminateStarting(): void {
    for (const thread of [...this.#threads]) if (!thread.loaded) this.#terminate(thread);
  }

  /** The time is over. */
  #endAll(): void {
    this.#refuseWaiting();
    for (const thread of [...this.#threads]) {
      thread.exchange?.fail(503);
      this.#terminate(thread);
    }
    for (const thread of this.#leaving) thread.terminate();
  }

  #endIfClosed(): void {
    if (this.#closing === null || this.#threads.size + this.#leaving.size > 0) return;
    for (const timer of this.#closing.timers) timer.cancel();
    this.#closing.resolve();
  }
}

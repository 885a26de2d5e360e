// The engine of fibers: a fiber for each request and each upgrade, on the hub of this thread.
import type http = require("node:http");

import { chunksSync, endSync, readSync, textSync, writeSync } from "../../compat/stream";
import { expire } from "../../runtime/clock";
import { LinkedList } from "../../runtime/sync/linked-list";
import { type App, handlerOf } from "./app";
import type { Engine } from "./engine";
import { refuse } from "./failure";
import type { Job } from "./job";
import { type Handler, RequestJob } from "./request-job";
import type { Upgrade, UpgradeHandler } from "./upgrade";
import { UpgradeJob } from "./upgrade-job";

type Request = http.IncomingMessage;
type Response = http.ServerResponse;

export interface FibersOptions {
  /** What takes upgrades; without it they are requests as any other. */
  upgrade?: UpgradeHandler | undefined;
  /** Handlers that may have begun and not ended; requests above that wait for their turn. */
  maxFibers: number;
  /** Milliseconds from a request's head to the end of its response, or to the answer to an upgrade; Infinity: without end. */
  requestTimeout: number;
}

export function createFibersEngine(app: App, options: FibersOptions): Engine {
  return new FibersEngine(handlerOf(app), options);
}

class FibersEngine implements Engine {
  readonly upgrade: Engine["upgrade"];
  readonly #handler: Handler;
  readonly #maxFibers: number;
  readonly #requestTimeout: number;
  readonly #jobs = new Set<Job>();
  readonly #waiting = new LinkedList<Job>();
  #handlers = 0;
  #whenIdle: (() => void)[] | null = null;

  constructor(handler: Handler, { upgrade, maxFibers, requestTimeout }: FibersOptions) {
    this.#handler = handler;
    this.#maxFibers = maxFibers;
    this.#requestTimeout = requestTimeout;
    this.upgrade = upgrade && ((request) => this.#upgrade(upgrade, request));
  }

  handle(req: Request, res: Response): void {
    if (this.#whenIdle !== null) {
      refuse(res, 503);
      return;
    }
    complete(req);
    complete(res);
    this.#add(new RequestJob(this.#handler, req, res, this.#requestTimeout));
  }

  #upgrade(handler: UpgradeHandler, upgrade: Upgrade): void {
    if (this.#whenIdle !== null) {
      upgrade.refuse(503);
      return;
    }
    complete(upgrade.req);
    complete(upgrade.socket);
    this.#add(new UpgradeJob(handler, upgrade, this.#requestTimeout));
  }

  close(grace: number): Promise<void> {
    this.#whenIdle ??= [];
    if (this.#jobs.size === 0) return Promise.resolve();
    const stop = () => {
      for (const job of this.#jobs) job.stop("the server is shut down", 503);
    };
    const timer = expire(grace, stop);
    return new Promise((resolve) => {
      this.#whenIdle?.push(() => {
        timer?.cancel();
        resolve();
      });
    });
  }

  #add(job: Job): void {
    this.#jobs.add(job);
    job.whenOver = () => this.#remove(job);
    job.whenReturned = () => this.#next();
    if (this.#handlers < this.#maxFibers) this.#begin(job);
    else job.place = this.#waiting.append(job);
  }

  #begin(job: Job): void {
    this.#handlers++;
    job.begin();
  }

  /** A handler has ended. */
  #next(): void {
    this.#handlers--;
    const place = this.#waiting.first;
    if (place === null) return;
    this.#waiting.remove(place);
    this.#begin(place.value);
  }

  /** Nothing is left of a request. */
  #remove(job: Job): void {
    this.#jobs.delete(job);
    if (job.place) this.#waiting.remove(job.place);
    if (this.#jobs.size > 0 || this.#whenIdle === null) return;
    for (const idle of this.#whenIdle.splice(0)) idle();
  }
}

/** Gives a stream the blocking calls that the patch would give it, where there is no patch. */
function complete(stream: object): void {
  if ("read" in stream && !("readSync" in stream)) Object.assign(stream, { readSync, chunksSync, textSync });
  if ("write" in stream && !("writeSync" in stream)) Object.assign(stream, { writeSync, endSync });
}

// The engine of fibers: a fiber for each request, on the hub of this thread.
import type http = require("node:http");

import { chunksSync, endSync, readSync, textSync, writeSync } from "../../compat/stream";
import { type Expiry, expire } from "../../runtime/clock";
import { begin } from "../../runtime/coroutine";
import { FiberExit } from "../../runtime/errors";
import { Fiber, newRecord } from "../../runtime/fiber";
import { startsFiber } from "../../runtime/listener";
import { LinkedList, type Place } from "../../runtime/sync/linked-list";
import { type App, handlerOf } from "./app";
import type { Engine } from "./engine";
import { fail, hasGone, logFailure, nameOf, refuse } from "./failure";
import { streaming } from "./respond";

type Request = http.IncomingMessage;
type Response = http.ServerResponse;
type Handler = (req: Request, res: Response) => void;

export interface FibersOptions {
  /** Handlers that may have begun and not ended; requests above that wait for their turn. */
  maxFibers: number;
  /** Milliseconds from a request's head to the end of its response; Infinity: without end. */
  requestTimeout: number;
}

export function createFibersEngine(app: App, options: FibersOptions): Engine {
  return new FibersEngine(handlerOf(app), options);
}

class FibersEngine implements Engine {
  readonly #handler: Handler;
  readonly #maxFibers: number;
  readonly #requestTimeout: number;
  readonly #jobs = new Set<Job>();
  readonly #waiting = new LinkedList<Job>();
  #handlers = 0;
  #whenIdle: (() => void)[] | null = null;

  constructor(handler: Handler, { maxFibers, requestTimeout }: FibersOptions) {
    this.#handler = handler;
    this.#maxFibers = maxFibers;
    this.#requestTimeout = requestTimeout;
  }

  handle(req: Request, res: Response): void {
    if (this.#whenIdle !== null) {
      refuse(res, 503);
      return;
    }
    complete(req, res);
    const job = new Job(this.#handler, req, res, this.#requestTimeout);
    this.#jobs.add(job);
    job.whenOver = () => this.#remove(job);
    job.whenReturned = () => this.#next();
    if (this.#handlers < this.#maxFibers) this.#begin(job);
    else job.place = this.#waiting.append(job);
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

/** One request: over when its handler has returned and its response has been sent, or nobody is there to send it to. */
class Job {
  whenOver = () => {};
  whenReturned = () => {};
  /** Its place among those that wait for their turn. */
  place: Place<Job> | null = null;
  readonly #req: Request;
  readonly #res: Response;
  /** Not the fiber itself, which is to be unwound, like any other, when nothing can resume it any more. */
  readonly #fiber: WeakRef<Fiber>;
  /** Nobody else knows it before it has begun. */
  #unbegun: Fiber | null;
  readonly #timer: Expiry | null;
  /** What kills it when the client has gone. */
  #left: FiberExit | null = null;
  #isReturned = false;
  #closed = false;

  constructor(handler: Handler, req: Request, res: Response, requestTimeout: number) {
    this.#req = req;
    this.#res = res;
    const fiber = new Fiber(run, {}, this, [handler, req, res], newRecord(nameOf(req)));
    fiber.atEnd(() => this.returned()); // killed before it has begun, perhaps
    this.#fiber = new WeakRef(fiber);
    this.#unbegun = fiber;
    this.#timer = expire(requestTimeout, () => this.stop(`no response within ${requestTimeout} ms`, 504));
    res.once("close", () => this.#close());
    res.on("error", (error) => logFailure(req, res, error)); // written to after its end, for one
  }

  begin(): void {
    const fiber = this.#unbegun as Fiber;
    this.#unbegun = null;
    if (startsFiber()) begin(fiber);
    else fiber.start();
  }

  /** Answers in the handler's place, and kills it. */
  stop(why: string, status: number): void {
    if (!this.#closed && this.#res.writableEnded)
      this.#res.destroy(); // the client does not take it
    else refuse(this.#res, status);
    if (this.#unbegun === null) this.#fiber.deref()?.interruptLater(exit(why));
    else this.#close();
  }

  /** The handler has thrown. */
  failed(error: unknown): void {
    if (!(error instanceof FiberExit)) fail(this.#req, this.#res, error);
    else if (error !== this.#left) {
      logFailure(this.#req, this.#res, error);
      refuse(this.#res, 503);
    }
  }

  /** The handler has ended, or never will begin. */
  returned(): void {
    if (this.#isReturned) return;
    this.#isReturned = true;
    this.whenReturned();
    if (this.#closed) this.whenOver();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    if (this.#isReturned || this.#unbegun !== null) this.whenOver();
    else if (hasGone(this.#res) && streaming.has(this.#res)) this.#leave();
  }

  /** What yields a body has nothing else to do, and may be about to wait for long before it yields again. */
  #leave(): void {
    this.#left = exit("the client has gone");
    this.#fiber.deref()?.interruptLater(this.#left);
  }
}

function run(this: Job, handler: Handler, req: Request, res: Response): void {
  try {
    handler(req, res);
  } catch (error) {
    this.failed(error);
  } finally {
    this.returned();
  }
}

/** Its trace is to show where the fiber was, and not who has killed it. */
function exit(why: string): FiberExit {
  const error = new FiberExit(why);
  error.stack = `${error.name}: ${why}`;
  return error;
}

/** Gives a request and its response the blocking calls that the patch would give them, where there is no patch. */
function complete(req: Request, res: Response): void {
  if (!("readSync" in req)) Object.assign(req, { readSync, chunksSync, textSync });
  if (!("writeSync" in res)) Object.assign(res, { writeSync, endSync });
}

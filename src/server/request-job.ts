// One request in a fiber: over when its handler has returned and its response has been sent, or nobody is there to send it to.
import type http = require("node:http");

import { type Expiry, expire } from "../../runtime/clock";
import { FiberExit } from "../../runtime/errors";
import type { handlerOf } from "./app";
import { fail, hasGone, logFailure, nameOf, refuse } from "./failure";
import { exit, Job } from "./job";
import { streaming } from "./respond";

export type Handler = ReturnType<typeof handlerOf>;

export class RequestJob extends Job {
  readonly #handler: Handler;
  readonly #req: http.IncomingMessage;
  readonly #res: http.ServerResponse;
  readonly #timer: Expiry | null;
  /** What kills it when the client has gone. */
  #left: FiberExit | null = null;

  constructor(handler: Handler, req: http.IncomingMessage, res: http.ServerResponse, requestTimeout: number) {
    super(nameOf(req));
    this.#handler = handler;
    this.#req = req;
    this.#res = res;
    this.#timer = expire(requestTimeout, () => this.stop(`no response within ${requestTimeout} ms`, 504));
    res.once("close", () => this.#ended());
    res.on("error", (error) => logFailure(req, res, error)); // written to after its end, for one
  }

  override stop(why: string, status: number): void {
    if (!this.isClosed && this.#res.writableEnded)
      this.#res.destroy(); // the client does not take it
    else refuse(this.#res, status);
    this.interrupt(exit(why));
  }

  protected override handle(): void {
    this.#handler(this.#req, this.#res);
  }

  protected override failed(error: unknown): void {
    if (!(error instanceof FiberExit)) fail(this.#req, this.#res, error);
    else if (error !== this.#left) {
      logFailure(this.#req, this.#res, error);
      refuse(this.#res, 503);
    }
  }

  #ended(): void {
    this.#timer?.cancel();
    if (this.close() && this.isRunning && hasGone(this.#res) && streaming.has(this.#res)) this.#leave();
  }

  /** What yields a body has nothing else to do, and may be about to wait for long before it yields again. */
  #leave(): void {
    this.#left = exit("the client has gone");
    this.interrupt(this.#left);
  }
}

// One request in the thread, from its head until the thread is free again.
import type http = require("node:http");

import { fail } from "../../failure";
import type { RequestHead, ToThread } from "../protocol";
import type { Link } from "./link";
import { Outbound } from "./outbound";
import { Inbound } from "./request";
import { Responding } from "./response";
import { ClientSocket } from "./socket";

export type Handler = (req: http.IncomingMessage, res: http.ServerResponse) => void;

export class Handling {
  readonly #link: Link;
  readonly #outbound: Outbound;
  readonly #socket: ClientSocket;
  readonly #inbound: Inbound;
  readonly #responding: Responding;
  readonly #done: () => void;
  #returned = false;
  #finished = false;
  #gone = false;
  #over = false;

  /** @param done called when the thread is free */
  constructor(link: Link, head: RequestHead, done: () => void) {
    this.#link = link;
    this.#done = done;
    this.#outbound = new Outbound(link);
    this.#socket = new ClientSocket(head.socket, this.#outbound, () => this.#destroyed());
    this.#inbound = new Inbound(head, this.#socket, link);
    const { req } = this.#inbound;
    this.#responding = new Responding(req, head.keepAlive, this.#socket, this.#outbound, link, () => this.#finish());
    // As Node's server does.
    this.#socket.on("error", () => {});
    this.#socket.on("close", () => {
      if (!this.#finished) req.destroy(aborted());
      this.#responding.close();
      this.#settle();
    });
  }

  /** Runs the handler, on the thread's own stack. The response may be a matter of later, in Node's style. */
  run(handler: Handler): void {
    const { req } = this.#inbound;
    const { res } = this.#responding;
    try {
      handler(req, res);
    } catch (error) {
      fail(req, res, error);
    }
    this.#returned = true;
    this.#settle();
  }

  receive(message: ToThread): void {
    if (message.type === "chunk") this.#inbound.chunk(message.chunk);
    else if (message.type === "complete") this.#complete(message.trailers);
    else if (message.type === "room") this.#outbound.roomMayBe();
    else if (message.type === "gone") this.#leave(message.code, message.message);
  }

  #complete(trailers: string[]): void {
    this.#inbound.complete(trailers);
    this.#settle();
  }

  /** As Node's server does when a connection ends under a request. */
  #leave(code: string, message: string): void {
    this.#gone = true;
    this.#outbound.close();
    // What is read or written from here on is to fail, also before the event loop turns.
    this.#socket.destroy();
    this.#inbound.req.destroy(aborted(message, code));
    this.#responding.res.destroyed = true;
    this.#settle();
  }

  /** The app has destroyed its socket, or the code above has. */
  #destroyed(): void {
    if (this.#gone || this.#finished) return;
    this.#gone = true;
    this.#outbound.close();
    this.#link.post({ type: "destroyed" });
  }

  /** As Node's server does after a response. */
  #finish(): void {
    this.#finished = true;
    this.#inbound.dump();
    this.#socket.setTimeout(0);
    this.#responding.res.detachSocket(this.#socket);
    process.nextTick(() => {
      this.#responding.close();
      this.#settle();
    });
  }

  /** The thread is free when the response has ended, the handler has returned, and nobody reads the request any more. */
  #settle(): void {
    if (this.#over || !this.#returned) return;
    const closed = (this.#responding.res as { closed?: boolean; _closed?: boolean })._closed === true;
    if (!closed || (this.#finished && !this.#gone && this.#inbound.beingRead)) return;
    this.#over = true;
    this.#outbound.close();
    this.#link.post({ type: "done" });
    this.#done();
  }
}

function aborted(message = "aborted", code = "ECONNRESET"): Error {
  return Object.assign(new Error(message), { code });
}

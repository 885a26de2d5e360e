// One request and its response, carried between Node's server and the thread that handles it.
import type http = require("node:http");
import type net = require("node:net");
import type tls = require("node:tls");

import type { Expiry } from "../../../runtime/clock";
import { logFailure, refuse } from "../failure";
import {
  type Chunk,
  type FromThread,
  type Output,
  type RequestHead,
  Shared,
  type SocketFacts,
  type ToThread,
  WINDOW,
} from "./protocol";
import type { Thread } from "./thread";

type Request = http.IncomingMessage & { joinDuplicateHeaders?: boolean | null };
type Response = http.ServerResponse & { _contentLength: number; _writeRaw(data: string, encoding: string): void };

export class Exchange {
  readonly req: http.IncomingMessage;
  readonly res: http.ServerResponse;
  /** Ends it when it takes too long. */
  expiry: Expiry | null = null;
  #thread: Thread | null = null;
  /** The response is whole, or will not be. */
  #over = false;
  /** Bytes of the request that the thread has not taken yet. */
  #offered = 0;
  /** Bytes of the response that the connection has not taken yet. */
  #inFlight = 0;

  /** @param left called when the client has gone */
  constructor(req: http.IncomingMessage, res: http.ServerResponse, left: () => void) {
    this.req = req;
    this.res = res;
    res.on("close", () => {
      if (this.#thread === null) this.expiry?.cancel();
      if (this.#over && res.writableFinished) return;
      this.#leave(req.errored);
      left();
    });
  }

  /** Has it handled there. */
  begin(thread: Thread): void {
    this.#thread = thread;
    const { shared } = thread;
    Atomics.store(shared, Shared.Taken, 0);
    Atomics.store(shared, Shared.Waiting, 0);
    const head = headOf(this.req, this.res);
    thread.post(head);
    if (head.hasBody) this.#sendBody();
  }

  #sendBody(): void {
    const { req } = this;
    req.on("data", (chunk: Buffer) => {
      if (this.#thread === null) return;
      const copy = Uint8Array.prototype.slice.call(chunk) as Uint8Array; // Node's may share its memory with others
      this.#offered += copy.byteLength;
      if (this.#offered >= WINDOW) req.pause();
      this.#post({ type: "chunk", chunk: copy }, [copy.buffer as ArrayBuffer]);
    });
    req.on("end", () => this.#post({ type: "complete", trailers: req.rawTrailers }));
    req.on("error", (error) => this.#leave(error));
  }

  #post(message: ToThread, transfer?: ArrayBuffer[]): void {
    this.#thread?.post(message, transfer);
  }

  #leave(error: (Error & { code?: string }) | null): void {
    this.#over = true;
    this.#post({ type: "gone", code: error?.code ?? "ECONNRESET", message: error?.message ?? "aborted" });
  }

  /** The thread has something for it. */
  receive(message: FromThread): void {
    if (message.type === "output") this.#output(message);
    else if (message.type === "destroyed") this.cut();
    else if (message.type === "took") {
      this.#offered -= message.bytes;
      if (this.#offered < WINDOW) this.req.resume();
    }
  }

  #output(output: Output): void {
    if (this.#over) return;
    try {
      this.#send(output);
    } catch (error) {
      logFailure(this.req, this.res, error);
      this.fail(500);
    }
  }

  #send({ informational, head, chunks, end }: Output): void {
    const { res } = this;
    if (informational !== "") (res as Response)._writeRaw(informational, "latin1");
    if (head !== null) {
      if (!head.keepAlive) res.shouldKeepAlive = false;
      res.sendDate = false; // the thread's has it, or was told not to
      if (head.length !== undefined) (res as Response)._contentLength = head.length;
      for (const name of head.removed) res.removeHeader(name);
      res.writeHead(head.status, head.message, head.headers);
    }
    const last = end === null ? undefined : chunks.pop();
    for (const chunk of chunks) res.write(chunk, this.#taken(chunk));
    if (end === null) {
      if (head !== null && chunks.length === 0) res.flushHeaders();
      return;
    }
    this.#over = true;
    if (end !== "") res.addTrailers(trailersOf(end));
    if (last === undefined) res.end();
    else res.end(last, this.#taken(last));
  }

  /** Counts a chunk as taken by the connection, when that is called. */
  #taken(chunk: Chunk): () => void {
    const bytes = Buffer.byteLength(chunk);
    this.#inFlight += bytes;
    return () => {
      this.#inFlight -= bytes;
      const thread = this.#thread;
      if (thread === null) return;
      Atomics.add(thread.shared, Shared.Taken, bytes);
      if (this.#inFlight > WINDOW / 2) return;
      if (Atomics.exchange(thread.shared, Shared.Waiting, 0) === 1) thread.post({ type: "room" });
    };
  }

  /** Nothing more is to come, or to go. */
  cut(): void {
    this.#over = true;
    this.res.destroy();
  }

  /** The thread has no more to do with it. */
  finish(): void {
    if (this.res.writableFinished || this.res.destroyed) this.expiry?.cancel();
    this.#thread = null;
    if (!this.req.complete) this.req.resume(); // so that the connection's next request can come
  }

  /** Answers in the thread's place, or cuts the connection if it has begun to answer. Nothing if it has answered. */
  fail(status: number, headers?: Record<string, string>): void {
    if (!this.#over) refuse(this.res, status, headers);
    this.#over = true;
    this.finish();
  }
}

function headOf(req: Request, res: http.ServerResponse): RequestHead {
  return {
    type: "request",
    method: req.method as string,
    url: req.url as string,
    httpVersionMajor: req.httpVersionMajor,
    httpVersionMinor: req.httpVersionMinor,
    headers: req.rawHeaders,
    joinDuplicateHeaders: req.joinDuplicateHeaders,
    hasBody: req.headers["transfer-encoding"] !== undefined || Number(req.headers["content-length"]) > 0,
    keepAlive: res.shouldKeepAlive,
    socket: socketFacts(req.socket),
  };
}

function socketFacts(socket: net.Socket): SocketFacts {
  const { remoteAddress, remotePort, remoteFamily, localAddress, localPort, localFamily } = socket;
  const encrypted = "encrypted" in socket ? secureFacts(socket as tls.TLSSocket) : undefined;
  return { remoteAddress, remotePort, remoteFamily, localAddress, localPort, localFamily, encrypted };
}

function secureFacts(socket: tls.TLSSocket): Record<string, unknown> {
  const { encrypted, authorized, authorizationError, alpnProtocol, servername } = socket as tls.TLSSocket & {
    servername: string | false;
  };
  return {
    encrypted,
    authorized,
    authorizationError: authorizationError && String(authorizationError),
    alpnProtocol,
    servername,
  };
}

function trailersOf(lines: string): [string, string][] {
  return lines
    .split("\r\n")
    .filter((line) => line !== "")
    .map((line) => {
      const colon = line.indexOf(": ");
      return [line.slice(0, colon), line.slice(colon + 2)];
    });
}

// The response as an app sees it: Node's own class, whose output is taken before it becomes bytes of HTTP.
import http = require("node:http");

import { prematureClose, streamDestroyed } from "../../../../runtime/park/operations/streams";
import type { ResponseHead } from "../protocol";
import { intercept } from "./intercept";
import type { Link } from "./link";
import type { Outbound } from "./outbound";
import type { ClientSocket } from "./socket";

/**
 * What Node's class calls on its way from `write` to the socket: `_storeHeader` once the head is settled, `_send` with each
 * piece of the body, `_writeRaw` with whatever goes to the socket. So it has been since Node 0.6.
 */
type Response = http.ServerResponse & {
  _header: string | null;
  _headerSent: boolean;
  _trailer: string;
  _closed: boolean;
  _storeHeader(firstLine: string, headers: unknown): void;
  _send(data: unknown, ...rest: unknown[]): boolean;
  _writeRaw(data: unknown, encoding: unknown, callback?: unknown, ...rest: unknown[]): boolean;
  _removedConnection: boolean;
  [RESPONDING]: Responding;
};

const RESPONDING = Symbol("responding");

const { _storeHeader, _send, _writeRaw, write, end } = http.ServerResponse.prototype as Response;

/** Teaches Node's class to hand its output over. After the patch. */
export function teachResponses(): void {
  intercept<Responding>(http.ServerResponse.prototype, RESPONDING, {
    _storeHeader: (responding, args) => responding.storeHeader(args),
    _send: (responding, args) => responding.send(args),
    _writeRaw: (responding, args) => responding.writeRaw(args),
    write: (responding, args) => responding.write(args),
    end: (responding, args) => responding.end(args),
    writeSync: (responding, args) => responding.writeSync(...(args as [])),
    endSync: (responding, args) => responding.endSync(...(args as [])),
  });
}

export class Responding {
  readonly res: http.ServerResponse;
  readonly #res: Response;
  readonly #socket: ClientSocket;
  readonly #outbound: Outbound;
  readonly #link: Link;
  #removedConnection = false;
  #chunked = false;
  /** Headers that the app has given, in one of Node's forms. */
  #given: unknown = undefined;
  #ended = false;

  /** @param finished called when all of it has been handed on */
  constructor(
    req: http.IncomingMessage,
    keepAlive: boolean,
    socket: ClientSocket,
    outbound: Outbound,
    link: Link,
    finished: () => void,
  ) {
    this.#socket = socket;
    this.#outbound = outbound;
    this.#link = link;
    const res = new http.ServerResponse(req) as Response;
    this.res = this.#res = res;
    res.shouldKeepAlive = keepAlive;
    res[RESPONDING] = this;
    res.assignSocket(socket);
    socket.on("drain", () => this.#drain());
    socket.on("timeout", () => {
      const heard = (!req.complete && req.emit("timeout", socket)) || res.emit("timeout", socket);
      if (!heard) socket.destroy();
    });
    res.on("finish", () => {
      this.#end();
      finished();
    });
  }

  storeHeader(args: unknown[]): void {
    const res = this.#res;
    this.#given = args[1];
    // Connection headers that Node adds are for the main thread's response to add.
    this.#removedConnection = res._removedConnection;
    res._removedConnection = true;
    Reflect.apply(_storeHeader, res, args);
    // From here on a body passes as it is. The main thread's response does the rest.
    this.#chunked = res.chunkedEncoding;
    res.chunkedEncoding = false;
  }

  send(args: unknown[]): boolean {
    const res = this.#res;
    if (!res._headerSent && res._header !== null) {
      res._headerSent = true;
      this.#outbound.head(this.#head(res._header));
    }
    return Reflect.apply(_send, res, args);
  }

  writeRaw(args: unknown[]): boolean {
    if (!this.#res._headerSent) return this.#informational(args);
    return this.#socket.answer(() => Reflect.apply(_writeRaw, this.#res, args));
  }

  write(args: unknown[]): boolean {
    this.#link.poll(); // the client may have gone
    const corked = this.#socket.writableCorked > 0;
    const room = Reflect.apply(write, this.#res, args);
    // Node holds what is written in one turn of the event loop back, to send it together. This turn may take long.
    if (!corked && this.#socket.writableCorked > 0) this.#socket.uncork();
    return room;
  }

  end(args: unknown[]): http.ServerResponse {
    this.#outbound.together(() => {
      Reflect.apply(end, this.#res, args);
      this.#end();
    });
    return this.#res;
  }

  writeSync(chunk?: unknown, encoding?: BufferEncoding): void {
    this.#checkThere("write");
    if (this.#res.writableEnded) throw writeAfterEnd();
    this.#res.write(chunk, encoding as BufferEncoding);
    this.#parkUntilTaken();
  }

  endSync(chunk?: unknown, encoding?: BufferEncoding): void {
    if (this.#res.writableEnded && chunk == null) return;
    this.#checkThere("end");
    if (this.#res.writableEnded) throw writeAfterEnd();
    this.#res.end(chunk, encoding as BufferEncoding);
    this.#parkUntilTaken();
    this.#end();
  }

  #head(header: string): ResponseHead {
    const lines = header.split("\r\n");
    const headers: string[] = [];
    for (let at = 1; lines[at]; at++) {
      const line = lines[at] as string;
      const colon = line.indexOf(": ");
      headers.push(line.slice(0, colon), line.slice(colon + 2));
    }
    const { statusCode: status, statusMessage: message, shouldKeepAlive: keepAlive } = this.#res;
    const removed: string[] = [];
    if (this.#removedConnection) removed.push("connection");
    let length: number | undefined;
    // What Node itself has added is last, and for the main thread's response to add, where Node would.
    const name = headers.at(-2)?.toLowerCase();
    if (!this.#chunked && !/\r\ncontent-length:/i.test(header)) removed.push("transfer-encoding", "content-length");
    else if ((name === "content-length" || name === "transfer-encoding") && !isGiven(name, this.#given)) {
      const [, value] = headers.splice(-2);
      if (name === "content-length") length = Number(value);
    }
    return { status, message, headers, keepAlive, length, removed };
  }

  /** 100, 102, 103: those come before the head. */
  #informational([text, , callback]: unknown[]): boolean {
    this.#outbound.informational(String(text));
    if (typeof callback === "function") process.nextTick(callback);
    return true;
  }

  /** Once, when all before it has been handed on. */
  #end(): void {
    if (this.#ended || !this.#res.writableEnded || this.#socket.writableLength > 0) return;
    this.#ended = true;
    this.#outbound.end(this.#chunked ? this.#res._trailer : "");
  }

  #checkThere(method: string): void {
    this.#link.poll();
    if (this.#res.destroyed) throw this.#res.errored ?? streamDestroyed(method);
  }

  #parkUntilTaken(): void {
    while (this.#socket.writableLength > 0) {
      if (this.#socket.destroyed) throw prematureClose();
      this.#link.park();
    }
  }

  /** The client reads again: as Node's server tells its response. */
  #drain(): void {
    const res = this.#res;
    if (!res.writableNeedDrain) return;
    const flag = Object.getOwnPropertySymbols(res).find(({ description }) => description === "kNeedDrain");
    if (flag) Object.assign(res, { [flag]: false });
    res.emit("drain");
  }

  /** As Node's server does after "finish", and when the client has gone. */
  close(): void {
    const res = this.#res;
    if (res._closed) return;
    Object.assign(res, { destroyed: true, _closed: true });
    res.emit("close");
  }
}

function writeAfterEnd(): Error {
  return Object.assign(new Error("write after end"), { code: "ERR_STREAM_WRITE_AFTER_END" });
}

function isGiven(name: string, headers: unknown): boolean {
  if (typeof headers !== "object" || headers === null) return false;
  const names = !Array.isArray(headers)
    ? Object.keys(headers)
    : Array.isArray(headers[0])
      ? headers.map(([name]) => name)
      : headers.filter((_, at) => at % 2 === 0);
  return names.some((one) => String(one).toLowerCase() === name);
}

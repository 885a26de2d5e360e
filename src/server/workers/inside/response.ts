// The response as an app sees it: Node's own class, whose output is taken before it becomes bytes of HTTP.
import http = require("node:http");

import { prematureClose, streamDestroyed } from "../../../../runtime/park/operations/streams";
import type { ResponseHead } from "../protocol";
import { hide } from "./hide";
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
};

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
    this.#takeOutput();
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

  #takeOutput(): void {
    const res = this.#res;
    const { _storeHeader, _send, _writeRaw, write, end } = res;
    hide(res, {
      _storeHeader: (...args: unknown[]) => {
        Reflect.apply(_storeHeader, res, args);
        this.#given = args[1];
        // From here on a body passes as it is. The main thread's response does the rest.
        this.#chunked = res.chunkedEncoding;
        res.chunkedEncoding = false;
      },
      _send: (...args: unknown[]) => {
        if (!res._headerSent && res._header !== null) {
          res._headerSent = true;
          this.#outbound.head(this.#head(res._header));
        }
        return Reflect.apply(_send, res, args);
      },
      _writeRaw: (...args: unknown[]) => {
        if (!res._headerSent) return this.#informational(args);
        return this.#socket.answer(() => Reflect.apply(_writeRaw, res, args));
      },
      write: (...args: unknown[]) => {
        this.#link.poll(); // the client may have gone
        const corked = this.#socket.writableCorked > 0;
        const room = Reflect.apply(write, res, args);
        // Node holds what is written in one turn of the event loop back, to send it together. This turn may take long.
        if (!corked && this.#socket.writableCorked > 0) this.#socket.uncork();
        return room;
      },
      end: (...args: unknown[]) => {
        this.#outbound.together(() => {
          Reflect.apply(end, res, args);
          this.#end();
        });
        return res;
      },
      writeSync: (chunk: unknown, encoding?: BufferEncoding) => {
        this.#checkThere("write");
        if (res.writableEnded) throw writeAfterEnd();
        res.write(chunk, encoding as BufferEncoding);
        this.#parkUntilTaken();
      },
      endSync: (chunk?: unknown, encoding?: BufferEncoding) => {
        if (res.writableEnded && chunk == null) return;
        this.#checkThere("end");
        if (res.writableEnded) throw writeAfterEnd();
        res.end(chunk, encoding as BufferEncoding);
        this.#parkUntilTaken();
        this.#end();
      },
    });
    // Connection headers that Node adds are for the main thread's response to add. It asks, and notes, here.
    Object.defineProperty(res, "_removedConnection", {
      get: () => true,
      set: (removed) => {
        this.#removedConnection = removed;
      },
      configurable: true,
    });
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

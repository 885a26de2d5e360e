// The request as an app sees it: Node's own class, filled from messages, and read in blocking style.
import http = require("node:http");
import type net = require("node:net");

import { checkEncoding, checkSize } from "../../../../compat/stream";
import { prematureClose } from "../../../../runtime/park/operations/streams";
import { type RequestHead, WINDOW } from "../protocol";
import { intercept } from "./intercept";
import type { Link } from "./link";

/** What Node's parser uses of a message. */
type Filled = http.IncomingMessage & {
  joinDuplicateHeaders: boolean | null | undefined;
  _addHeaderLines(lines: string[], count: number): void;
  _read(size: number): void;
  _dump(): void;
  [INBOUND]: Inbound;
};

const INBOUND = Symbol("inbound");

const { _read } = http.IncomingMessage.prototype;

/** Teaches Node's class to be filled from messages. After the patch. */
export function teachRequests(): void {
  intercept<Inbound>(http.IncomingMessage.prototype, INBOUND, {
    _read: (inbound, args) => inbound.read(args),
    readSync: (inbound, [size]) => inbound.readSync(size),
    textSync: (inbound, [encoding]) => inbound.textSync(encoding),
  });
}

export class Inbound {
  readonly req: http.IncomingMessage;
  readonly #link: Link;
  /** Bytes that the app has taken, and the scheduler has not been told of. */
  #taken = 0;
  /** Bytes that it was given after its buffer was full. */
  #kept = 0;
  /** What has come in the middle of something. */
  readonly #backlog: (Uint8Array | string[])[] = [];

  constructor(head: RequestHead, socket: net.Socket, link: Link) {
    this.#link = link;
    const req = new http.IncomingMessage(socket) as Filled;
    this.req = req;
    const { method, url, httpVersionMajor, httpVersionMinor, joinDuplicateHeaders } = head;
    const httpVersion = `${httpVersionMajor}.${httpVersionMinor}`;
    Object.assign(req, { method, url, httpVersionMajor, httpVersionMinor, httpVersion, joinDuplicateHeaders });
    req._addHeaderLines(head.headers, head.headers.length);
    req[INBOUND] = this;
    if (!head.hasBody) this.complete([]);
  }

  /** The app wants more. */
  read(args: never[]): void {
    Reflect.apply(_read, this.req, args);
    this.#take(this.#kept);
    this.#kept = 0;
  }

  chunk(chunk: Uint8Array): void {
    this.#give(chunk);
  }

  complete(trailers: string[]): void {
    this.#give(trailers);
  }

  /** Whether the app goes on to read the body by events. */
  get beingRead(): boolean {
    const { req } = this;
    return !req.complete && !req.destroyed && (req.readableFlowing === true || req.listenerCount("readable") > 0);
  }

  /** The response is sent: as Node does, throws away what nobody has read. */
  dump(): void {
    if (this.beingRead) return;
    if (!this.req.complete) this.#add([]);
    (this.req as Filled)._dump();
  }

  // Who blocks, to write, is not to get events in the middle of that: it may be a listener of just those.
  #give(part: Uint8Array | string[]): void {
    this.#backlog.push(part);
    if (this.#link.fetching) process.nextTick(() => this.#giveAll());
    else this.#giveAll();
  }

  #giveAll(): void {
    for (let part = this.#backlog.shift(); part !== undefined; part = this.#backlog.shift()) this.#add(part);
  }

  #add(part: Uint8Array | string[]): void {
    const req = this.req as Filled;
    if (req.complete || req.destroyed) return;
    if (Array.isArray(part)) {
      req.complete = true;
      if (part.length > 0) req._addHeaderLines(part, part.length);
      req.push(null);
    } else {
      const chunk = Buffer.from(part.buffer, part.byteOffset, part.byteLength);
      if (req.push(chunk)) this.#take(part.byteLength);
      else this.#kept += part.byteLength;
    }
  }

  #take(bytes: number): void {
    this.#taken += bytes;
    if (this.#taken < WINDOW / 4) return;
    this.#link.post({ type: "took", bytes: this.#taken });
    this.#taken = 0;
  }

  readSync(size?: number): Buffer | string | null {
    checkSize(size);
    const { req } = this;
    // Asked for nothing, a stream never has it.
    if (size === 0) return req.readableEncoding === null ? Buffer.alloc(0) : "";
    for (;;) {
      this.#giveAll(); // for who reads in a listener for "data"
      const chunk: Buffer | string | null = req.read(size);
      if (chunk !== null) return chunk;
      if (req.errored) throw req.errored;
      if (req.complete) return null; // Node tells by an event, later
      if (req.destroyed) throw prematureClose();
      this.#link.park();
    }
  }

  textSync(encoding: BufferEncoding = "utf8"): string {
    checkEncoding(encoding);
    const pieces: (Buffer | string)[] = [];
    for (let chunk = this.readSync(); chunk !== null; chunk = this.readSync()) pieces.push(chunk);
    if (pieces.every((piece) => typeof piece === "string")) return pieces.join("");
    return Buffer.concat(pieces as Buffer[]).toString(encoding);
  }
}

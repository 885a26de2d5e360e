// A request for an upgrade (WebSockets, say), and the connection that it has for itself once that is granted.
import http = require("node:http");

import type { Duplex } from "node:stream";

import { shielded } from "../../runtime/block";
import { Fiber, newRecord } from "../../runtime/fiber";

/**
 * Takes upgrades, as a listener of Node's "upgrade" event does, and may block: it runs in a fiber. It answers by what it
 * writes to `socket`, which is its own from then on; after it has returned, too. What it throws is logged, and answered with
 * 500; if it has answered, the connection is cut.
 *
 * Without one, a request for an upgrade is a request as any other, as in Node.
 * @param head what has come of the upgraded stream already
 * @param signal aborted when the server is being closed: for the time of `grace` the connection stays, then it is cut
 * @example const upgrade = (req, socket, head) => wss.handleUpgrade(req, socket, head, (ws) => wss.emit("connection", ws, req));
 */
export type UpgradeHandler = (req: http.IncomingMessage, socket: Duplex, head: Buffer, signal: AbortSignal) => unknown;

/** One of them, from its head to the end of its connection. */
export class Upgrade {
  readonly req: http.IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  /** The status of the answer; null until there is one. */
  status: number | null = null;
  /** Called when there is. */
  whenAnswered = () => {};
  readonly #closing = new AbortController();

  constructor(req: http.IncomingMessage, socket: Duplex, head: Buffer) {
    this.req = req;
    this.socket = socket;
    this.head = head;
    socket.on("error", () => {}); // or a client that goes away would end the process
    onFirstWrite(socket, (chunk) => {
      this.status = statusOf(chunk);
      this.whenAnswered();
    });
  }

  /** Aborted when the server is being closed. */
  get signal(): AbortSignal {
    return this.#closing.signal;
  }

  /** The server is being closed: tells the handler, whose listeners may block. */
  tellClosing(): void {
    const reason = new DOMException("The server is being closed", "AbortError");
    // A fiber that is killed in a listener would end the process: what leaves one, Node throws where nobody catches it.
    const abort = () => shielded(() => this.#closing.abort(reason));
    new Fiber(abort, {}, undefined, [], newRecord(`closing ${this.req.url}`)).start();
  }

  /** Answers in the place of a handler that does not, with a status and nothing more. If it has answered the connection is cut. */
  refuse(status: number): void {
    if (this.status !== null || !this.socket.writable) {
      this.socket.destroy();
      return;
    }
    const reason = http.STATUS_CODES[status] ?? "";
    const head = `HTTP/1.1 ${status} ${reason}\r\nConnection: close\r\nContent-Type: text/plain\r\n`;
    this.socket.end(`${head}Content-Length: ${reason.length + 1}\r\n\r\n${reason}\n`, () => this.socket.destroy());
  }
}

/** Whether a request that was not taken for an upgrade asks for one; other than to HTTP/2, which many do that do without. */
export function asksForUpgrade({ headers }: http.IncomingMessage): boolean {
  const { upgrade, connection = "" } = headers;
  return upgrade !== undefined && upgrade.toLowerCase() !== "h2c" && /\bupgrade\b/i.test(connection);
}

type Written = string | Uint8Array;

/** Calls `found` with what is written first, before it is. */
function onFirstWrite(socket: Duplex, found: (chunk: Written) => void): void {
  const { write, end } = socket;
  const look = (chunk: unknown) => {
    if (typeof chunk !== "string" && !(chunk instanceof Uint8Array)) return; // end() without a chunk
    if (socket.write === watchedWrite) Reflect.deleteProperty(socket, "write");
    if (socket.end === watchedEnd) Reflect.deleteProperty(socket, "end");
    found(chunk);
  };
  const watched = (method: typeof write | typeof end) =>
    function (this: Duplex, ...args: unknown[]) {
      look(args[0]);
      return Reflect.apply(method, this, args);
    };
  const watchedWrite = watched(write) as typeof write;
  const watchedEnd = watched(end) as typeof end;
  socket.write = watchedWrite;
  socket.end = watchedEnd;
}

function statusOf(chunk: Written): number {
  const start = typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("latin1", 0, 12);
  return Number(/^HTTP\/1\.\d (\d{3})/.exec(start)?.[1] ?? 0);
}

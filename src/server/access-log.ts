// The access log: a line for each request, in Apache's formats.
import fs = require("node:fs");

import type http = require("node:http");

import type { Socket } from "node:net";

import { Writable } from "node:stream";

import { expire } from "../../runtime/clock";
import type { Upgrade } from "./upgrade";

export type LogFormat = "common" | "combined";

type Request = http.IncomingMessage;
type Response = http.ServerResponse;

/** The status in the log of a request whose client was gone before it was answered. (nginx: the same) */
const CLIENT_GONE = 499;

/**
 * Lines go to the file one after another by libuv's pool, so that the thread never waits for a disk or for who reads a pipe.
 * If they cannot be written, the server goes on without.
 */
export class AccessLog {
  readonly #format: LogFormat;
  readonly #lines: Appender;
  #broken = false;

  /**
   * @param file a path, to append to; or "-", for standard output
   * @throws what opening the file throws
   */
  constructor(file: string, format: LogFormat) {
    this.#format = format;
    this.#lines = new Appender(file === "-" ? 1 : fs.openSync(file, "a"));
    this.#lines.on("error", (error) => {
      this.#broken = true;
      console.error(`The access log cannot be written, there is none from now on: ${error.message}`);
    });
  }

  /** Has a line written when a response ends, in whatever way. */
  watch(req: Request, res: Response): void {
    const prefix = beginningOf(req);
    const sent = countBytes(res);
    res.once("close", () => this.#write(req, prefix, res.headersSent ? res.statusCode : CLIENT_GONE, sent()));
  }

  /** The same, when the connection of an upgrade ends: with the status of the answer, and all bytes that were sent. */
  watchUpgrade(upgrade: Upgrade): void {
    const { req } = upgrade;
    const socket = upgrade.socket as Socket;
    const prefix = beginningOf(req);
    const before = socket.bytesWritten;
    socket.once("close", () => this.#write(req, prefix, upgrade.status ?? CLIENT_GONE, socket.bytesWritten - before));
  }

  #write(req: Request, prefix: string, status: number, bytes: number): void {
    if (this.#broken) return;
    const line = `${prefix} ${status} ${bytes || "-"}`;
    this.#lines.write(this.#format === "common" ? `${line}\n` : `${line} ${clientOf(req)}\n`);
  }

  /** Resolves when all lines are written. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#lines.closed) resolve();
      else this.#lines.once("close", resolve).end();
    });
  }
}

/** How long to wait until a pipe that is full may have room, in milliseconds. */
const FULL = 10;

/** What is written while a write is under way goes with the next one. */
class Appender extends Writable {
  readonly #fd: number;

  constructor(fd: number) {
    super({ decodeStrings: false });
    this.#fd = fd;
  }

  override _write(line: string, _: BufferEncoding, done: Done): void {
    this.#append(Buffer.from(line), done);
  }

  override _writev(lines: { chunk: string }[], done: Done): void {
    this.#append(Buffer.from(lines.map(({ chunk }) => chunk).join("")), done);
  }

  override _destroy(error: Error | null, done: Done): void {
    if (this.#fd === 1) done(error);
    else fs.close(this.#fd, (second) => done(error ?? second));
  }

  #append(bytes: Buffer, done: Done): void {
    fs.write(this.#fd, bytes, (error, count) => {
      if (error?.code === "EAGAIN") expire(FULL, () => this.#append(bytes, done));
      else if (error) done(error);
      else if (count < bytes.length) this.#append(bytes.subarray(count), done);
      else done();
    });
  }
}

type Done = (error?: Error | null) => void;

/** What is known of a request when it comes. */
function beginningOf(req: Request): string {
  const { method, url, httpVersion } = req;
  const address = req.socket.remoteAddress ?? "-";
  return `${address} - ${userOf(req)} [${timestamp(new Date())}] "${escaped(`${method} ${url}`)} HTTP/${httpVersion}"`;
}

/** Counts the bytes of a response's body. */
function countBytes(res: Response): () => number {
  const { write, end } = res;
  let bytes = 0;
  const count = (chunk: unknown, encoding: unknown) => {
    if (typeof chunk === "string") {
      bytes += Buffer.byteLength(chunk, Buffer.isEncoding(encoding as string) ? (encoding as BufferEncoding) : "utf8");
    } else if (chunk instanceof Uint8Array) bytes += chunk.byteLength;
  };
  res.write = function (this: Response, ...args: unknown[]) {
    count(args[0], args[1]);
    return Reflect.apply(write, this, args);
  };
  res.end = function (this: Response, ...args: unknown[]) {
    count(args[0], args[1]);
    return Reflect.apply(end, this, args);
  } as Response["end"];
  return () => (res.req.method === "HEAD" ? 0 : bytes);
}

function clientOf({ headers }: Request): string {
  return `"${escaped(headers.referer ?? "-")}" "${escaped(headers["user-agent"] ?? "-")}"`;
}

/** Who a client says that it is, by HTTP's basic authentication. */
function userOf({ headers }: Request): string {
  const [, credentials] = /^basic +(\S+)/i.exec(headers.authorization ?? "") ?? [];
  if (credentials === undefined) return "-";
  const [user] = Buffer.from(credentials, "base64").toString().split(":", 1);
  return escaped(user ?? "").replaceAll(" ", "\\x20") || "-";
}

/** So that no client can write lines of its own. */
function escaped(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  return text.replace(/["\\\u0000-\u001f\u007f-\u009f]/g, (character) => {
    if (character === '"' || character === "\\") return `\\${character}`;
    return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** "10/Oct/2000:13:55:36 -0700" */
function timestamp(date: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const offset = -date.getTimezoneOffset();
  const zone = `${offset < 0 ? "-" : "+"}${two(Math.trunc(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`;
  const day = `${two(date.getDate())}/${months[date.getMonth()]}/${date.getFullYear()}`;
  return `${day}:${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())} ${zone}`;
}

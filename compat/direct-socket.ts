// Sockets that fibers read and write past Node's streams, straight from and to the system, as long as nobody else has to do
// with them. Node's own reading is stopped meanwhile; it is on again as soon as no fiber reads, a listener comes, or there
// is anything but data: the socket's end, which is Node's to handle.
import { Socket } from "node:net";
import { Duplex, Readable } from "node:stream";

import { block, type Waiter } from "../runtime/block";
import { Hidden } from "../runtime/hidden";
import { keepErrors, timedOut } from "../runtime/park/operations/streams";
import type { Addon } from "../runtime/switch";
import { theAddon } from "./file-work";
import { attend, disregard } from "./readiness";
import { systemError } from "./system-error";

/** What Node's socket keeps the system's socket in; or a pipe, which is none to the system: standard input, say. */
interface Handle {
  readonly fd?: number;
  /** Whether Node reads, or believes that it does. */
  reading: boolean;
  readStart(): number;
  readStop(): number;
  hasRef(): boolean;
}

type Open = Socket & { readonly _handle: Handle | null; _unrefTimer(): void };

const EAGAIN = -11;
const ENOTSOCK = -88;
/** As much as Node reads at a time. */
const room = Buffer.allocUnsafeSlow(64 * 1024);

// Most chunks are small, and memory of its own would be a good part of what one costs. As Node does with its Buffers, they
// are cut from a larger piece.
const POOL_SIZE = 8192;
const SMALL = 2048;
let pool = Buffer.alloc(0);
let used = 0;

function renewPool(): void {
  const { markAsUntransferable } = require("node:worker_threads") as typeof import("node:worker_threads");
  pool = Buffer.allocUnsafeSlow(POOL_SIZE);
  markAsUntransferable(pool.buffer); // with one chunk, the others would be gone
  used = 0;
}

function fromPool(size: number): Buffer {
  const chunk = pool.subarray(used, used + size);
  used = (used + size + 7) & ~7;
  return chunk;
}

const directs = new Hidden<Socket, DirectSocket | null>();

/** The same socket for direct use; null if it is none that allows for that. */
export function directly(stream: object): DirectSocket | null {
  if (!(stream instanceof Socket)) return null;
  let direct = directs.get(stream);
  if (direct === undefined && !stream.connecting) {
    keepErrors(stream);
    directs.set(stream, (direct = DirectSocket.of(stream as Open)));
  }
  return direct ?? null;
}

/** Whether it is one of Node's own, unchanged: no TLS, nothing of a subclass's or a program's in between. */
function isPlain(socket: Open): boolean {
  const { _handle: handle } = socket;
  const kind = handle?.constructor.name;
  if (Object.getPrototypeOf(socket) !== Socket.prototype || (kind !== "TCP" && kind !== "Pipe")) return false;
  const ownBuffer = Object.getOwnPropertySymbols(socket).find(({ description }) => description === "kBuffer");
  return !(ownBuffer && (socket as unknown as Record<symbol, unknown>)[ownBuffer]); // `onread`, that is
}

const { push } = Readable.prototype;
const { write } = Duplex.prototype;
const { _read, _write } = Socket.prototype;

/** Whether no program has put its own methods into it: those want to see what is read and written. */
function isUnchanged(socket: Open): boolean {
  return socket.push === push && socket.write === write && socket._read === _read && socket._write === _write;
}

export class DirectSocket {
  readonly #socket: Open;
  readonly #handle: Handle;
  readonly #addon: Addon;
  readonly #fd: number;
  /** Whether it is read here, and not by Node. */
  taken = false;
  /** Whether there may be something to read: the system tells of what comes only once. */
  #ready = false;
  #hungUp = false;
  #waiter: Waiter<void> | null = null;
  readonly #more = (hungUp: boolean): void => {
    this.#ready = true;
    this.#hungUp ||= hungUp;
    this.#waiter?.resolve();
  };
  #received = 0;
  #sent = 0;

  static of(socket: Open): DirectSocket | null {
    const addon = process.platform === "linux" ? theAddon() : null;
    const fd = socket._handle?.fd ?? -1;
    return addon !== null && fd >= 0 && isPlain(socket) ? new DirectSocket(socket, addon, fd) : null;
  }

  private constructor(socket: Open, addon: Addon, fd: number) {
    this.#socket = socket;
    this.#handle = socket._handle as Handle;
    this.#addon = addon;
    this.#fd = fd;
  }

  get #isOpen(): boolean {
    return this.#socket._handle === this.#handle && !this.#socket.destroyed;
  }

  /** Whether it can be read here, if there is nobody but the fiber that reads. */
  get canReceive(): boolean {
    const { readableEncoding, readableEnded } = this.#socket;
    if (readableEncoding !== null || readableEnded || !this.#isOpen) return false;
    return this.taken || (this.#handle.hasRef() && isUnchanged(this.#socket));
  }

  /** The next chunk, waited for; undefined if it is Node's turn to tell what has become of the socket. */
  receive(): Buffer | undefined {
    if (!this.taken && !this.#take()) return undefined;
    while (this.taken && this.#isOpen) {
      if (this.#ready) {
        if (pool.length - used < SMALL) renewPool();
        const got = this.#addon.receive(this.#fd, pool, used, room);
        if (typeof got === "object") return this.#count(got);
        if (got > 0) return this.#count(fromPool(got));
        if (got !== EAGAIN) return this.#giveUp(got);
        this.#ready = false;
      }
      block<void>(this.#wait);
      this.#waiter = null;
    }
    this.leave(); // destroyed, perhaps, and its descriptor somebody else's by now
    return undefined;
  }

  readonly #wait = (waiter: Waiter<void>): (() => void) => {
    this.#waiter = waiter;
    if (this.#socket.timeout) this.#socket._unrefTimer();
    return this.#waitNoMore;
  };

  readonly #waitNoMore = (): void => {
    this.#waiter = null;
  };

  /** At the end, for which `errno` is 0, and after an error. */
  #giveUp(errno: number): undefined {
    this.leave();
    if (errno === ENOTSOCK) directs.set(this.#socket, null);
    else if (errno < 0) this.#socket.destroy(systemError(errno, "read"));
  }

  #count(chunk: Buffer): Buffer {
    if (chunk.length < room.length && !this.#hungUp) this.#ready = false; // there was no more
    this.#received += chunk.length;
    if (this.#socket.timeout) this.#socket._unrefTimer();
    return chunk;
  }

  #take(): boolean {
    if (!attend(this.#addon, this.#fd, this.#more)) return false;
    this.#handle.readStop();
    this.#handle.reading = true; // or the stream would start it again
    this.taken = true;
    this.#ready = true;
    this.#hungUp = false;
    this.#socket.on("newListener", this.#onListener).on("close", this.leave).on("timeout", this.#onTimeout);
    adapt(this.#socket);
    return true;
  }

  /** Node reads it again. Whoever waits here is told to look. */
  readonly leave = (): void => {
    if (!this.taken) return;
    this.taken = false;
    this.#socket.off("newListener", this.#onListener).off("close", this.leave).off("timeout", this.#onTimeout);
    disregard(this.#addon, this.#fd, this.#more);
    if (this.#isOpen) {
      const error = this.#handle.readStart();
      if (error < 0) this.#socket.destroy(systemError(error, "read"));
    }
    this.#waiter?.resolveLater();
  };

  readonly #onListener = (event: string | symbol): void => {
    if (event === "data" || event === "readable") this.leave();
  };

  readonly #onTimeout = (): void => {
    this.#waiter?.reject(timedOut("read"));
  };

  /** How many of the bytes the system has taken; an error if it never will. */
  send(bytes: Uint8Array): number | Error {
    const { _handle: handle, destroyed, writable, writableLength, writableCorked } = this.#socket;
    if (handle !== this.#handle || destroyed || !writable || writableLength > 0 || writableCorked > 0) return 0;
    if (bytes.length === 0 || !isUnchanged(this.#socket)) return 0;
    const count = this.#addon.send(this.#fd, bytes);
    if (count === ENOTSOCK) directs.set(this.#socket, null);
    if (count < 0) return count === EAGAIN || count === ENOTSOCK ? 0 : systemError(count, "write");
    if (this.#sent === 0) adapt(this.#socket);
    this.#sent += count;
    if (this.#socket.timeout) this.#socket._unrefTimer();
    return count;
  }

  /** What Node does not know of. */
  get transferred(): { bytesRead: number; bytesWritten: number } {
    return { bytesRead: this.#received, bytesWritten: this.#sent };
  }
}

/** What Node counts, and what has gone past it. */
function counting(name: "bytesRead" | "bytesWritten"): PropertyDescriptor {
  const { get } = Object.getOwnPropertyDescriptor(Socket.prototype, name) as { get(this: Socket): number };
  return {
    configurable: true,
    get(this: Socket) {
      return get.call(this) + (directs.get(this)?.transferred[name] ?? 0);
    },
  };
}

// The same functions for all: with its own in each, no two sockets would be alike to V8.
const adapted: PropertyDescriptorMap = {
  bytesRead: counting("bytesRead"),
  bytesWritten: counting("bytesWritten"),
  unref: {
    configurable: true,
    writable: true,
    value: function unref(this: Socket) {
      directs.get(this)?.leave(); // it is not to keep the loop going
      return Socket.prototype.unref.call(this);
    },
  },
};

/** Has a socket that is read or written past Node tell the truth. */
function adapt(socket: Socket): void {
  if (!Object.hasOwn(socket, "bytesRead")) Object.defineProperties(socket, adapted);
}

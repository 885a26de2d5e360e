// dgram: datagrams in blocking style.
import type { RemoteInfo, Socket } from "node:dgram";
import { type AddressInfo, isIP } from "node:net";
import { inspect } from "node:util";

import { block, refusal, withFiberStack } from "../runtime/block";
import { canBlock } from "../runtime/coroutine";
import type { AnyFunction } from "../runtime/disguise";
import { invalidArgument } from "../runtime/errors";
import { checkLimit, type Limit, sleepOf } from "../runtime/limit";
import { heed } from "../runtime/park/operations/streams";
import { bindNow } from "./bind-now";
import { isUnbound } from "./dgram-state";
import { canDirect, DirectDatagrams } from "./direct-datagrams";
import { inOrder, listenInFibers } from "./emitters";
import { Inbox } from "./inbox";
import { bindParked, canPark, isParked, receiveParked, sendParked } from "./parked/datagrams";
import type { ModulePatch } from "./patching";

declare module "dgram" {
  interface Socket {
    // Out of a fiber, a bound socket is read and written straight from the system and to it, while the thread sleeps: on
    // Linux, with the addon. One that is not bound yet is from its first blocking call on one of another thread: only
    // blocking calls, settings and `close` work on it; `bindSync` does that only where bound ones need a fiber.
    /**
     * Binds the socket, and returns its address: Node's own from Node 24.21 on, which needs no fiber; before that the
     * same; a fiber it suspends, and when that is killed, the socket is closed. From then on datagrams are kept for
     * `recvSync`, where that can be called.
     * @param options `port`, default 0: any; `address`, a numeric one, default: all
     * @throws EADDRINUSE, EACCES, ...; ERR_INVALID_ARG_VALUE for an address that is not numeric;
     *   ERR_SOCKET_ALREADY_BOUND
     */
    bindSync(options?: { port?: number; address?: string }): AddressInfo;
    /**
     * `send`, returning when the kernel has the datagram. Arguments as for `send`, without the callback. Suspends the
     * fiber; what was handed over is not taken back when that is killed.
     * @returns how many bytes were sent
     * @throws what `send`'s callback would get: EMSGSIZE, ENOTFOUND, ...; and what `send` throws; ERR_NOT_IN_FIBER out
     *   of a fiber while the socket is being bound, or where bound ones need a fiber
     */
    sendSync(msg: DatagramContent | readonly DatagramContent[], port?: number, address?: string): number;
    sendSync(
      msg: string | NodeJS.ArrayBufferView,
      offset: number,
      length: number,
      port?: number,
      address?: string,
    ): number;
    /**
     * The next datagram: what the "message" event brings. Suspends the fiber until there is one. Several fibers may
     * wait, each gets another.
     *
     * From `bindSync` or the first call on, datagrams that nobody waits for are kept for the next call, as many as the
     * kernel would keep (`getRecvBufferSize()` bytes, counting 256 more for each); further ones are dropped, as there.
     * Not if the socket has "message" listeners of the program's own: out of a fiber, what comes is theirs alone. What is
     * kept is also returned when the limit is 0. Out of a fiber, the call goes before fibers that wait: they cannot run.
     * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }; default: without end
     * @throws ERR_SOCKET_DGRAM_NOT_RUNNING when the socket is closed, also meanwhile; what its "error" event brings;
     *   Timeout when the time was over first; AbortError when the signal was aborted first; ERR_NOT_IN_FIBER out of a
     *   fiber while the socket is being bound, if it has such listeners, or where bound ones need a fiber; and for a
     *   signal that is not aborted
     */
    recvSync(limit?: Limit): Datagram;
  }
}

/** A datagram, and where it came from. */
export interface Datagram {
  readonly msg: Buffer;
  readonly rinfo: RemoteInfo;
}

/** What can be sent. */
export type DatagramContent = string | NodeJS.ArrayBufferView;

/** What Linux has by default, where the socket does not tell. */
const DEFAULT_SIZE = 212_992;
/** What a kept datagram counts beside its bytes, so that empty ones are not for nothing. */
const OVERHEAD = 256;

function notRunning(): Error {
  return Object.assign(new Error("Not running"), { code: "ERR_SOCKET_DGRAM_NOT_RUNNING" });
}

/** The datagrams of a socket that came in, and those who wait for one. */
class Mailbox {
  static readonly #all = new WeakMap<Socket, Mailbox>();
  readonly #socket: Socket;
  readonly #inbox = new Inbox<Datagram>();
  /** The bytes that are kept, when nobody waits. */
  #size = 0;
  #heedsErrors = false;

  static of(socket: Socket): Mailbox {
    const mailbox = Mailbox.forDatagrams(socket);
    mailbox.#heedErrors();
    return mailbox;
  }

  /** Without heeding errors: of a socket that has been used by Node's own calls only, it is for Node to report them. */
  static forDatagrams(socket: Socket): Mailbox {
    return Mailbox.#all.get(socket) ?? new Mailbox(socket);
  }

  static has(socket: Socket): boolean {
    return Mailbox.#all.has(socket);
  }

  /** Whether there is something to take that need not be waited for. */
  get hasKept(): boolean {
    return this.#inbox.size > 0;
  }

  private constructor(socket: Socket) {
    Mailbox.#all.set(socket, this);
    this.#socket = socket;
    const inbox = this.#inbox;
    socket.on(
      "message",
      (msg: Buffer, rinfo: RemoteInfo) => inbox.wants(socket, "message") && this.#keep({ msg, rinfo }),
    );
    socket.once("close", () => inbox.close(true));
  }

  #heedErrors(): void {
    if (this.#heedsErrors) return;
    this.#heedsErrors = true;
    const inbox = this.#inbox;
    this.#socket.on("error", (error: Error) => inbox.wants(this.#socket, "error") && inbox.fail(error));
  }

  take(limit: Limit): Datagram {
    const taken = this.#inbox.take(limit, recvSync);
    if (taken === null) throw notRunning();
    this.#size -= taken.value.msg.length + OVERHEAD;
    return taken.value;
  }

  #keep(datagram: Datagram): void {
    const size = datagram.msg.length + OVERHEAD;
    if (this.#inbox.waiting === 0 && this.#size + size > room(this.#socket)) return;
    this.#size += size;
    this.#inbox.put(datagram);
  }
}

function room(socket: Socket): number {
  try {
    return socket.getRecvBufferSize();
  } catch {
    return DEFAULT_SIZE;
  }
}

function checkNoCallback(args: unknown[], name: string): void {
  const last = args.at(-1);
  if (typeof last === "function") throw invalidArgument(name, "without a callback after it", last);
}

/** As Node's own, where there is none. */
function bindSync(this: Socket, options: { port?: number; address?: string } = {}): AddressInfo {
  if (typeof options !== "object" || options === null) throw invalidArgument("options", "of type object", options);
  const { port, address } = options;
  if (address && !isIP(address)) {
    const error = new TypeError(
      `The argument 'options.address' must be a numeric IP address; bindSync does not perform DNS resolution. ` +
        `Received ${inspect(address)}`,
    );
    throw Object.assign(error, { code: "ERR_INVALID_ARG_VALUE" });
  }
  if (isParked(this) || (!canDirect() && parks(this))) return bindParked(this, { port, address });
  if (canBlock()) bindInFiber(this, { port, address });
  else bindNow(this, { port, address });
  keep(this);
  return this.address();
}

function bindInFiber(socket: Socket, options: { port?: number; address?: string }): void {
  let stop = () => {};
  try {
    block<void>((waiter) => {
      stop = heed(socket, {
        listening: () => waiter.resolve(),
        error: (error: Error) => waiter.reject(error),
        close: () => waiter.reject(notRunning()),
      });
      socket.bind({ ...options, exclusive: true });
      return () => closeQuietly(socket);
    });
  } catch (error) {
    throw withFiberStack(error, bindSync);
  } finally {
    stop();
  }
}

/** `bind`, and datagrams are kept from then on. */
function keeping(bind: AnyFunction): AnyFunction {
  return function (this: Socket, ...args) {
    if (isParked(this)) return Reflect.apply(bindSync, this, args);
    const address = Reflect.apply(bind, this, args);
    keep(this);
    return address;
  };
}

/** Keeps datagrams for `recvSync`, where that can be called. */
function keep(socket: Socket): void {
  if (canBlock()) Mailbox.of(socket);
  else if (canDirect()) Mailbox.forDatagrams(socket);
}

function closeQuietly(socket: Socket): void {
  try {
    socket.close();
  } catch {
    // it is closed
  }
}

function sendSync(this: Socket, ...args: unknown[]): number {
  checkNoCallback(args, "address");
  if (parks(this)) return sendFromWorker(this, args);
  if (!canBlock()) return sendDirectly(this, args);
  let stop = () => {};
  try {
    return block<number>((waiter) => {
      const failed = (error: Error) => waiter.reject(error);
      // Node does not call back when the socket is closed first, or cannot be bound, which a first `send` does.
      const listeners = { close: () => failed(notRunning()), ...(stateOf(this) === "unbound" && { error: failed }) };
      stop = heed(this, listeners);
      (this.send as (...args: unknown[]) => void)(...args, (error: Error | null, bytes: number) => {
        waiter.callback(error, bytes);
      });
    });
  } catch (error) {
    throw withFiberStack(error, sendSync);
  } finally {
    stop();
  }
}

/** Out of a fiber, on a socket of this thread. */
function sendDirectly(socket: Socket, args: unknown[]): number {
  if (stateOf(socket) === "closed") throw notRunning();
  if (canDirect() && isUnbound(socket)) bindNow(socket, {}); // as a first `send` does
  const sent = DirectDatagrams.of(socket)?.send(args) ?? null;
  if (sent === null) throw refusal();
  return sent;
}

/** Whether a blocking call goes to the park worker. */
function parks(socket: Socket): boolean {
  return isParked(socket) || (!canBlock() && canPark(socket));
}

function sendFromWorker(socket: Socket, args: unknown[]): number {
  const check = () => {
    const { createSocket } = require("node:dgram") as typeof import("node:dgram");
    const other = createSocket("udp4");
    try {
      (other.send as (...args: unknown[]) => void)(...args);
    } finally {
      other.close();
    }
  };
  return sendParked(socket, args, check);
}

function recvSync(this: Socket, limit: Limit = Number.POSITIVE_INFINITY): Datagram {
  checkLimit(limit, "limit");
  if (!Mailbox.has(this)) {
    if (stateOf(this) === "closed") throw notRunning();
    if (parks(this)) return receiveParked(this, limit);
  }
  return canBlock() ? Mailbox.of(this).take(limit) : receiveDirectly(this, limit);
}

/** Out of a fiber, on a socket of this thread. */
function receiveDirectly(socket: Socket, limit: Limit): Datagram {
  const mailbox = Mailbox.has(socket) ? Mailbox.of(socket) : null;
  if (mailbox?.hasKept) return mailbox.take(limit);
  // Where the program listens for datagrams, they are its listeners'.
  const isHeard = socket.listenerCount("message") > (mailbox ? 1 : 0);
  const direct = isHeard ? null : DirectDatagrams.of(socket);
  if (direct === null) {
    if (mailbox) return mailbox.take(limit);
    throw refusal();
  }
  const ms = sleepOf(limit);
  Mailbox.of(socket); // for what comes between two calls
  return direct.receive(ms);
}

function stateOf(socket: Socket): "bound" | "unbound" | "closed" {
  try {
    socket.address();
    return "bound";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ERR_SOCKET_DGRAM_NOT_RUNNING" ? "closed" : "unbound";
  }
}

export const dgramPatch: ModulePatch = {
  name: "dgram",
  apply(define) {
    const { Socket } = require("node:dgram") as typeof import("node:dgram"); // not before it is asked for
    listenInFibers(define, Socket.prototype, inOrder);
    if ("bindSync" in Socket.prototype) define.replace(Socket.prototype, "bindSync", keeping);
    else define.add(Socket.prototype, "bindSync", bindSync);
    define.add(Socket.prototype, "sendSync", sendSync);
    define.add(Socket.prototype, "recvSync", recvSync);
  },
};

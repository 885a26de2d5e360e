// net: connections in blocking style, from either end.
import net = require("node:net");

import { block } from "../runtime/block";
import { canBlock } from "../runtime/coroutine";
import { invalidArgument } from "../runtime/errors";
import { blockWithin, checkLimit, EXPIRED, type Limit, timeoutOf } from "../runtime/limit";
import { Backlog, close, connect, listen } from "../runtime/park/operations/connections";
import type { Ends } from "../runtime/park/operations/net";
import { readLine } from "../runtime/park/operations/streams";
import { parkChecked } from "../runtime/park/park";
import { Timeout } from "../runtime/sync/timeout";
import { listenInFibers } from "./emitters";
import { anyServerManner } from "./http2";
import { connectionSettings, sendableArguments } from "./parked/sending";
import { acceptParked, canPark, isParked, listenParked } from "./parked/server";
import { ParkedSocket } from "./parked/socket";
import type { ModulePatch } from "./patching";
import { carryOut } from "./reading";
import { checkEncoding } from "./stream";

declare module "net" {
  /**
   * Connects, and returns the connected socket. Arguments as for `net.connect`, without the listener. Suspends the
   * fiber; when that is killed, the socket is destroyed. What goes wrong with the socket later does not have to be
   * listened for: the next blocking call throws it.
   *
   * Out of a fiber the thread sleeps meanwhile, and the socket that is returned lives in another thread: `readSync`,
   * `readLineSync`, `writeSync`, `endSync` and `destroy` work on it, listeners and other asynchronous use do not.
   * Functions among the options, and an `options.signal` that is not aborted, are for fibers only:
   * ERR_NOT_IN_FIBER.
   * @param options `timeout`: milliseconds without activity after which this call, and later each blocking call on
   *   the socket, throws ETIMEDOUT
   * @throws what the socket's "error" event would bring: ECONNREFUSED, ENOTFOUND, an AggregateError where several
   *   addresses were tried, ...; and what `net.connect` throws: ERR_SOCKET_BAD_PORT, ...
   */
  function connectSync(options: NetConnectOpts): Socket;
  function connectSync(port: number, host?: string): Socket;
  function connectSync(path: string): Socket;

  interface Socket {
    /**
     * The next line, without its "\n" or "\r\n"; null at the end. What follows the line is left for the next read.
     * Suspends the fiber until the line is whole.
     * @param encoding default "utf8"
     * @throws as `readSync`; what was there of the line can still be read then
     */
    readLineSync(encoding?: BufferEncoding): string | null;
  }

  interface Server {
    /**
     * `listen`, returning when the server listens. Arguments as for `listen`, without the listener. Suspends the fiber;
     * when that is killed, the server is closed.
     *
     * From then on connections are kept for `acceptSync`, unless the server has "connection" listeners. Out of a fiber,
     * this is for servers without such listeners: the thread sleeps, and the server lives in another one. (Of a tls.Server
     * the same goes for "secureConnection", and its options may not have functions: ERR_NOT_IN_FIBER.)
     * @throws what the server's "error" event would bring: EADDRINUSE, EACCES, ...
     */
    listenSync(port?: number, hostname?: string, backlog?: number): this;
    listenSync(port: number, backlog: number): this;
    listenSync(path: string, backlog?: number): this;
    listenSync(options: ListenOptions): this;
    // biome-ignore lint/suspicious/noExplicitAny: as in Node's own declaration
    listenSync(handle: any, backlog?: number): this;
    /**
     * The next connection, in the order they came in; null when the server does not listen (any more). Suspends the
     * fiber until there is one. Several fibers may wait, each gets another. Listeners of the program's own get it, too.
     *
     * Of a `tls.Server` it is the next TLSSocket whose handshake has succeeded ("secureConnection"); a handshake that
     * fails is a "tlsClientError" event, and nobody's to accept.
     * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }; default: without end. Out of a
     *   fiber milliseconds only: ERR_NOT_IN_FIBER
     * @throws Timeout when the time was over first; AbortError when the signal was aborted first
     */
    acceptSync(limit?: Limit): Socket | null;
    /**
     * Stops listening, drops connections that nobody has accepted, and waits until all others have ended. (Out of a
     * fiber it does not wait for them.)
     * @throws ERR_SERVER_NOT_RUNNING
     */
    closeSync(): void;
  }
}

function checkNoListener(args: unknown[]): void {
  const last = args.at(-1);
  if (typeof last === "function") throw invalidArgument("options", "without a listener after it", last);
}

function connectSync(...args: unknown[]): net.Socket {
  checkNoListener(args);
  if (!canBlock()) return connectParked(args);
  return block<net.Socket>((waiter) => {
    waiter.discard = (late) => late.destroy();
    return connect(args, waiter.callback);
  });
}

function connectParked(args: unknown[]): net.Socket {
  const options = (typeof args[0] === "object" && args[0] !== null ? args[0] : {}) as net.TcpNetConnectOpts;
  const check = () => net.connect(...(args as [never])).destroy();
  const sent = sendableArguments(args);
  const open = (handle: number) => parkChecked<Ends>(check, "net.connect", handle, connectionSettings(), sent);
  return new ParkedSocket(open, options);
}

function readLineSync(this: net.Socket, encoding: BufferEncoding = "utf8"): string | null {
  checkEncoding(encoding);
  return carryOut(this, readLine(this, encoding), readLineSync);
}

function listenSync(this: net.Server, ...args: unknown[]): net.Server {
  checkNoListener(args);
  if (!canBlock() && canPark(this)) listenParked(this, args);
  else block<void>((waiter) => listen(this, args, waiter.callback));
  return this;
}

function acceptSync(this: net.Server, limit: Limit = Number.POSITIVE_INFINITY): net.Socket | null {
  checkLimit(limit, "limit");
  if (isParked(this)) return acceptParked(this, limit);
  if (!this.listening && !canBlock()) return null;
  const backlog = Backlog.of(this);
  const socket = timeoutOf(limit) === 0 ? backlog.poll() : nextConnection(backlog, limit);
  if (socket === undefined || socket === EXPIRED) throw new Timeout(timeoutOf(limit));
  return socket;
}

function nextConnection(backlog: Backlog, limit: Limit): net.Socket | null | typeof EXPIRED {
  return blockWithin<net.Socket | null>(limit, (waiter) => {
    waiter.discard = (late) => late && backlog.putBack(late);
    return backlog.take((socket) => waiter.resolve(socket));
  });
}

function closeSync(this: net.Server): void {
  if (isParked(this)) this.close();
  else block<void>((waiter) => close(this, waiter.callback));
}

export const netPatch: ModulePatch = {
  name: "net",
  apply(define) {
    // Servers of http and tls are of this class too, and have patches of their own.
    const others: (typeof net.Server)[] = [require("node:http").Server, require("node:tls").Server];
    listenInFibers(define, net.Server.prototype, (event, server) => {
      return others.some((other) => server instanceof other) ? undefined : anyServerManner(event);
    });
    define.add(net, "connectSync", connectSync);
    define.add(net.Socket.prototype, "readLineSync", readLineSync);
    define.add(net.Server.prototype, "listenSync", listenSync);
    define.add(net.Server.prototype, "acceptSync", acceptSync);
    define.add(net.Server.prototype, "closeSync", closeSync);
  },
};

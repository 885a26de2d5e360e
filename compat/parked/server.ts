// Servers that live in the park worker: those that listen by a blocking call out of a fiber.
import net = require("node:net");

import type { Server as SecureServer, TlsOptions } from "node:tls";

import { fiberOnly } from "../../runtime/errors";
import { type Limit, sleepOf } from "../../runtime/limit";
import { newHandle, parkChecked, parkRelease, parkWithin } from "../../runtime/park/park";
import { sendable } from "../../runtime/park/portable";
import { parkedSecureSocket } from "./secure-socket";
import { connectionSettings } from "./sending";
import { ParkedSocket } from "./socket";

/** By the object that the program has: the worker's handle. */
const parked = new WeakMap<net.Server, number>();
const handles = new FinalizationRegistry<number>((handle) => parkRelease("net.close", handle));

export function isParked(server: net.Server): boolean {
  return parked.has(server);
}

function isSecure(server: net.Server): server is SecureServer {
  return "setSecureContext" in server;
}

/** Whether a server can live there: nothing in this thread waits for its connections. */
export function canPark(server: net.Server): boolean {
  const event = isSecure(server) ? "secureConnection" : "connection";
  const own = isSecure(server) ? 1 : 0; // Node's own listener for "connection", which begins the handshake
  return server.listenerCount(event) === 0 && server.listenerCount("connection") <= own && !server.listening;
}

export function listenParked(server: net.Server, args: unknown[]): void {
  const handle = newHandle();
  const check = () =>
    net
      .createServer()
      .listen(args[0] as never, args[1] as never)
      .close();
  const operation = isSecure(server) ? "tls.listen" : "net.listen";
  const options = isSecure(server) ? secureOptions(server) : plainOptions(server);
  const address = parkChecked(check, operation, handle, connectionSettings(), options, args.map(sendable));
  parked.set(server, handle);
  handles.register(server, handle, server);
  const facts = { listening: true, address: () => address, close: closeParked };
  for (const [name, value] of Object.entries(facts)) {
    Object.defineProperty(server, name, { value, configurable: true, writable: true });
  }
}

function plainOptions(server: net.Server): net.ServerOpts {
  const { allowHalfOpen, keepAlive, keepAliveInitialDelay, noDelay } = server as net.ServerOpts;
  return { allowHalfOpen, keepAlive, keepAliveInitialDelay, noDelay };
}

/** What the program has configured: Node keeps it in the server's properties by the names of the options. */
function secureOptions(server: SecureServer): TlsOptions {
  const options: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(server)) {
    if (typeof value === "function") throw fiberOnly(`options.${name}`);
    if (!name.startsWith("_")) options[name] = value;
  }
  // By other names, that only its code knows: SNICallback, pskCallback; and how long a handshake may last.
  for (const symbol of Object.getOwnPropertySymbols(server)) {
    const value = (server as unknown as Record<symbol, unknown>)[symbol];
    if (typeof value === "function") throw fiberOnly(`options.${symbol.description}`);
    if (symbol.description === "handshake-timeout") options.handshakeTimeout = value;
  }
  const { _contexts: contexts = [] } = server as { _contexts?: unknown[] };
  if (contexts.length > 0) throw fiberOnly("addContext()");
  return options as TlsOptions;
}

/** `close` of a server that lives in the park worker. */
function closeParked(this: net.Server, callback?: (error?: Error) => void): net.Server {
  parkRelease("net.close", parked.get(this) as number);
  parked.delete(this);
  handles.unregister(this);
  for (const name of ["listening", "address", "close"]) delete (this as unknown as Record<string, unknown>)[name];
  if (callback) this.once("close", callback);
  process.nextTick(() => this.emit("close"));
  return this;
}

/**
 * The next connection of a parked server.
 * @throws Timeout
 */
export function acceptParked(server: net.Server, limit: Limit): net.Socket {
  const ms = sleepOf(limit);
  const open = (socket: number) => parkWithin<never>(ms, "net.accept", parked.get(server), socket);
  return isSecure(server)
    ? parkedSecureSocket(open, server as net.ServerOpts)
    : new ParkedSocket(open, server as net.ServerOpts);
}

// Datagrams for code out of fibers: of a socket that is not bound yet, the one that is bound lives in the park worker.
import type { RemoteInfo, Socket, SocketOptions } from "node:dgram";
import type { AddressInfo } from "node:net";

import { parkedObject } from "../../runtime/errors";
import { type Limit, sleepOf } from "../../runtime/limit";
import { newHandle, park, parkChecked, parkRelease, parkWithin } from "../../runtime/park/park";
import { isUnbound, stateOf } from "../dgram-state";
import { connectionSettings } from "./sending";

/** By the socket that the program has: the worker's handle. */
const parked = new WeakMap<Socket, number>();
const handles = new FinalizationRegistry<number>((handle) => parkRelease("stream.destroy", handle));

/** Methods that do not wait, and are of use in the worker. */
const forwarded = [
  "addMembership",
  "addSourceSpecificMembership",
  "address",
  "dropMembership",
  "dropSourceSpecificMembership",
  "getRecvBufferSize",
  "getSendBufferSize",
  "getSendQueueCount",
  "getSendQueueSize",
  "setBroadcast",
  "setMulticastInterface",
  "setMulticastLoopback",
  "setMulticastTTL",
  "setRecvBufferSize",
  "setSendBufferSize",
  "setTTL",
] as const;

const refused = ["bind", "connect", "connectSync", "disconnect", "send"]; // connectSync is of later Nodes
const listening = ["addListener", "on", "once", "prependListener", "prependOnceListener"] as const;

/** Moves a socket that is not bound into the worker. */
function move(socket: Socket): number {
  const handle = newHandle();
  park("dgram.open", handle, optionsOf(socket));
  parked.set(socket, handle);
  handles.register(socket, handle, socket);
  const put = (name: string, value: unknown) =>
    Object.defineProperty(socket, name, { value, configurable: true, writable: true });
  for (const name of forwarded) put(name, (...args: unknown[]) => park("dgram.call", parked.get(socket), name, args));
  for (const name of refused.filter((name) => name in socket)) {
    put(name, () => {
      throw refusedUse(`${name}()`);
    });
  }
  for (const name of listening) {
    const add = socket[name] as (...args: unknown[]) => unknown;
    put(name, (event: unknown, ...rest: unknown[]) => {
      if (event === "message") throw refusedUse(`a listener for "message"`);
      return Reflect.apply(add, socket, [event, ...rest]);
    });
  }
  const close = socket.close;
  put("close", (callback?: () => void) => {
    Reflect.apply(close, socket, callback ? [callback] : []);
    handles.unregister(socket);
    parkRelease("stream.destroy", handle);
    for (const name of [...forwarded, ...refused, ...listening, "close"]) {
      delete (socket as unknown as Record<string, unknown>)[name];
    }
    parked.delete(socket);
    return socket;
  });
  return handle;
}

/** What it was made with. */
function optionsOf(socket: Socket): SocketOptions {
  const { ipv6Only, recvBufferSize, reuseAddr, sendBufferSize, ...rest } = stateOf(socket);
  const { reusePort, receiveBlockList, sendBlockList } = rest as Record<string, unknown>; // of later Nodes
  const { type } = socket as Socket & SocketOptions;
  const lists = { reusePort, receiveBlockList, sendBlockList };
  return { type, ipv6Only, recvBufferSize, reuseAddr, sendBufferSize, ...lists } as SocketOptions;
}

/** Whether a socket lives in the worker. */
export function isParked(socket: Socket): boolean {
  return parked.has(socket);
}

/** Whether a socket can live in the worker: nothing in this thread has begun to use it. */
export function canPark(socket: Socket): boolean {
  return isUnbound(socket) && stateOf(socket).connectState === 0 && socket.listenerCount("message") === 0;
}

function handleOf(socket: Socket): number {
  return parked.get(socket) ?? move(socket);
}

export function bindParked(socket: Socket, options: { port?: number; address?: string }): AddressInfo {
  return park("dgram.bind", handleOf(socket), options);
}

export function sendParked(socket: Socket, args: unknown[], check: () => void): number {
  return parkChecked(check, "dgram.send", handleOf(socket), connectionSettings(), args);
}

/** The next datagram. @throws Timeout */
export function receiveParked(socket: Socket, limit: Limit): { msg: Buffer; rinfo: RemoteInfo } {
  return parkWithin(sleepOf(limit), "dgram.receive", handleOf(socket));
}

function refusedUse(use: string): Error {
  return parkedObject(use, "sendSync, recvSync");
}

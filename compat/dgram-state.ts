// What Node keeps of a datagram socket, in a property that only its code knows.
import type { Socket, SocketOptions } from "node:dgram";
import type { BlockList } from "node:net";

/** What Node's socket keeps the system's socket in. */
export interface Handle {
  /** Negative if there is none yet. */
  readonly fd?: number;
  lookup(address: string, found: (error: Error | null, ip: string) => void): void;
}

export interface State extends SocketOptions {
  handle: Handle | null;
  bindState: number;
  connectState: number;
  readonly receiveBlockList?: BlockList;
  readonly sendBlockList?: BlockList;
}

/** Values of `bindState`. */
export const enum Binding {
  None,
  UnderWay,
  Done,
}

export function stateKeyOf(socket: Socket): symbol | undefined {
  return Object.getOwnPropertySymbols(socket).find(({ description }) => description === "state symbol");
}

/** Nothing, should Node once keep it elsewhere. */
export function stateOf(socket: Socket): Partial<State> {
  const key = stateKeyOf(socket);
  return (key && (socket as unknown as Record<symbol, State>)[key]) ?? {};
}

/** Whether it is open, and nothing has begun to bind it. */
export function isUnbound(socket: Socket): boolean {
  const { handle, bindState } = stateOf(socket);
  return Boolean(handle) && bindState === Binding.None;
}

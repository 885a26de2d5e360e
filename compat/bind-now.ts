// Binding a datagram socket in this thread without a turn of its event loop, as Node's own `bindSync` does where there is one.
import type { Socket } from "node:dgram";

import { stateOf } from "./dgram-state";

/**
 * `bind`, done when it returns; "listening" follows.
 * @param options a numeric address, if any
 * @throws what `bind` throws, and what its "error" event would bring
 */
export function bindNow(socket: Socket, options: { port?: number; address?: string }): void {
  const { handle } = stateOf(socket);
  const failures: Error[] = [];
  const emit = (event: string, error?: Error) => {
    if (event === "error") failures.push(error as Error);
    else process.nextTick(() => stateOf(socket).handle && socket.emit(event));
    return true;
  };
  const like: Socket = Object.create(socket, { emit: { value: emit } });
  const lookup = handle?.lookup;
  // Of an address, Node waits a tick for nothing.
  if (handle) handle.lookup = (address, found) => found(null, address);
  try {
    like.bind({ ...options, exclusive: true });
  } finally {
    if (handle && lookup) handle.lookup = lookup;
  }
  if (failures[0]) throw failures[0];
}

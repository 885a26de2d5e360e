// A socket that is bound, for other processes to listen with.
import dns = require("node:dns");
import net = require("node:net");

import util = require("node:util");

import { BACKLOG, type Place, removeStale } from "./address";

/** libuv's handle, that `server.listen` takes, and `send` passes to another process. */
export interface Handle {
  getsockname?(out: Partial<net.AddressInfo>): number;
  close(): void;
}

/** Node's own, for its cluster; the only way to bind without accepting connections in the same process. */
type Create = (address: string | null, port: number, family: number, fd?: number, flags?: number) => Handle | number;
const { _createServerHandle } = net as unknown as { _createServerHandle: Create };

/**
 * Binds a socket. Whoever holds it keeps its place, and the connections that wait, for as long as there is anybody to hold it.
 * @returns it, and the address, as `server.address()` would tell it
 * @throws EADDRINUSE, EACCES, ENOTFOUND, ... as listening would bring
 */
export async function bind(place: Place): Promise<{ handle: Handle; address: net.AddressInfo | string }> {
  if (place.socket !== undefined) {
    await removeStale(place.socket);
    return { handle: checked(_createServerHandle(place.socket, -1, -1), place), address: place.socket };
  }
  const { address, family } = await dns.promises.lookup(place.host);
  const handle = checked(_createServerHandle(address, place.port, family), place);
  // libuv leaves it to who listens to say that the address is taken; such a socket has none.
  const bound: Partial<net.AddressInfo> = {};
  const code = handle.getsockname?.(bound);
  if (code || bound.port === 0) {
    handle.close();
    throw failure("EADDRINUSE", place);
  }
  return { handle, address: bound as net.AddressInfo };
}

/** Has a server listen with what another process has bound. */
export function listenWith(server: net.Server, handle: Handle): void {
  if (handle.getsockname) server.listen(handle, BACKLOG);
  else {
    // A Unix socket's handle is none that `listen` takes.
    const own = server as unknown as {
      _handle: Handle;
      _listen2(path: null, port: -1, family: -1, backlog: number): void;
    };
    own._handle = handle;
    own._listen2(null, -1, -1, BACKLOG);
  }
}

function checked(handle: Handle | number, place: Place): Handle {
  if (typeof handle === "number") throw failure(util.getSystemErrorName(handle), place);
  return handle;
}

function failure(code: string, { host, port, socket }: Place): Error {
  const reason = reasons[code] ?? "the address cannot be used";
  return Object.assign(new Error(`listen ${code}: ${reason}: ${socket ?? `${host}:${port}`}`), {
    code,
    syscall: "listen",
  });
}

const reasons: Record<string, string> = {
  EADDRINUSE: "address already in use",
  EADDRNOTAVAIL: "address not available",
  EACCES: "permission denied",
  ENOENT: "no such directory",
};

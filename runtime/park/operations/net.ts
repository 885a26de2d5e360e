// net in the park worker: it holds the real sockets and servers, the caller holds their handles.
import net from "node:net";
import { Backlog, close, connect, listen } from "./connections";
import { held, hold, letGo } from "./held";
import { type Patience, promised } from "./patience";
import { factsOf, type SecureFacts } from "./secure";
import { adopt, type ConnectionSettings } from "./settings";

type Address = Partial<net.AddressInfo>;

/** Where a socket's two ends are. */
export interface Ends {
  local: Address;
  remote: Address;
  /** What is known of its encryption, if it has one. */
  secure: SecureFacts | undefined;
}

/** Settings of a socket that the caller may change, and figures that it may ask for. */
export type SocketMethod = "setEncoding" | "setKeepAlive" | "setNoDelay" | "setTimeout" | "resetAndDestroy";
export type SocketFigure = "bytesRead" | "bytesWritten";

/** Holds a socket, and describes it. */
export function holdSocket(handle: number, socket: net.Socket): Ends {
  hold(handle, socket);
  return endsOf(socket);
}

export function endsOf(socket: net.Socket): Ends {
  const { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily } = socket;
  return {
    local: { address: localAddress, port: localPort, family: localFamily },
    remote: { address: remoteAddress, port: remotePort, family: remoteFamily },
    secure: factsOf(socket),
  };
}

/** Listens, and holds the server. */
export function listenHeld(
  patience: Patience,
  handle: number,
  server: net.Server,
  args: unknown[],
): Promise<ReturnType<net.Server["address"]>> {
  return promised(patience, (resolve, done) =>
    listen(server, args, (error) => {
      if (error) return done(error);
      hold(handle, server);
      resolve(server.address());
    }),
  );
}

export const operations = {
  "net.connect"(patience: Patience, handle: number, settings: ConnectionSettings, args: unknown[]): Promise<Ends> {
    adopt(settings);
    return promised(patience, (resolve, done) =>
      connect(args, (error, socket) => (error ? done(error) : resolve(holdSocket(handle, socket as net.Socket)))),
    );
  },

  "net.set"(_patience: Patience, handle: number, method: SocketMethod, args: unknown[]): void {
    (held<net.Socket>(handle)[method] as (...args: unknown[]) => unknown)(...args);
  },

  "net.figure"(_patience: Patience, handle: number, figure: SocketFigure): number {
    return held<net.Socket>(handle)[figure];
  },

  "net.listen"(
    patience: Patience,
    handle: number,
    settings: ConnectionSettings,
    options: net.ServerOpts,
    args: unknown[],
  ): Promise<ReturnType<net.Server["address"]>> {
    adopt(settings);
    return listenHeld(patience, handle, net.createServer(options), args);
  },

  /** The next connection, to be held by `socketHandle`; null when the server is closed. */
  "net.accept"(patience: Patience, handle: number, socketHandle: number): Promise<Ends | null> {
    const backlog = Backlog.of(held(handle));
    return promised(patience, (resolve) =>
      backlog.take((socket) => resolve(socket && holdSocket(socketHandle, socket))),
    );
  },

  /** Does not wait for the server's connections to end: those who could end them are asleep. */
  "net.close"(_patience: Patience, handle: number): void {
    const server = letGo<net.Server>(handle);
    if (server) close(server, () => {});
  },
};

// Opening connections, from either end, a step at a time: for fibers (compat/net.ts) and for the park worker (net.ts).
import net = require("node:net");

import { heed, keepErrors, prematureClose, timedOut } from "./streams";

// As it was before anybody patched it.
const netConnect = net.connect as (...args: unknown[]) => net.Socket;

type Done<T> = (error: Error | null, value?: T) => void;

/** Connects as `net.connect(...args)` does. The returned function gives the attempt up. */
export function connect(args: unknown[], done: Done<net.Socket>): () => void {
  return connected(netConnect(...args), "connect", done);
}

/** Waits until a socket is connected, which it tells by `event`. The returned function destroys it. */
export function connected<S extends net.Socket>(socket: S, event: string, done: Done<S>): () => void {
  keepErrors(socket);
  const settle = (error: Error | null) => {
    stop();
    done(error, socket);
  };
  const stop = heed(socket, {
    [event]: () => settle(null),
    error: settle,
    close: () => settle(prematureClose()),
    timeout: () => {
      settle(timedOut("connect"));
      socket.destroy();
    },
  });
  return () => {
    stop();
    socket.destroy();
  };
}

/** Listens as `server.listen(...args)` does. The returned function gives that up. */
export function listen(server: net.Server, args: unknown[], done: Done<void>): () => void {
  (server.listen as (...args: unknown[]) => void)(...args);
  Backlog.of(server);
  const settle = (error: Error | null) => {
    stop();
    done(error);
  };
  const stop = heed(server, {
    listening: () => settle(null),
    error: settle,
    close: () => settle(prematureClose()),
  });
  return () => {
    stop();
    server.close();
  };
}

/** Closes the server, and the connections that nobody has accepted. Done when all the others have ended. */
export function close(server: net.Server, done: Done<void>): void {
  server.close((error) => done(error ?? null));
  Backlog.of(server).drop();
}

/** Connections that were made to a server and not accepted yet, and those who wait for one. A TLS server's are secure. */
export class Backlog {
  static readonly #backlogs = new WeakMap<net.Server, Backlog>();
  readonly #server: net.Server;
  #connections: net.Socket[] = [];
  readonly #waiting = new Set<(socket: net.Socket | null) => void>();

  static of(server: net.Server): Backlog {
    let backlog = Backlog.#backlogs.get(server);
    if (!backlog) Backlog.#backlogs.set(server, (backlog = new Backlog(server)));
    return backlog;
  }

  private constructor(server: net.Server) {
    this.#server = server;
    const event = "setSecureContext" in server ? "secureConnection" : "connection";
    server.on(event, (socket: net.Socket) => {
      // Else the program's own listener takes it; who waits gets it besides, as with every other event.
      if (this.#waiting.size === 0 && server.listenerCount(event) > 1) return;
      keepErrors(socket);
      this.offer(socket);
    });
    server.on("close", () => {
      for (const take of this.#waiting) this.#give(take, null);
    });
  }

  /** Gives the connection to whoever has waited longest, or keeps it. */
  offer(socket: net.Socket): void {
    const [first] = this.#waiting;
    if (first) this.#give(first, socket);
    else this.#connections.push(socket);
  }

  /** As `offer`, for a connection that nobody wanted after all. */
  putBack(socket: net.Socket): void {
    const [first] = this.#waiting;
    if (first) this.#give(first, socket);
    else this.#connections.unshift(socket);
  }

  /** Takes the next connection, or null when the server is closed. The returned function takes that back. */
  take(take: (socket: net.Socket | null) => void): () => void {
    const socket = this.#connections.shift();
    if (socket || !this.#server.listening) take(socket ?? null);
    else this.#waiting.add(take);
    return () => this.#waiting.delete(take);
  }

  /** The same without waiting: undefined if there is none yet. */
  poll(): net.Socket | null | undefined {
    return this.#connections.shift() ?? (this.#server.listening ? undefined : null);
  }

  drop(): void {
    for (const socket of this.#connections) socket.destroy();
    this.#connections = [];
  }

  #give(take: (socket: net.Socket | null) => void, socket: net.Socket | null): void {
    this.#waiting.delete(take);
    take(socket);
  }
}

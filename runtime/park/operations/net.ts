// net in the park worker: it holds the real sockets and servers, the caller holds their handles.
import dns from "node:dns";
import net from "node:net";
import { Backlog, close, connect, listen } from "./connections";
import { type Chunk, DataListener, end, type Reading, readChunk, readLine, readText, write } from "./streams";

/** The settings of the calling thread, which are its own. */
export interface NetSettings {
  order: ReturnType<typeof dns.getDefaultResultOrder>;
  autoSelectFamily: boolean;
  autoSelectFamilyAttemptTimeout: number;
}

type Address = Partial<net.AddressInfo>;

/** Where a socket's two ends are. */
export interface Ends {
  local: Address;
  remote: Address;
}

/** Settings of a socket that the caller may change, and figures that it may ask for. */
export type SocketMethod = "setEncoding" | "setKeepAlive" | "setNoDelay" | "setTimeout" | "resetAndDestroy";
export type SocketFigure = "bytesRead" | "bytesWritten";

const sockets = new Map<number, net.Socket>();
const servers = new Map<number, net.Server>();

function hold(handle: number, socket: net.Socket): Ends {
  sockets.set(handle, socket);
  const { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily } = socket;
  return {
    local: { address: localAddress, port: localPort, family: localFamily },
    remote: { address: remoteAddress, port: remotePort, family: remoteFamily },
  };
}

function held<T>(table: Map<number, T>, handle: number): T {
  const one = table.get(handle);
  if (!one) throw Object.assign(new Error("Socket is closed"), { code: "ERR_SOCKET_CLOSED" });
  return one;
}

/** A promise of what is started; `start` returns how to stop it when nobody wants it any more. */
function promised<T>(
  signal: AbortSignal,
  start: (resolve: (value: T) => void, done: (error?: Error | null) => void) => (() => unknown) | void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = start(resolve, (error) => (error ? reject(error) : resolve(undefined as T)));
    if (stop) signal.addEventListener("abort", () => stop(), { once: true });
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

async function carryOut<T>(signal: AbortSignal, socket: net.Socket, reading: Reading<T>): Promise<T> {
  let step = reading.next();
  if (step.done) return step.value;
  const data = new DataListener(socket);
  try {
    while (!step.done) {
      const want = step.value;
      await promised<void>(signal, (_, done) => data.wait(want, done));
      step = reading.next();
    }
    return step.value;
  } finally {
    data.stop();
    reading.return(undefined as T);
  }
}

export const operations = {
  "net.connect"(signal: AbortSignal, handle: number, settings: NetSettings, args: unknown[]): Promise<Ends> {
    dns.setDefaultResultOrder(settings.order);
    net.setDefaultAutoSelectFamily(settings.autoSelectFamily);
    net.setDefaultAutoSelectFamilyAttemptTimeout(settings.autoSelectFamilyAttemptTimeout);
    return promised(signal, (resolve, done) =>
      connect(args, (error, socket) => (error ? done(error) : resolve(hold(handle, socket as net.Socket)))),
    );
  },

  "net.read"(signal: AbortSignal, handle: number, size?: number): Promise<Chunk | null> {
    const socket = held(sockets, handle);
    return carryOut(signal, socket, readChunk(socket, size));
  },

  "net.readLine"(signal: AbortSignal, handle: number, encoding: BufferEncoding): Promise<string | null> {
    const socket = held(sockets, handle);
    return carryOut(signal, socket, readLine(socket, encoding));
  },

  "net.readText"(signal: AbortSignal, handle: number, encoding: BufferEncoding): Promise<string> {
    const socket = held(sockets, handle);
    return carryOut(signal, socket, readText(socket, encoding));
  },

  "net.write"(signal: AbortSignal, handle: number, chunk: unknown, encoding?: BufferEncoding): Promise<void> {
    return promised(signal, (_, done) => write(held(sockets, handle), chunk, encoding, done));
  },

  "net.end"(signal: AbortSignal, handle: number, chunk?: unknown, encoding?: BufferEncoding): Promise<void> {
    return promised(signal, (_, done) => end(held(sockets, handle), chunk, encoding, done));
  },

  "net.set"(_signal: AbortSignal, handle: number, method: SocketMethod, args: unknown[]): void {
    (held(sockets, handle)[method] as (...args: unknown[]) => unknown)(...args);
  },

  "net.figure"(_signal: AbortSignal, handle: number, figure: SocketFigure): number {
    return held(sockets, handle)[figure];
  },

  /** Whether a socket is of no more use. */
  "net.gone"(_signal: AbortSignal, handle: number): boolean {
    return sockets.get(handle)?.destroyed ?? true;
  },

  "net.destroy"(_signal: AbortSignal, handle: number): void {
    sockets.get(handle)?.destroy();
    sockets.delete(handle);
  },

  "net.listen"(
    signal: AbortSignal,
    handle: number,
    settings: NetSettings,
    options: net.ServerOpts,
    args: unknown[],
  ): Promise<ReturnType<net.Server["address"]>> {
    dns.setDefaultResultOrder(settings.order);
    const server = net.createServer(options);
    return promised(signal, (resolve, done) =>
      listen(server, args, (error) => {
        if (error) return done(error);
        servers.set(handle, server);
        resolve(server.address());
      }),
    );
  },

  /** The next connection, to be held by `socketHandle`; null when the server is closed. */
  "net.accept"(signal: AbortSignal, handle: number, socketHandle: number): Promise<Ends | null> {
    const backlog = Backlog.of(held(servers, handle));
    return promised(signal, (resolve) => backlog.take((socket) => resolve(socket && hold(socketHandle, socket))));
  },

  /** Does not wait for the server's connections to end: those who could end them are asleep. */
  "net.close"(_signal: AbortSignal, handle: number): void {
    const server = servers.get(handle);
    servers.delete(handle);
    if (server) close(server, () => {});
  },
};

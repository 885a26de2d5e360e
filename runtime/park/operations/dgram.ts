// dgram in the park worker: it holds the real sockets, the caller holds their handles.
import type { RemoteInfo, Socket, SocketOptions } from "node:dgram";
import type { AddressInfo } from "node:net";
import { held, hold } from "./held";
import { type Patience, promised } from "./patience";
import { adopt, type ConnectionSettings } from "./settings";
import { heed } from "./streams";

/** A datagram as it is received. */
export interface Arrived {
  msg: Uint8Array;
  rinfo: RemoteInfo;
}

/** What a kept datagram counts beside its bytes, so that empty ones are not for nothing. */
const OVERHEAD = 256;

/** A socket, and the datagrams that came in while nobody asked for them: as many as the kernel would keep. */
class Mailbox {
  readonly socket: Socket;
  readonly #kept: Arrived[] = [];
  #size = 0;
  #take: ((error: Error | null, arrived?: Arrived) => void) | null = null;
  #failure: Error | null = null;
  destroyed = false;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("message", (msg, rinfo) => this.#arrived({ msg, rinfo }));
    socket.on("error", (error) => this.#failed(error));
  }

  #arrived(arrived: Arrived): void {
    const size = arrived.msg.length + OVERHEAD;
    if (this.#take) this.#give(null, arrived);
    else if (this.#size + size <= this.socket.getRecvBufferSize()) {
      this.#kept.push(arrived);
      this.#size += size;
    }
  }

  #failed(error: Error): void {
    if (this.#take) this.#give(error);
    else this.#failure = error;
  }

  #give(error: Error | null, arrived?: Arrived): void {
    const take = this.#take;
    this.#take = null;
    take?.(error, arrived);
  }

  /** The next one. The returned function takes that back. */
  take(done: (error: Error | null, arrived?: Arrived) => void): () => void {
    const failure = this.#failure;
    const arrived = this.#kept.shift();
    this.#failure = null;
    if (arrived) {
      this.#size -= arrived.msg.length + OVERHEAD;
      done(null, arrived);
    } else if (failure) done(failure);
    else this.#take = done;
    return () => {
      this.#take = null;
    };
  }

  destroy(): void {
    this.destroyed = true;
    this.socket.close();
  }
}

const mailboxOf = (handle: number) => held<Mailbox>(handle);

export const operations = {
  "dgram.open"(_patience: Patience, handle: number, options: SocketOptions): void {
    const dgram = require("node:dgram") as typeof import("node:dgram"); // not before it is asked for
    hold(handle, new Mailbox(dgram.createSocket(options)));
  },

  "dgram.bind"(patience: Patience, handle: number, options: { port?: number; address?: string }): Promise<AddressInfo> {
    const { socket } = mailboxOf(handle);
    return promised<AddressInfo>(patience, (resolve, done) => {
      const stop = heed(socket, {
        listening: () => {
          stop();
          resolve(socket.address());
        },
        error: (error: Error) => {
          stop();
          done(error);
        },
      });
      socket.bind({ ...options, exclusive: true });
    });
  },

  "dgram.send"(patience: Patience, handle: number, settings: ConnectionSettings, args: unknown[]): Promise<number> {
    adopt(settings);
    const { socket } = mailboxOf(handle);
    return promised<number>(patience, (resolve, done) => {
      const stop = heed(socket, { error: (error: Error) => done(error) }); // of the binding that a first one does
      (socket.send as (...args: unknown[]) => void)(...args, (error: Error | null, bytes: number) => {
        stop();
        if (error) done(error);
        else resolve(bytes);
      });
      return stop;
    });
  },

  "dgram.receive"(patience: Patience, handle: number): Promise<Arrived> {
    return promised(patience, (resolve, done) =>
      mailboxOf(handle).take((error, arrived) => (error ? done(error) : resolve(arrived as Arrived))),
    );
  },

  /** Any other method of the socket, which does not wait. */
  "dgram.call"(_patience: Patience, handle: number, method: string, args: unknown[]): unknown {
    const { socket } = mailboxOf(handle);
    return (socket as unknown as Record<string, (...args: unknown[]) => unknown>)[method]?.(...args);
  },
};

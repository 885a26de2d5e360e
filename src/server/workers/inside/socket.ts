// The client's connection as an app sees it: the real one is the main thread's.
import net = require("node:net");

import { Duplex } from "node:stream";

import { socketElsewhere } from "../../../../runtime/errors";
import type { SocketFacts } from "../protocol";
import type { Outbound } from "./outbound";

type WriteCallback = (error?: Error | null) => void;

/**
 * Made as any duplex stream is, and a `net.Socket` by its prototype (below): Node's constructor prepares for a handle, which
 * there never is, and would take a fifth of all the time that a request takes in a thread.
 */
export class ClientSocket extends (Duplex as unknown as typeof net.Socket) {
  readonly #outbound: Outbound;
  readonly #destroyed: () => void;
  readonly #facts: SocketFacts;
  #answering = false;

  /**
   * @param facts what the real one is
   * @param destroyed called when this one is
   */
  constructor(facts: SocketFacts, outbound: Outbound, destroyed: () => void) {
    super({ allowHalfOpen: true, decodeStrings: false, emitClose: false } as net.SocketConstructorOpts);
    this.#outbound = outbound;
    this.#destroyed = destroyed;
    this.#facts = facts;
    if (facts.encrypted) Object.assign(this, facts.encrypted);
  }

  /** Runs `fn`, in which the response writes to this socket. Nobody else may. */
  answer<T>(fn: () => T): T {
    this.#answering = true;
    try {
      return fn();
    } finally {
      this.#answering = false;
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: as in Node, the arguments are optional from the left
  override write(...args: any[]): boolean {
    if (!this.#answering) throw socketElsewhere("write()");
    return Reflect.apply(super.write, this, args);
  }

  // biome-ignore lint/suspicious/noExplicitAny: the same
  override end(...args: any[]): this {
    if (args.some((arg) => arg != null && typeof arg !== "function")) throw socketElsewhere("end() with data");
    return this.destroy();
  }

  override _read(): void {}

  override _write(chunk: Buffer | string, encoding: BufferEncoding, callback: WriteCallback): void {
    this.#outbound.write([{ chunk, encoding }], callback);
  }

  override _writev(chunks: { chunk: Buffer | string; encoding: BufferEncoding }[], callback: WriteCallback): void {
    this.#outbound.write(chunks, callback);
  }

  override _destroy(error: Error | null, callback: WriteCallback): void {
    this.#destroyed();
    super._destroy(error, callback);
  }

  override address(): net.AddressInfo | Record<string, never> {
    const { localAddress, localFamily, localPort } = this.#facts;
    return localAddress === undefined
      ? {}
      : ({ address: localAddress, family: localFamily, port: localPort } as net.AddressInfo);
  }

  // TypeScript has these as properties. Node has them as accessors, as here, which ask its handle.
  static {
    const facts = ["remoteAddress", "remotePort", "remoteFamily", "localAddress", "localPort", "localFamily"] as const;
    for (const name of facts) {
      Object.defineProperty(ClientSocket.prototype, name, {
        get(this: ClientSocket) {
          return this.#facts[name];
        },
        configurable: true,
      });
    }
    Object.setPrototypeOf(ClientSocket.prototype, net.Socket.prototype);
    // What Node's constructor sets, and what its handle would tell.
    const constants = {
      connecting: false,
      pending: false,
      _parent: null,
      _handle: null,
      bytesRead: 0,
      bytesWritten: 0,
    };
    for (const [name, value] of Object.entries(constants)) {
      Object.defineProperty(ClientSocket.prototype, name, { value, configurable: true, writable: true });
    }
  }
}

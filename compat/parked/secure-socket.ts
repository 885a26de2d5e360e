// A TLSSocket for code out of fibers.
import type { TLSSocket } from "node:tls";

import type { Ends } from "../../runtime/park/operations/net";
import { type Question, questions } from "../../runtime/park/operations/tls";
import { park } from "../../runtime/park/park";
import { ParkedSocket, type ParkedSocketOptions, refusedUse } from "./socket";

/** Connected, after the handshake. */
class ParkedSecureSocket extends ParkedSocket {
  readonly encrypted = true;

  constructor(open: (handle: number) => Ends, options: ParkedSocketOptions) {
    super(open, options);
    for (const [name, value] of Object.entries(this.ends.secure ?? {})) {
      Object.defineProperty(this, name, { value, configurable: true, enumerable: true, writable: true });
    }
  }

  /** @internal */
  ask(question: Question, args: unknown[]): unknown {
    if (!this.destroyed) return this.use(question, () => park("tls.ask", this.handle, question, args));
    const { TLSSocket } = require("node:tls") as typeof import("node:tls");
    return Reflect.apply(TLSSocket.prototype[question], this, args); // which has no handle: what it answers then
  }
}

for (const question of questions) {
  Object.defineProperty(ParkedSecureSocket.prototype, question, {
    configurable: true,
    writable: true,
    value(this: ParkedSecureSocket, ...args: unknown[]) {
      return this.ask(question, args);
    },
  });
}

/** What would change the encryption. */
const refused = [
  "disableRenegotiation",
  "enableTrace",
  "renegotiate",
  "setKeyCert",
  "setMaxSendFragment",
  "setServername",
  "setSession",
];

for (const name of refused) {
  Object.defineProperty(ParkedSecureSocket.prototype, name, {
    configurable: true,
    writable: true,
    value() {
      throw refusedUse(`${name}()`);
    },
  });
}

let isTLSSocket = false;

/** @param open opens a socket in the worker, to be held by that handle */
export function parkedSecureSocket(open: (handle: number) => Ends, options: ParkedSocketOptions): TLSSocket {
  if (!isTLSSocket) {
    isTLSSocket = true;
    // For `instanceof`: its constructor is not called, which would make a socket of this thread.
    const { TLSSocket } = require("node:tls") as typeof import("node:tls");
    const between = Object.create(TLSSocket.prototype, Object.getOwnPropertyDescriptors(ParkedSocket.prototype));
    Object.setPrototypeOf(ParkedSecureSocket.prototype, between);
  }
  return new ParkedSecureSocket(open, options) as unknown as TLSSocket;
}

// tls in the park worker. What is net's there too, is in net.ts.
import type * as tls from "node:tls";
import { connected } from "./connections";
import { held } from "./held";
import { type Ends, holdSocket, listenHeld } from "./net";
import { type Patience, promised } from "./patience";
import { adopt, type ConnectionSettings } from "./settings";

/** The questions that a TLSSocket answers. */
export const questions = [
  "exportKeyingMaterial",
  "getCertificate",
  "getCipher",
  "getEphemeralKeyInfo",
  "getFinished",
  "getPeerCertificate",
  "getPeerFinished",
  "getPeerX509Certificate",
  "getProtocol",
  "getSession",
  "getSharedSigalgs",
  "getTLSTicket",
  "getX509Certificate",
  "isSessionReused",
] as const;

export type Question = (typeof questions)[number];

/** Not before it is asked for. */
const node = () => require("node:tls") as typeof tls;

export const operations = {
  "tls.connect"(patience: Patience, handle: number, settings: ConnectionSettings, args: unknown[]): Promise<Ends> {
    adopt(settings);
    const socket = (node().connect as (...args: unknown[]) => tls.TLSSocket)(...args);
    return promised(patience, (resolve, done) =>
      connected(socket, "secureConnect", (error) => (error ? done(error) : resolve(holdSocket(handle, socket)))),
    );
  },

  "tls.ask"(_patience: Patience, handle: number, question: Question, args: unknown[]): unknown {
    return (held<tls.TLSSocket>(handle)[question] as (...args: unknown[]) => unknown)(...args);
  },

  "tls.listen"(
    patience: Patience,
    handle: number,
    settings: ConnectionSettings,
    options: tls.TlsOptions,
    args: unknown[],
  ): ReturnType<typeof listenHeld> {
    adopt(settings);
    return listenHeld(patience, handle, node().createServer(options), args);
  },
};

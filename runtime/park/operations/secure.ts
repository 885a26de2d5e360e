// What is known of a socket's encryption from its handshake on.
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";

const names = ["authorized", "authorizationError", "alpnProtocol", "servername"] as const;

/** Facts of a TLSSocket by the name of the property. */
export type SecureFacts = Pick<TLSSocket, (typeof names)[number] & keyof TLSSocket> & Record<string, unknown>;

/** Undefined for a socket that is not encrypted. */
export function factsOf(socket: Socket): SecureFacts | undefined {
  if (!("encrypted" in socket)) return undefined;
  const facts: Record<string, unknown> = {};
  for (const name of names) facts[name] = (socket as unknown as Record<string, unknown>)[name];
  return facts as SecureFacts;
}

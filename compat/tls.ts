// tls: secure connections in blocking style. What is added to net's sockets and servers is there for those of tls too.
import type { ConnectionOptions, TLSSocket } from "node:tls";

import { block, withFiberStack } from "../runtime/block";
import { canBlock } from "../runtime/coroutine";
import { invalidArgument } from "../runtime/errors";
import { connected } from "../runtime/park/operations/connections";
import type { Ends } from "../runtime/park/operations/net";
import { parkChecked } from "../runtime/park/park";
import { listenInFibers } from "./emitters";
import { anyServerManner } from "./http2";
import { parkedSecureSocket } from "./parked/secure-socket";
import { connectionSettings, sendableArguments } from "./parked/sending";
import type { ModulePatch } from "./patching";

declare module "tls" {
  /**
   * Connects, and returns the socket after the handshake ("secureConnect"). Arguments as for `tls.connect`, without the
   * listener. Suspends the fiber; when that is killed, the socket is destroyed. What goes wrong with the socket later
   * does not have to be listened for: the next blocking call throws it. With TLS 1.3 this includes that the server
   * refuses this side's certificate.
   *
   * Out of a fiber the thread sleeps meanwhile, and the socket that is returned lives in another thread, as that of
   * `net.connectSync`. Functions among the options (`checkServerIdentity`, ...), `options.socket`,
   * `options.secureContext` and an `options.signal` that is not aborted are for fibers only: ERR_NOT_IN_FIBER.
   * @param options `timeout`: milliseconds without activity after which this call, and later each blocking call on
   *   the socket, throws ETIMEDOUT
   * @throws what the socket's "error" event would bring: ECONNREFUSED, DEPTH_ZERO_SELF_SIGNED_CERT,
   *   ERR_TLS_CERT_ALTNAME_INVALID, ...; and what `tls.connect` throws
   */
  function connectSync(options: ConnectionOptions): TLSSocket;
  function connectSync(port: number, host?: string, options?: ConnectionOptions): TLSSocket;
  function connectSync(port: number, options?: ConnectionOptions): TLSSocket;
}

function connectParked(connect: (...args: unknown[]) => TLSSocket, args: unknown[]): TLSSocket {
  const options = args.find((arg) => typeof arg === "object" && arg !== null) as ConnectionOptions | undefined;
  const check = () => connect(...args).destroy();
  const sent = sendableArguments(args);
  const open = (handle: number) => parkChecked<Ends>(check, "tls.connect", handle, connectionSettings(), sent);
  return parkedSecureSocket(open, { timeout: options?.timeout });
}

export const tlsPatch: ModulePatch = {
  name: "tls",
  apply(define) {
    const tls = require("node:tls") as typeof import("node:tls"); // not in a Node without it
    const https = require("node:https") as typeof import("node:https"); // whose servers are of this class, too
    listenInFibers(define, tls.Server.prototype, (event, server) => {
      return server instanceof https.Server ? undefined : anyServerManner(event);
    });
    const connect = tls.connect as (...args: unknown[]) => TLSSocket;
    define.add(tls, "connectSync", function connectSync(...args: unknown[]): TLSSocket {
      const last = args.at(-1);
      if (typeof last === "function") throw invalidArgument("options", "without a listener after it", last);
      if (!canBlock()) return connectParked(connect, args);
      try {
        const socket = connect(...args);
        return block<TLSSocket>((waiter) => {
          waiter.discard = (late) => late.destroy();
          return connected(socket, "secureConnect", waiter.callback);
        });
      } catch (error) {
        throw withFiberStack(error, connectSync);
      }
    });
  },
};

// What is behind a server: the part that differs from engine to engine.
import type http = require("node:http");

import type { Upgrade } from "./upgrade";

/** What runs an app's requests. The server in front of it (listening, TLS, limits, access log, shutdown, reload) is the same for all. */
export interface Engine {
  /** Handles one request of Node's http(s) server, from the first byte of its head to the end of its response. Never throws. */
  handle(req: http.IncomingMessage, res: http.ServerResponse): void;
  /** Handles one request for an upgrade, and never throws; undefined: such requests are as any other. */
  readonly upgrade?: ((upgrade: Upgrade) => void) | undefined;
  /** Accept no more work; resolves when all of it has ended. After `grace` milliseconds what still runs is killed (fibers) or terminated (threads). */
  close(grace: number): Promise<void>;
}

// http2: responses of its compatibility API are written in blocking style. All else is there already: its servers are net's
// and tls's, its streams and requests are streams. (Listeners of sessions stay on the hub.)
import type { Http2ServerResponse } from "node:http2";

import { isLoaded } from "../runtime/builtins";
import { streamDestroyed } from "../runtime/park/operations/streams";
import { noteGone } from "./clients";
import { type Manner, serverManner } from "./emitters";
import type { Define, ModulePatch } from "./patching";
import { endSync, writeSync } from "./stream";

declare module "http2" {
  interface Http2ServerResponse {
    /** As `Writable#writeSync`. */
    writeSync(chunk: string | Uint8Array, encoding?: BufferEncoding): void;
    /** As `Writable#endSync`. */
    endSync(chunk?: string | Uint8Array, encoding?: BufferEncoding): void;
  }
}

let pending: Define | null = null;

/** Node's own keeps that to itself: a response whose stream is gone takes what it is given, or never says that it ended. */
function checkStream(response: Http2ServerResponse, method: string): void {
  const { stream } = response;
  if (!stream.destroyed || stream.writableFinished) return;
  const error = stream.errored ?? streamDestroyed(method);
  noteGone(response, error);
  throw error;
}

function writeResponse(this: Http2ServerResponse, ...args: Parameters<typeof writeSync>): void {
  checkStream(this, "write");
  Reflect.apply(writeSync, this, args);
}

function endResponse(this: Http2ServerResponse, ...args: Parameters<typeof endSync>): void {
  checkStream(this, "end");
  Reflect.apply(endSync, this, args);
}

/**
 * `serverManner` for servers that may speak HTTP/2. When one is about to hand out a response, http2 is loaded; to load it
 * before would be felt.
 */
export function anyServerManner(event: string | symbol): Manner {
  if (event === "request") completeResponses();
  return serverManner(event);
}

function completeResponses(): void {
  if (pending === null) return;
  const http2 = require("node:http2") as { Http2ServerResponse: { prototype: Http2ServerResponse } };
  pending.add(http2.Http2ServerResponse.prototype, "writeSync", writeResponse);
  pending.add(http2.Http2ServerResponse.prototype, "endSync", endResponse);
  pending = null;
}

export const http2Patch: ModulePatch = {
  name: "http2",
  apply(define) {
    pending = define;
    if (isLoaded("http2")) completeResponses();
  },
};

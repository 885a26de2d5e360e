// http2: responses of its compatibility API are written in blocking style. All else is there already: its servers are net's
// and tls's, its streams and requests are streams. (Listeners of sessions stay on the hub.)
import type { Http2ServerResponse } from "node:http2";

import type { ModulePatch } from "./patching";
import { endSync, writeSync } from "./stream";

declare module "http2" {
  interface Http2ServerResponse {
    /** As `Writable#writeSync`. */
    writeSync(chunk: string | Uint8Array, encoding?: BufferEncoding): void;
    /** As `Writable#endSync`. */
    endSync(chunk?: string | Uint8Array, encoding?: BufferEncoding): void;
  }
}

export const http2Patch: ModulePatch = {
  name: "http2",
  apply(define) {
    const http2 = require("node:http2") as { Http2ServerResponse: { prototype: Http2ServerResponse } };
    define.add(http2.Http2ServerResponse.prototype, "writeSync", writeSync);
    define.add(http2.Http2ServerResponse.prototype, "endSync", endSync);
  },
};

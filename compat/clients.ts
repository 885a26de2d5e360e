// Clients of HTTP servers that go away. In callbacks a handler need not know: its writes come to nothing, its request ends
// without an "error" that anybody would have to hear. In blocking style its call throws, so that it goes no further and its
// `finally` blocks run; and if it does not catch that, nobody is to be troubled with it.
import { IncomingMessage, ServerResponse } from "node:http";

import { isLoaded } from "../runtime/builtins";
import { mayHaveLeft } from "../runtime/errors";
import { quiet } from "../runtime/listener";

function isServers(message: unknown): boolean {
  if (message instanceof ServerResponse) return true;
  if (message instanceof IncomingMessage) return message.statusCode === null; // a response to a client has one
  if (!isLoaded("http2")) return false;
  const { Http2ServerRequest, Http2ServerResponse } = require("node:http2") as typeof import("node:http2");
  return message instanceof Http2ServerRequest || message instanceof Http2ServerResponse;
}

/** An error of a blocking call on `message`: takes note of it if it says that a server's client has gone. */
export function noteGone(message: unknown, error: unknown): void {
  if (!(error instanceof Error) || !mayHaveLeft(error) || !isServers(message)) return;
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ERR_STREAM_WRITE_AFTER_END" && (message as ServerResponse).writableEnded) return; // by the program
  quiet.set(error, true);
}

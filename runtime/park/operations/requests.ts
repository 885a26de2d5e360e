// HTTP requests, from their sending to the head of the response: for fibers (compat/http.ts) and for the park worker.
import type { ClientRequest, IncomingMessage, RequestOptions } from "node:http";

// biome-ignore lint/suspicious/noExplicitAny: of http or of https
type Request = (...args: any[]) => ClientRequest;
type Done = (error: Error | null, response?: IncomingMessage) => void;

/** Sends what `request(...args)` is, with that body. The returned function gives it up. */
export function exchange(request: Request, args: unknown[], body: unknown, done: Done): () => void {
  const req = request(...args);
  let answered = false;
  req.once("response", (res) => {
    answered = true;
    done(null, res);
  });
  req.on("error", (error) => done(error));
  // Not for the timeout of an agent (the global one has five seconds): Node lets such a request go on, too.
  if (args.some(hasTimeout)) req.once("timeout", () => req.destroy(timedOut()));
  req.once("close", () => {
    if (!answered) done(new Error("the request was closed before there was a response"));
  });
  req.end(body);
  return () => req.destroy();
}

function timedOut(): Error {
  return Object.assign(new Error("the request timed out"), { code: "ETIMEDOUT", syscall: "request" });
}

function hasTimeout(options: unknown): boolean {
  return typeof options === "object" && Boolean((options as RequestOptions | null)?.timeout);
}

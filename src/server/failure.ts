// Stands in for the module of this name that comes with `serve`: to be replaced by it.
import http = require("node:http");

type Request = http.IncomingMessage;
type Response = http.ServerResponse;

/** The handler has failed: says so in the log, with the error's stack, and to the client: 500, or the connection is cut. */
export function fail(req: Request, res: Response, error: unknown): void {
  if (res.destroyed && !res.writableFinished) return;
  logFailure(req, error);
  refuse(res, 500);
}

/** To standard error. */
export function logFailure(req: Request, error: unknown): void {
  console.error(`${req.method} ${req.url} failed:`, error);
}

/** Answers in the place of a handler that does not. If the head has been sent the connection is cut. */
export function refuse(res: Response, status: number, headers: Record<string, string> = {}): void {
  if (res.writableEnded || res.destroyed) return;
  if (res.headersSent) {
    res.destroy();
    return;
  }
  for (const name of res.getHeaderNames()) res.removeHeader(name);
  res.statusMessage = http.STATUS_CODES[status] ?? "";
  const body = `${res.statusMessage}\n`;
  res.writeHead(status, { "content-type": "text/plain", "content-length": body.length, ...headers });
  res.end(body);
}

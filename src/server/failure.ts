// What a client is told, and the log, when its request cannot be answered.
import http = require("node:http");

import { type CodedError, mayHaveLeft } from "../../runtime/errors";

type Request = http.IncomingMessage;
type Response = http.ServerResponse;

/** The handler has failed: says so in the log, with the error's stack, and to the client: 500, or the connection is cut. */
export function fail(req: Request, res: Response, error: unknown): void {
  // Who writes hears of a client that has left before the connection itself does.
  if (mayHaveLeft(error) && !hasGone(res)) setImmediate(conclude, req, res, error);
  else conclude(req, res, error);
}

function conclude(req: Request, res: Response, error: unknown): void {
  logFailure(req, res, error);
  refuse(res, 500);
}

/** To standard error; but not that a client has gone, or was told that its body is too large. */
export function logFailure(req: Request, res: Response, error: unknown): void {
  if (!isKnown(res, error)) console.error(`${nameOf(req)} failed:`, error);
}

/** A request, for people. */
export function nameOf(req: Request): string {
  return `${req.method} ${req.url}`;
}

/**
 * Answers in the place of a handler that does not, with a status and nothing more. If the head has been sent the
 * connection is cut: that is the only way left to tell that the response is not whole. Does nothing if it is.
 */
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

function isKnown(res: Response, error: unknown): boolean {
  const code = codeOf(error);
  return code === BODY_TOO_LARGE || (mayHaveLeft(error) && hasGone(res));
}

function codeOf(error: unknown): string {
  return String((error as CodedError | null | undefined)?.code);
}

/** Whether nobody is there any more to read what is left of a response. */
export function hasGone(res: Response): boolean {
  return !res.writableFinished && (res.destroyed || !res.socket || res.socket.destroyed);
}

/** The code of the error that reading a body ends with which is larger than the server allows. */
export const BODY_TOO_LARGE = "ERR_BODY_TOO_LARGE";

// Apps: what a server runs, in either style, as one blocking handler.
import type http = require("node:http");

import { checkFunction, invalidReturn } from "../../runtime/errors";
import { fail } from "./failure";
import { respond } from "./respond";
import type { UpgradeHandler } from "./upgrade";

/** A body in one piece, or one by one: each item is sent as it comes. */
export type Body =
  | string
  | ArrayBuffer
  | ArrayBufferView
  | Iterable<string | ArrayBuffer | ArrayBufferView>
  | AsyncIterable<string | ArrayBuffer | ArrayBufferView>
  | ReadableStream;

type HeaderValue = string | number | readonly string[];

/** What an app in WSGI style returns. A `Response` of fetch's is one. */
export interface Answer {
  /** Default: 200. */
  status?: number;
  /** Default: what HTTP calls `status`. */
  statusText?: string;
  /** An object, pairs or `Headers`. A name may come several times in pairs, or have an array of values: "set-cookie". */
  headers?: Readonly<Record<string, HeaderValue | undefined>> | Iterable<readonly [string, HeaderValue]>;
  /**
   * Text, bytes, or an iterable of them: a generator, for one. Each item is sent as it is yielded, and the next one is not
   * asked for before the connection has taken it. When the client goes away, a generator's `finally` blocks run.
   */
  body?: Body | null | undefined;
}

/**
 * A web app, in one of two styles that are told apart by the number of parameters.
 * - Node's: `app(req, res)` answers by `res`, as a handler of `http.createServer` does. So an Express app is one. What it
 *   returns does not matter, but that a promise which it returns is looked at for failures.
 * - WSGI's: `app(req)` returns an `Answer`, or a `Response`, or a promise of one.
 *
 * If it has a property `upgrade`, or its module exports one, that takes upgrades: WebSockets.
 */
export type App = ((req: http.IncomingMessage, res: http.ServerResponse) => unknown) & { upgrade?: UpgradeHandler };

/**
 * One handler in blocking style for an app in either style. It throws what the app throws before it returns, or while it
 * yields a body: then no head has been sent, or the response has not ended, and it is for the engine to tell the client
 * (`fail`). What goes on after it has returned, for an app or a body that is asynchronous, it tells the client itself.
 *
 * It uses no fibers, and needs of an engine:
 * - `req.method`, and of `req` whatever apps may use: `readSync`, `textSync`, ... of the patch;
 * - `res.writeSync(chunk)`, which blocks until the connection has taken the chunk, and throws when the client has gone;
 * - of Node's `ServerResponse`: `statusCode`, `statusMessage`, `headersSent`, `setHeader`, `appendHeader`, `hasHeader`,
 *   `getHeaderNames`, `removeHeader`, `writeHead`, `end`, `destroy`, `writableEnded`, `writableFinished`, `destroyed`, `socket`;
 * - for apps and bodies that are asynchronous, `write(chunk, callback)` and the event "close".
 */
export function handlerOf(app: App): (req: http.IncomingMessage, res: http.ServerResponse) => void {
  checkFunction(app, "app");
  return app.length >= 2 ? byResponse(app) : byReturn(app);
}

type Handler = ReturnType<typeof handlerOf>;

function byResponse(app: App): Handler {
  return (req, res) => {
    const result: unknown = app(req, res);
    if (isThenable(result)) result.then(undefined, (error) => fail(req, res, error));
  };
}

function byReturn(app: App): Handler {
  return (req, res) => {
    const result: unknown = app(req, res);
    if (!isThenable(result)) answer(app, req, res, result);
    else {
      result.then((value) => answer(app, req, res, value, true)).then(undefined, (error) => fail(req, res, error));
    }
  };
}

/** @param asynchronous whether nothing can block where this is called */
function answer(
  app: App,
  req: http.IncomingMessage,
  res: http.ServerResponse,
  result: unknown,
  asynchronous = false,
): void {
  // With rest parameters it may well be Node's style.
  if (app.length === 0 && (result === undefined || result === res)) return;
  if (!isAnswer(result)) throw invalidReturn("{ status, headers, body } or a Response", "app", describe(result));
  respond(req, res, result, asynchronous);
}

function isAnswer(value: unknown): value is Answer {
  if (typeof value !== "object" || value === null) return false;
  return "status" in value || "headers" in value || "body" in value;
}

function describe(value: unknown): string {
  if (typeof value === "object" && value !== null) return `an instance of ${value.constructor?.name ?? "Object"}`;
  return value == null ? String(value) : `type ${typeof value}`;
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === "function";
}

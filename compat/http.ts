// http, https: every request is handled in a fiber; and requests in blocking style.
import http = require("node:http");
import https = require("node:https");

import { block } from "../runtime/block";
import type { AnyFunction } from "../runtime/disguise";
import { listenInFibers, serverManner } from "./emitters";
import type { Define, ModulePatch } from "./patching";

declare module "http" {
  /**
   * Sends a request and waits for the response's head; its body is read with `response.readSync()`, `textSync()` or
   * `chunksSync()`. Arguments as for `http.request`, without the callback; then the body, if there is one.
   * `options.timeout` (milliseconds without activity) and `options.signal` end it with an error.
   * @throws what the request's "error" event would bring; ETIMEDOUT after `options.timeout`
   */
  function requestSync(url: string | URL, options: RequestOptions, body?: Body): IncomingMessage;
  function requestSync(options: RequestOptions | string | URL, body?: Body): IncomingMessage;
  /** `requestSync` with the method GET and no body. */
  function getSync(url: string | URL, options: RequestOptions): IncomingMessage;
  function getSync(options: RequestOptions | string | URL): IncomingMessage;
}

declare module "https" {
  function requestSync(url: string | URL, options: RequestOptions, body?: Body): http.IncomingMessage;
  function requestSync(options: RequestOptions | string | URL, body?: Body): http.IncomingMessage;
  function getSync(url: string | URL, options: RequestOptions): http.IncomingMessage;
  function getSync(options: RequestOptions | string | URL): http.IncomingMessage;
}

/** A request's body: text or bytes. */
export type Body = string | Uint8Array;

function send(request: AnyFunction, args: unknown[], body: unknown): http.IncomingMessage {
  return block<http.IncomingMessage>((waiter) => {
    const req: http.ClientRequest = request(...args);
    waiter.discard = (late) => late.destroy();
    req.once("response", (res: http.IncomingMessage) => waiter.resolve(res));
    req.on("error", (error: Error) => waiter.reject(error));
    // Not for the timeout of an agent (the global one has five seconds): Node lets such a request go on, too.
    if (args.some(hasTimeout)) req.once("timeout", () => req.destroy(timedOut()));
    req.once("close", () => {
      if (waiter.pending) waiter.reject(new Error("the request was closed before there was a response"));
    });
    req.end(body);
    return () => req.destroy();
  });
}

function timedOut(): Error {
  return Object.assign(new Error("the request timed out"), { code: "ETIMEDOUT", syscall: "request" });
}

function hasTimeout(options: unknown): boolean {
  return typeof options === "object" && Boolean((options as http.RequestOptions | null)?.timeout);
}

function isOptions(value: unknown): boolean {
  return typeof value === "object" && value !== null && !(value instanceof Uint8Array);
}

function add(define: Define, module: typeof http | typeof https): void {
  const { request } = module;
  listenInFibers(define, module.Server.prototype, serverManner);
  define.add(module, "requestSync", function requestSync(target: unknown, options?: unknown, body?: unknown) {
    return isOptions(options) ? send(request, [target, options], body) : send(request, [target], options ?? body);
  });
  define.add(module, "getSync", function getSync(target: unknown, options?: object) {
    return options === undefined ? send(request, [target], undefined) : send(request, [target, options], undefined);
  });
}

export const httpPatch: ModulePatch = { name: "http", apply: (define) => add(define, http) };
export const httpsPatch: ModulePatch = { name: "https", apply: (define) => add(define, https) };

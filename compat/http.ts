// http, https: every request is handled in a fiber; and requests in blocking style.
import http = require("node:http");
import https = require("node:https");

import { block } from "../runtime/block";
import { canBlock } from "../runtime/coroutine";
import type { AnyFunction } from "../runtime/disguise";
import type { Head } from "../runtime/park/operations/http";
import { exchange } from "../runtime/park/operations/requests";
import { parkChecked } from "../runtime/park/park";
import { listenInFibers, serverManner } from "./emitters";
import { ParkedMessage } from "./parked/message";
import { connectionSettings, sendableArguments } from "./parked/sending";
import type { Define, ModulePatch } from "./patching";

declare module "http" {
  /**
   * Sends a request and waits for the response's head; its body is read with `response.readSync()`, `textSync()` or
   * `chunksSync()`. Arguments as for `http.request`, without the callback; then the body, if there is one.
   * `options.timeout` (milliseconds without activity) and `options.signal` end it with an error.
   *
   * Out of a fiber the thread sleeps meanwhile, and whenever the body is read. An agent and other functions or sockets
   * among the options, and an `options.signal` that is not aborted, are for fibers only: ERR_NOT_IN_FIBER.
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

interface Module {
  readonly name: "http" | "https";
  readonly request: AnyFunction;
}

function send({ name, request }: Module, args: unknown[], body?: unknown): http.IncomingMessage {
  if (!canBlock()) return sendParked({ name, request }, args, body);
  return block<http.IncomingMessage>((waiter) => {
    waiter.discard = (late) => late.destroy();
    return exchange(request, args, body, waiter.callback);
  });
}

function sendParked({ name, request }: Module, args: unknown[], body: unknown): http.IncomingMessage {
  const check = () => {
    const req = request(...args).on("error", () => {});
    req.end(body);
    req.destroy();
  };
  const sent = sendableArguments(args);
  return new ParkedMessage((handle) =>
    parkChecked<Head>(check, "http.request", handle, connectionSettings(), name, sent, body),
  );
}

function isOptions(value: unknown): boolean {
  return typeof value === "object" && value !== null && !(value instanceof Uint8Array);
}

function add(define: Define, name: Module["name"], node: typeof http | typeof https): void {
  const module = { name, request: node.request };
  listenInFibers(define, node.Server.prototype, serverManner);
  define.add(node, "requestSync", function requestSync(target: unknown, options?: unknown, body?: unknown) {
    return isOptions(options) ? send(module, [target, options], body) : send(module, [target], options ?? body);
  });
  define.add(node, "getSync", function getSync(target: unknown, options?: object) {
    return send(module, options === undefined ? [target] : [target, options]);
  });
}

export const httpPatch: ModulePatch = { name: "http", apply: (define) => add(define, "http", http) };
export const httpsPatch: ModulePatch = { name: "https", apply: (define) => add(define, "https", https) };

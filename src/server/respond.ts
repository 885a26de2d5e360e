// Sends what an app in WSGI style has returned.
import type http = require("node:http");

import { invalidArgument, outOfRange } from "../../runtime/errors";
import type { Answer } from "./app";
import { fail } from "./failure";

type Request = http.IncomingMessage;
type Response = http.ServerResponse;

/** Responses the next item of whose body is awaited on the stack of a handler, which is there for nothing else any more. */
export const streaming = new WeakSet<Response>();

/**
 * Sends an answer. Blocks while a body is yielded; an asynchronous one is sent after this has returned.
 * @param asynchronous whether nothing can block here: any iterable is taken for an asynchronous one then
 * @throws what a body's iterator throws, what is wrong with the answer, and what `res.writeSync` throws when the client has gone
 */
export function respond(req: Request, res: Response, answer: Answer, asynchronous: boolean): void {
  const { body } = answer;
  if ((answer as { bodyUsed?: unknown }).bodyUsed === true) {
    throw invalidArgument("response.body", "one that has not been read yet", body);
  }
  try {
    writeHead(res, answer);
    checkBody(body);
  } catch (error) {
    discard(body);
    throw error;
  }
  if (body == null) res.end();
  else if (typeof body === "string" || isBytes(body)) send(req, res, body);
  else if (req.method === "HEAD" || hasNoBody(res.statusCode)) {
    discard(body);
    if (Array.isArray(body) && !hasNoBody(res.statusCode)) setLength(res, lengthOf(body));
    res.end();
  } else if (Symbol.iterator in body && !asynchronous) sendItems(res, body as Iterable<unknown>);
  else void sendAsynchronously(req, res, body as AsyncBody);
}

function writeHead(res: Response, { status = 200, statusText, headers }: Answer): void {
  if (typeof status !== "number") throw invalidArgument("response.status", "of type number", status);
  if (!(Number.isInteger(status) && status >= 200 && status <= 999)) {
    throw outOfRange("response.status", "a whole number from 200 to 999", status);
  }
  res.statusCode = status;
  if (statusText) res.statusMessage = String(statusText);
  if (headers == null) return;
  if (typeof headers !== "object") throw invalidArgument("response.headers", "an object, pairs or Headers", headers);
  if (Symbol.iterator in headers) {
    for (const pair of headers as Iterable<unknown>) {
      if (!Array.isArray(pair)) throw invalidArgument("response.headers", "an object, pairs or Headers", headers);
      addHeader(res, pair[0], pair[1]);
    }
  } else for (const [name, value] of Object.entries(headers)) if (value !== undefined) addHeader(res, name, value);
}

/** Node checks names and values. */
function addHeader(res: Response, name: string, value: unknown): void {
  if (Array.isArray(value)) for (const one of value) res.appendHeader(name, one);
  else res.appendHeader(name, typeof value === "number" ? String(value) : (value as string));
}

function checkBody(body: unknown): void {
  if (body == null || typeof body === "string" || isBytes(body)) return;
  if (typeof body === "object" && (Symbol.iterator in body || Symbol.asyncIterator in body)) return;
  throw invalidArgument("response.body", "text, bytes, or an iterable of them", body);
}

/** In HTTP these have none, whatever an app returns. */
function hasNoBody(status: number): boolean {
  return status === 204 || status === 304;
}

function send(req: Request, res: Response, body: string | ArrayBuffer | ArrayBufferView): void {
  const chunk = bytesOf(body);
  if (!hasNoBody(res.statusCode)) setLength(res, Buffer.byteLength(chunk));
  if (req.method === "HEAD" || hasNoBody(res.statusCode)) res.end();
  else res.end(chunk);
}

function sendItems(res: Response, items: Iterable<unknown>): void {
  if (Array.isArray(items)) setLength(res, lengthOf(items));
  streaming.add(res);
  try {
    for (const item of items) {
      streaming.delete(res); // what follows tells by itself that the client has gone
      res.writeSync(bytesOf(item));
      streaming.add(res);
    }
  } finally {
    streaming.delete(res);
  }
  res.end();
}

function setLength(res: Response, length: number): void {
  if (!res.hasHeader("content-length") && !res.hasHeader("transfer-encoding")) res.setHeader("content-length", length);
}

function lengthOf(items: readonly unknown[]): number {
  return items.reduce<number>((sum, item) => sum + Buffer.byteLength(bytesOf(item)), 0);
}

function isBytes(value: unknown): value is ArrayBuffer | ArrayBufferView {
  return ArrayBuffer.isView(value) || value instanceof ArrayBuffer || value instanceof SharedArrayBuffer;
}

/** What Node can send. */
function bytesOf(item: unknown): string | Uint8Array {
  if (typeof item === "string" || item instanceof Uint8Array) return item;
  if (ArrayBuffer.isView(item)) return Buffer.from(item.buffer, item.byteOffset, item.byteLength);
  if (isBytes(item)) return new Uint8Array(item as ArrayBuffer);
  throw invalidArgument("response.body", "text, bytes, or an iterable of them", item);
}

type AsyncBody = Iterable<unknown> | AsyncIterable<unknown> | ReadableStream;

/** The next item, and how to tell that none is wanted any more. */
interface Source {
  next(): PromiseLike<IteratorResult<unknown>> | IteratorResult<unknown>;
  stop(): unknown;
}

function sourceOf(body: AsyncBody): Source {
  if ("getReader" in body) {
    const reader = body.getReader();
    return { next: () => reader.read() as Promise<IteratorResult<unknown>>, stop: () => reader.cancel() };
  }
  const iterator =
    Symbol.asyncIterator in body ? body[Symbol.asyncIterator]() : (body as Iterable<unknown>)[Symbol.iterator]();
  const { destroy } = body as { destroy?: () => void };
  return {
    next: () => iterator.next(),
    stop: () => (typeof destroy === "function" ? destroy.call(body) : iterator.return?.()),
  };
}

async function sendAsynchronously(req: Request, res: Response, body: AsyncBody): Promise<void> {
  let source: Source | undefined;
  let wanted = true;
  const stop = () => {
    wanted = false;
    if (source) quietly(source.stop);
  };
  res.once("close", stop);
  try {
    if (Array.isArray(body)) setLength(res, lengthOf(body));
    source = sourceOf(body);
    for (let step = await source.next(); wanted && !step.done; step = await source.next()) {
      await written(res, bytesOf(await step.value));
    }
    if (!wanted) return;
    source = undefined;
    res.end();
  } catch (error) {
    const failed = wanted;
    stop();
    if (failed) fail(req, res, error);
  }
}

/** Resolves when the connection has taken a chunk, or is gone. */
function written(res: Response, chunk: string | Uint8Array): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      res.off("close", done);
      resolve();
    };
    res.on("close", done);
    res.write(chunk, done);
  });
}

/** Nobody will ask for what a body has. */
function discard(body: unknown): void {
  if (typeof body !== "object" || body === null) return;
  const { cancel, destroy, return: end } = body as Record<string, unknown>;
  const stop = [cancel, destroy, end].find((method) => typeof method === "function") as (() => unknown) | undefined;
  if (stop) quietly(() => stop.call(body));
}

/** Whatever it throws, now or later, concerns nobody. */
function quietly(fn: () => unknown): void {
  try {
    Promise.resolve(fn()).catch(() => {});
  } catch {
    // It was to be left, and is.
  }
}

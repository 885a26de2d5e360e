// A response to fetchSync for code out of fibers: the real one lives in the park worker, this one holds its handle.
import { fiberOnly } from "../../runtime/errors";
import type { FormEntry, ResponseHead, SentBody } from "../../runtime/park/operations/fetch";
import { newHandle, park, parkRelease } from "../../runtime/park/park";
import { connectionSettings } from "./sending";

/** The worker's handles of responses that have a body; null for those that have none. */
const parked = new WeakMap<Response, number | null>();

/** Lets go of the real responses of those that became garbage. */
const handles = new FinalizationRegistry<number>((handle) => parkRelease("stream.destroy", handle));

export function isParkedResponse(response: Response): boolean {
  return parked.has(response);
}

export function fetchParked(input: unknown, init: RequestInit | undefined): Response {
  const handle = newHandle();
  const { url, options, sent, bytes } = request(input, init);
  const head = park<ResponseHead>("fetch.request", handle, connectionSettings(), url, options, sent, bytes);
  const { hasBody, headers, redirected, status, statusText, type } = head;
  const response = new Response(hasBody ? bodyOf(handle) : null, { status, statusText, headers }) as Response;
  for (const [name, value] of Object.entries({ url: head.url, redirected, type })) {
    Object.defineProperty(response, name, { value, configurable: true });
  }
  parked.set(response, hasBody ? handle : null);
  if (hasBody) handles.register(response, handle, response);
  return response;
}

/** For who reads it in the asynchronous way: the thread sleeps until the next piece has come. */
function bodyOf(handle: number): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        const chunk = park<Buffer | null>("fetch.read", handle);
        if (chunk === null) controller.close();
        else controller.enqueue(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength));
      },
      cancel() {
        parkRelease("stream.destroy", handle);
      },
    },
    { highWaterMark: 0 },
  );
}

interface Sent {
  url: string;
  options: RequestInit;
  sent: SentBody;
  bytes: Uint8Array | null;
}

/** What `fetch` is given, as it can be sent. */
function request(input: unknown, init: RequestInit = {}): Sent {
  const given = input instanceof Request ? input : undefined;
  for (const signal of [init.signal, given?.signal]) if (signal?.aborted) throw signal.reason;
  if (init.signal) throw fiberOnly("init.signal");
  if ((init as { dispatcher?: unknown }).dispatcher) throw fiberOnly("init.dispatcher");
  if (given?.body && init.body === undefined) throw fiberOnly("a Request with a body");
  const { body, headers = given?.headers, signal: _, ...rest } = { ...fields(given), ...init };
  const options = { ...rest, ...(headers && { headers: [...new Headers(headers)] as [string, string][] }) };
  return { url: given ? given.url : String(input), options, ...sendableBody(body) };
}

function fields(given: Request | undefined): RequestInit {
  if (given === undefined) return {};
  const { credentials, integrity, keepalive, method, mode, redirect, referrer, referrerPolicy } = given;
  return { credentials, integrity, keepalive, method, mode, redirect, referrer, referrerPolicy };
}

function sendableBody(body: unknown): { sent: SentBody; bytes: Uint8Array | null } {
  const as = (sent: SentBody, bytes: Uint8Array | null = null) => ({ sent, bytes });
  if (body === undefined || body === null) return as({ kind: "none" });
  if (ArrayBuffer.isView(body)) {
    return as({ kind: "none" }, new Uint8Array(body.buffer as ArrayBuffer, body.byteOffset, body.byteLength));
  }
  if (body instanceof ArrayBuffer) return as({ kind: "none" }, new Uint8Array(body));
  if (body instanceof Blob) return as({ kind: "blob", blob: body });
  if (body instanceof URLSearchParams) return as({ kind: "query", text: String(body) });
  if (body instanceof FormData)
    return as({ kind: "form", entries: [...body].map(([name, value]) => entry(name, value)) });
  const isStream = typeof body === "object" && (body instanceof ReadableStream || Symbol.asyncIterator in body);
  if (isStream) throw fiberOnly("init.body, a stream,");
  return as({ kind: "text", text: String(body) });
}

function entry(name: string, value: string | File): FormEntry {
  return typeof value === "string" ? [name, value] : [name, value, value.name];
}

type Bodies = Record<string, (response: Response) => unknown>;

const text = (response: Response) => new TextDecoder().decode(everything(response));

/** Ways to read a parked response's body, by the names that they have in Response. */
export const readParked: Bodies = {
  text,
  json: (response) => JSON.parse(text(response)),
  arrayBuffer: (response) => bytes(response).buffer,
  bytes,
  blob: (response) => consume(response, (handle) => park("fetch.readBlob", handle)) ?? new Blob([]),
  formData(response) {
    const entries = consume(response, (handle) => park<FormEntry[]>("fetch.readForm", handle));
    if (entries === null) throw new TypeError("Response.formData: the response has no body");
    const form = new FormData();
    for (const one of entries) (form.append as (...entry: FormEntry) => void)(...one);
    return form;
  },
};

function bytes(response: Response): Uint8Array {
  const all = everything(response);
  const whole = all.byteLength === all.buffer.byteLength;
  return whole ? new Uint8Array(all.buffer) : new Uint8Array(all); // which copies it out of a pool
}

function everything(response: Response): Buffer {
  return consume(response, (handle) => park<Buffer>("fetch.readAll", handle)) ?? Buffer.alloc(0);
}

/** Reads a body, which then is used up; null if there is none. */
function consume<T>(response: Response, read: (handle: number) => T): T | null {
  const handle = parked.get(response) as number | null;
  if (handle === null) return null;
  const body = response.body as ReadableStream<Uint8Array>;
  if (response.bodyUsed || body.locked) throw new TypeError("Body is unusable: Body has already been read");
  try {
    return read(handle);
  } finally {
    handles.unregister(response);
    void body.cancel(); // it counts as used then, and the worker lets go of it
  }
}

// fetch in the park worker: it holds the responses, of which the caller has the head.
import { held, hold } from "./held";
import type { Patience } from "./patience";
import { adopt, type ConnectionSettings } from "./settings";

/** A body that can be sent to the worker. */
export type SentBody =
  | { kind: "none" }
  | { kind: "text"; text: string }
  | { kind: "blob"; blob: Blob }
  | { kind: "form"; entries: FormEntry[] }
  | { kind: "query"; text: string };

export type FormEntry = [name: string, value: string] | [name: string, value: Blob, filename: string];

export interface ResponseHead {
  status: number;
  statusText: string;
  headers: [string, string][];
  url: string;
  redirected: boolean;
  type: Response["type"];
  hasBody: boolean;
}

interface Held {
  response: Response;
  reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  destroyed: boolean;
  destroy(): void;
}

function bodyOf(sent: SentBody, bytes: Uint8Array<ArrayBuffer> | null): NonNullable<RequestInit["body"]> | null {
  if (bytes !== null) return bytes;
  switch (sent.kind) {
    case "text":
      return sent.text;
    case "blob":
      return sent.blob;
    case "query":
      return new URLSearchParams(sent.text);
    case "form": {
      const form = new FormData();
      for (const entry of sent.entries) (form.append as (...entry: FormEntry) => void)(...entry);
      return form;
    }
    default:
      return null;
  }
}

async function everything(reader: ReadableStreamDefaultReader<Uint8Array> | undefined): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (let next = await reader?.read(); next && !next.done; next = await reader?.read()) pieces.push(next.value);
  return pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces);
}

async function rest(handle: number): Promise<Response> {
  const { reader, response } = held<Held>(handle);
  return new Response(new Uint8Array(await everything(reader)), { headers: response.headers }) as Response;
}

export const operations = {
  async "fetch.request"(
    patience: Patience,
    handle: number,
    settings: ConnectionSettings,
    url: string,
    init: RequestInit,
    sent: SentBody,
    bytes: Uint8Array<ArrayBuffer> | null,
  ): Promise<ResponseHead> {
    adopt(settings);
    const controller = new AbortController();
    const calm = patience.atEnd(() => controller.abort());
    const body = bodyOf(sent, bytes);
    const whole = { ...init, ...(body !== null && { body }), signal: controller.signal };
    const response = (await fetch(url, whole)) as Response;
    calm();
    const { status, statusText, redirected, type } = response;
    const thing: Held = {
      response,
      reader: response.body?.getReader(),
      destroyed: false,
      destroy() {
        this.destroyed = true;
        controller.abort();
      },
    };
    thing.reader?.closed.catch(() => {}); // is told when it is next read
    hold(handle, thing);
    const headers = [...response.headers] as [string, string][];
    return { status, statusText, headers, url: response.url, redirected, type, hasBody: response.body !== null };
  },

  /** The next piece of the body; null at its end. */
  async "fetch.read"(_patience: Patience, handle: number): Promise<Uint8Array | null> {
    const next = await held<Held>(handle).reader?.read();
    return next?.value ?? null;
  },

  /** The rest of the body. */
  "fetch.readAll"(_patience: Patience, handle: number): Promise<Uint8Array> {
    return everything(held<Held>(handle).reader);
  },

  /** The rest of the body, as a Blob. */
  async "fetch.readBlob"(_patience: Patience, handle: number): Promise<Blob> {
    return (await rest(handle)).blob();
  },

  /** The rest of the body, as a form. */
  async "fetch.readForm"(_patience: Patience, handle: number): Promise<FormEntry[]> {
    const form = await (await rest(handle)).formData();
    return [...form].map(([name, value]) => (typeof value === "string" ? [name, value] : [name, value, value.name]));
  },
};

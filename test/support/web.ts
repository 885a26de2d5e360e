// What the tests of frameworks and of clients share: servers on real sockets, and who is at work at the same time.
import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";
import { Event } from "runtime";

/** Nobody goes on before `size` have come: they were all under way at once, or the test never ends. */
export class Gathering {
  #come = 0;
  readonly #all = new Event();

  constructor(readonly size: number) {}

  /** Waits, in a fiber, for all others. */
  arrive(): void {
    if (++this.#come === this.size) this.#all.set();
    this.#all.wait();
  }
}

/** Has `server` listen. Returns its origin: "http://127.0.0.1:12345". */
export async function originOf(server: Server, scheme = "http"): Promise<string> {
  if (!server.listening) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  }
  return `${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Closes `server`, and what connections clients have kept. */
export async function close(server: Server & { closeAllConnections?(): void }): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeAllConnections?.();
  await closed;
}

/** `count` calls of `request` under way at once; what all of them come to. */
export function atOnce<T>(count: number, request: (i: number) => Promise<T>): Promise<T[]> {
  return Promise.all(Array.from({ length: count }, (_, i) => request(i)));
}

/** The body of an answer; fails, with the body, on any other status than 200. */
export async function text(url: string, init?: RequestInit): Promise<string> {
  const response = await fetch(url, init);
  const body = await response.text();
  if (response.status !== 200) throw new Error(`${response.status}: ${body}`);
  return body;
}

// A server in front of an engine, as the tests of one need it.
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";

import { until } from "../../support/turns";

/** The path of one of the apps that tests serve. */
export const app = (name: string) => path.join(__dirname, "apps", name);

export interface Served {
  server: http.Server;
  port: number;
  close(): Promise<void>;
}

export async function listen(handler: http.RequestListener): Promise<Served> {
  const server = http.createServer(handler);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = async () => {
    server.close();
    server.closeAllConnections();
    if (server.listening) await once(server, "close");
  };
  return { server, port: (server.address() as AddressInfo).port, close };
}

/** All that a server sends for `text`, until it ends the connection. */
export async function raw(port: number, text: string | Buffer): Promise<string> {
  const socket = net.connect(port, "127.0.0.1");
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  socket.write(text);
  await once(socket, "close");
  return Buffer.concat(chunks).toString("latin1");
}

export interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: string;
}

/** A request of its own connection. An error means that the connection was cut. */
export function ask(port: number, url: string, body?: string | Buffer): Promise<Answer> {
  const asked = begin(port, url, body === undefined ? {} : { method: "POST" });
  asked.req.end(body);
  return asked.answer();
}

/** The same, with a body that is still to be sent. */
export function begin(port: number, url: string, options: http.RequestOptions = {}) {
  const req = http.request({ port, host: "127.0.0.1", path: url, agent: false, ...options });
  const response = once(req, "response").then(([res]) => res as http.IncomingMessage);
  response.catch(() => {}); // not everybody asks
  const answer = async (): Promise<Answer> => {
    const res = await response;
    const chunks: Buffer[] = [];
    for await (const chunk of res) chunks.push(chunk as Buffer);
    return { status: res.statusCode as number, headers: res.headers, body: Buffer.concat(chunks).toString() };
  };
  return { req, response, answer };
}

/** A file that does not exist yet, for apps in other threads to write. */
export class Note {
  readonly file = path.join(mkdtempSync(path.join(tmpdir(), "runtime-test-")), "note");

  get written(): boolean {
    return existsSync(this.file) && readFileSync(this.file).length > 0;
  }

  /** What is written there in the end. */
  async text(): Promise<string> {
    await until(() => this.written);
    return readFileSync(this.file, "utf8");
  }

  remove(): void {
    rmSync(path.dirname(this.file), { recursive: true });
  }
}

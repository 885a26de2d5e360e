// Servers in a thread of their own, for callers that put their own thread to sleep.
import { Worker } from "node:worker_threads";
import { type Certificate, makeCertificate } from "../certificate";

export const made = makeCertificate();
/** Why there is nothing to test with TLS, or empty. */
export const noCertificate = typeof made === "string" ? made : "";
export const certificate = made as Certificate;

const program = `
const dgram = require("node:dgram"), http = require("node:http"), https = require("node:https");
const { parentPort, workerData } = require("node:worker_threads");
let open = 0;
const handle = (req, res) => {
  open++;
  res.on("close", () => open--);
  const { pathname: path, searchParams } = new URL(req.url, "http://x");
  const count = +searchParams.get("count");
  if (path === "/bytes") return res.end(Buffer.alloc(count, 7));
  if (path === "/stuck") return;
  if (path === "/open") return res.end(String(open - 1));
  if (path === "/half") {
    res.writeHead(200, { "content-length": 100 });
    return res.write("half", () => setTimeout(() => res.destroy(), 20));
  }
  if (path === "/slow") {
    res.write("one ");
    return setTimeout(() => res.end("two"), 30);
  }
  if (path === "/endless") return res.write("x");
  if (path === "/trailers") {
    res.writeHead(200, "Fine", { Trailer: "x-end", "set-cookie": ["a=1", "b=2"] });
    res.write("body");
    res.addTrailers({ "x-end": "yes" });
    return res.end();
  }
  if (path === "/redirect") return res.writeHead(302, { location: "/bytes?count=3" }).end();
  if (path === "/form") return res.setHeader("content-type", "application/x-www-form-urlencoded").end("a=1&b=2");
  if (path === "/status") return res.writeHead(count).end();
  let size = 0, text = "";
  req.on("data", (data) => { size += data.length; if (size < 2000) text += data; });
  req.on("end", () => {
    res.setHeader("content-type", "application/json");
    res.end(JSON.stringify({ method: req.method, url: req.url, type: req.headers["content-type"], own: req.headers.own, size, text }));
  });
};
const plain = http.createServer(handle).listen(0, "127.0.0.1", () => {
  const secure = https.createServer(workerData ?? {}, handle).listen(0, "127.0.0.1", () => {
    const udp = dgram.createSocket("udp4");
    udp.on("message", (message, from) => {
      const [, times, text] = /^(\\d+) ([^]*)$/.exec(message) ?? [, 1, message];
      for (let i = 0; i < times; i++) udp.send(text, from.port, from.address);
    });
    udp.bind(0, "127.0.0.1", () => {
      parentPort.postMessage({ http: plain.address().port, https: secure.address().port, udp: udp.address().port });
    });
  });
});
`;

/** An HTTP and an HTTPS server that tell what they were asked, and a UDP socket that echoes: "3 x" three times. */
export class Web {
  readonly #worker: Worker;
  readonly ports: { http: number; https: number; udp: number };
  readonly origin: string;

  private constructor(worker: Worker, ports: Web["ports"]) {
    this.#worker = worker;
    this.ports = ports;
    this.origin = `http://127.0.0.1:${ports.http}`;
  }

  static async start(): Promise<Web> {
    const workerData = noCertificate ? undefined : certificate;
    const worker = new Worker(program, { eval: true, execArgv: [], env: {}, workerData });
    const ports = await new Promise<Web["ports"]>((resolve, reject) => {
      worker.once("message", resolve).once("error", reject);
    });
    worker.unref();
    return new Web(worker, ports);
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

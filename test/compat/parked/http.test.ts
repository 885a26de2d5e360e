import "runtime/patch";
import { once } from "node:events";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { pipeline, Writable } from "node:stream";
import vm from "node:vm";
import { spawn } from "runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeFibers, settle, thrown } from "../support";
import { certificate, noCertificate, Web } from "./web";

let web: Web;
let origin: string;

beforeAll(async () => {
  web = await Web.start();
  ({ origin } = web);
});

afterAll(() => web.stop());

describe("http out of a fiber", () => {
  test("getSync brings a response: its head, then its body", () => {
    const res = http.getSync(`${origin}/path`);
    expect(res).toBeInstanceOf(http.IncomingMessage);
    expect(res).toMatchObject({ statusCode: 200, statusMessage: "OK", httpVersion: "1.1", complete: false });
    expect(res.headers["content-type"]).toBe("application/json");
    expect(res.socket.remotePort).toBe(web.ports.http);
    expect(JSON.parse(res.textSync())).toMatchObject({ method: "GET", url: "/path" });
    expect([res.complete, res.readSync(), res.textSync()]).toEqual([true, null, ""]);
  });

  test("requestSync sends a method, headers and a body", () => {
    const options = { method: "POST", headers: { own: "mine", "content-type": "text/x" } };
    expect(JSON.parse(http.requestSync(new URL(`${origin}/p`), options, "text").textSync())).toEqual({
      method: "POST",
      url: "/p",
      type: "text/x",
      own: "mine",
      size: 4,
      text: "text",
    });
    const parts = { host: "127.0.0.1", port: web.ports.http, path: "/parts", method: "PUT" };
    expect(JSON.parse(http.requestSync(parts, Buffer.from("bytes")).textSync())).toMatchObject({
      url: "/parts",
      size: 5,
    });
  });

  test("tens of megabytes go either way, and the program's own bytes stay", () => {
    const body = Buffer.alloc(20_000_000, "x");
    expect(JSON.parse(http.requestSync(origin, { method: "POST" }, body).textSync())).toMatchObject({
      size: body.length,
    });
    expect([body.length, body[0], body.at(-1)]).toEqual([20_000_000, 120, 120]);
    const bytes = Buffer.concat([...http.getSync(`${origin}/bytes?count=20000000`).chunksSync()]);
    expect([bytes.length, bytes.every((byte) => byte === 7)]).toEqual([20_000_000, true]);
    expect(http.getSync(`${origin}/bytes?count=20000000`).textSync("latin1").length).toBe(20_000_000);
  });

  test("readSync(size) waits until there is as much", () => {
    const res = http.getSync(`${origin}/slow`);
    expect(String(res.readSync(6))).toBe("one tw");
    expect(String(res.readSync(0))).toBe("");
    expect([String(res.readSync(9)), res.readSync(9)]).toEqual(["o", null]);
    expect(http.getSync(`${origin}/slow`).setEncoding("utf8").readSync(3)).toBe("one");
  });

  test("trailers and repeated headers are there", () => {
    const res = http.getSync(`${origin}/trailers`);
    expect([res.statusMessage, res.headers["set-cookie"], res.trailers]).toEqual(["Fine", ["a=1", "b=2"], {}]);
    expect(res.textSync()).toBe("body");
    expect([res.trailers, res.rawTrailers]).toEqual([{ "x-end": "yes" }, ["x-end", "yes"]]);
    expect(Object.getPrototypeOf(res.headersDistinct)).toBe(null);
  });

  test("a body that breaks off is told, again and again, and the next request works", () => {
    const res = http.getSync(`${origin}/half`);
    const error = thrown(function caller() {
      res.textSync();
    });
    expect(error).toMatchObject({ code: "ECONNRESET", message: "aborted" });
    expect(error.stack).toMatch(/caller/);
    expect(error.stack).not.toMatch(/park-worker|synckit/);
    expect(thrown(() => res.readSync())).toBe(error);
    expect(http.getSync(origin).statusCode).toBe(200);
  });

  test("options.timeout ends a request, and the next one works", () => {
    expect(thrown(() => http.getSync(`${origin}/stuck`, { timeout: 20 }))).toMatchObject({ code: "ETIMEDOUT" });
    expect(http.getSync(origin).statusCode).toBe(200);
  });

  test("errors are those of the request", () => {
    expect(thrown(() => http.getSync("http://127.0.0.1:1/"))).toMatchObject({ code: "ECONNREFUSED", port: 1 });
    expect(thrown(() => http.getSync("no url"))).toMatchObject({ name: "TypeError", code: "ERR_INVALID_URL" });
    expect(thrown(() => http.getSync(`${origin}`, { headers: { "a b": "1" } }))).toMatchObject({
      name: "TypeError",
      code: "ERR_INVALID_HTTP_TOKEN",
    });
    expect(thrown(() => http.requestSync(origin, { method: "POST" }, 5 as never))).toMatchObject({
      code: "ERR_INVALID_ARG_TYPE",
    });
  });

  test("what only this thread can use is refused by name, an aborted signal is heeded", () => {
    const refused: [http.RequestOptions, string][] = [
      [{ agent: new http.Agent() }, "options.agent"],
      [{ lookup: () => {} } as never, "options.lookup"],
      [{ createConnection: () => null } as never, "options.createConnection"],
      [{ signal: new AbortController().signal }, "options.signal"],
    ];
    for (const [options, name] of refused) {
      const error = thrown(() => http.getSync(origin, options));
      expect(error).toMatchObject({ code: "ERR_NOT_IN_FIBER", message: expect.stringContaining(name) });
    }
    const signal = AbortSignal.abort("enough");
    expect(thrown(() => http.getSync(origin, { signal }))).toMatchObject({ name: "AbortError", cause: "enough" });
    expect(http.getSync(origin, { agent: false }).statusCode).toBe(200);
  });

  test("leaving a body early lets go of the request", () => {
    for (const _ of http.getSync(`${origin}/endless`).chunksSync()) break;
    http.getSync(`${origin}/endless`).destroy();
    const openNow = () => http.getSync(`${origin}/open`).textSync();
    let left = openNow();
    for (let turns = 0; left !== "0" && turns < 1000; turns++) left = openNow();
    expect(left).toBe("0");
  });

  test("the body can be read in asynchronous ways, too", async () => {
    let text = "";
    for await (const chunk of http.getSync(`${origin}/slow`)) text += chunk;
    expect(text).toBe("one two");
    const pieces: Buffer[] = [];
    const sink = new Writable({
      write(chunk, _, done) {
        pieces.push(chunk);
        done();
      },
    });
    await new Promise<void>((resolve, reject) => {
      pipeline(http.getSync(`${origin}/bytes?count=300000`), sink, (error) => (error ? reject(error) : resolve()));
    });
    expect(Buffer.concat(pieces).length).toBe(300_000);
  });

  test("nothing is read ahead that nobody asked for", async () => {
    const res = http.getSync(`${origin}/endless`);
    expect(String(res.readSync())).toBe("x");
    await settle(); // would not come back if the thread slept
    res.destroy();
  });
});

describe("messages of this thread's own servers, out of a fiber", () => {
  /** Has `handle` called with each server's request and response, after an `await`. */
  async function exchange(server: http.Server | http2.Http2Server, send: (port: number) => Promise<unknown>) {
    const codes = new Promise<unknown[]>((resolve) => {
      server.on("request", async (req: http.IncomingMessage, res: http.ServerResponse) => {
        await null; // on the hub's own stack from here on
        resolve([() => req.textSync(), () => res.writeSync("x"), () => res.endSync()].map((call) => thrown(call).code));
        res.end("end");
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const answer = send((server.address() as AddressInfo).port);
    expect(await codes).toEqual(Array(3).fill("ERR_NOT_IN_FIBER"));
    expect(await answer).toBe("end");
    server.close();
  }

  test("of http, need a fiber", async () => {
    await exchange(http.createServer(), async (port) => {
      const body = new ReadableStream({ start: (controller) => setTimeout(() => controller.close(), 50) });
      return (await fetch(`http://127.0.0.1:${port}`, { method: "POST", body, duplex: "half" } as RequestInit)).text();
    });
  });

  test("of http2, need a fiber", async () => {
    await exchange(http2.createServer(), async (port) => {
      const session = http2.connect(`http://127.0.0.1:${port}`);
      const stream = session.request({ ":method": "POST" });
      let text = "";
      stream.on("data", (chunk) => {
        text += chunk;
        stream.end();
      });
      await once(stream, "close");
      session.close();
      return text;
    });
  });
});

describe.skipIf(noCertificate)(`https out of a fiber${noCertificate && ` (skipped, ${noCertificate})`}`, () => {
  const options = () => ({ host: "127.0.0.1", port: web.ports.https, servername: "localhost", path: "/secure" });

  test("brings a response from a server that is trusted", () => {
    const res = https.getSync({ ...options(), ca: certificate.cert });
    expect(JSON.parse(res.textSync())).toMatchObject({ url: "/secure" });
  });

  test("refuses one that is not; and to do without a check that the program has", () => {
    expect(thrown(() => https.getSync(options()))).toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    const lax = { ...options(), checkServerIdentity: () => undefined };
    expect(thrown(() => https.getSync(lax))).toMatchObject({
      code: "ERR_NOT_IN_FIBER",
      message: expect.stringContaining("options.checkServerIdentity"),
    });
    expect(https.getSync({ ...options(), rejectUnauthorized: false }).statusCode).toBe(200);
  });
});

describeFibers("http in a fiber that cannot suspend", () => {
  test("is parked", async () => {
    Object.assign(globalThis, { pinnedGet: () => http.getSync(`${origin}/pinned`).textSync() });
    const text = await spawn(() => vm.runInThisContext("pinnedGet()", { timeout: 60_000 }));
    expect(JSON.parse(text)).toMatchObject({ url: "/pinned" });
  });
});

// What every engine does with one app (app.cjs), as clients see it. Each engine is held to the same answers.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http, { type IncomingMessage } from "node:http";
import net, { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { type AppServer, type ServeOptions, serve } from "runtime";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { until } from "../../compat/support";

export interface Answer {
  status: number | undefined;
  headers: http.IncomingHttpHeaders;
  body: string;
}

/** Sends one request on a connection of its own. */
export async function ask(url: string, options: http.RequestOptions = {}, body?: string | Buffer): Promise<Answer> {
  return await answered(http.request(url, { agent: false, ...options }), body);
}

async function answered(request: http.ClientRequest, body?: string | Buffer): Promise<Answer> {
  request.end(body);
  const [res] = (await once(request, "response")) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of res) chunks.push(chunk);
  return { status: res.statusCode, headers: res.headers, body: Buffer.concat(chunks).toString() };
}

/** The head, and what has come of the body when the connection was cut. */
async function cut(url: string): Promise<{ status: number | undefined; body: string; error: string }> {
  const request = http.get(url, { agent: false });
  const [res] = (await once(request, "response")) as [IncomingMessage];
  let body = "";
  try {
    for await (const chunk of res) body += chunk;
  } catch (error) {
    return { status: res.statusCode, body, error: (error as NodeJS.ErrnoException).code ?? "" };
  }
  throw new Error(`the response was whole: ${body}`);
}

/** Tests of an engine; `options` are for `serve`. */
export function describeEngine(engine: "fibers" | "workers", options: ServeOptions = {}): void {
  describe(`the engine "${engine}"`, () => {
    let notes = "";
    let server: AppServer;
    let url: string;

    const noted = (name: string) => {
      const file = path.join(notes, name);
      return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : []; // whole lines: one may be on its way
    };
    const makeNote = (name: string) => writeFileSync(path.join(notes, name), "");
    const start = (more: ServeOptions = {}) =>
      serve(path.join(__dirname, "app.cjs"), { engine, port: 0, ...options, ...more });
    const get = (name: string, more: http.RequestOptions = {}, body?: string | Buffer) =>
      ask(`${url}/${name}`, more, body);

    beforeAll(async () => {
      notes = mkdtempSync(path.join(tmpdir(), "runtime-serve-"));
      process.env.NOTES = notes;
      server = start();
      await server.ready;
      url = server.url as string;
    });
    afterAll(async () => {
      await server.close({ grace: 0 });
      rmSync(notes, { recursive: true });
    });
    beforeEach(() => {
      vi.spyOn(console, "error").mockImplementation(() => {});
    });

    describe("an answer", () => {
      it("is a status, headers and text, whose length in bytes is told", async () => {
        const { status, headers, body } = await get("text");
        expect({ status, body }).toEqual({ status: 201, body: "hëllo" });
        expect(headers).toMatchObject({ "content-type": "text/plain", "x-one": "1", "content-length": "6" });
      });

      it("is 200 if it does not say otherwise, and may have no body", async () => {
        const { status, headers, body } = await get("empty");
        expect({ status, length: headers["content-length"], body }).toEqual({ status: 200, length: "0", body: "" });
      });

      it.each([
        ["bytes", "hi"],
        ["buffer", "hi"],
        ["view", "hi"],
        ["array", "abü"],
      ])("has bytes of any kind, or a list: %s", async (name, text) => {
        const { headers, body } = await get(name);
        expect({ body, length: headers["content-length"] }).toEqual({
          body: text,
          length: `${Buffer.byteLength(text)}`,
        });
      });

      it.each([
        ["generator", "3 2 1 "],
        ["stream", "one two"],
        ["readable", "// What behaviou"],
        ["async-generator", "xyz"],
      ])("has a body that comes bit by bit: %s", async (name, text) => {
        const { status, headers, body } = await get(name);
        expect({ status, body }).toEqual({ status: 200, body: text });
        expect(headers["transfer-encoding"]).toBe("chunked");
      });

      it("may be promised", async () => {
        expect((await get("async")).body).toBe("get");
        expect((await get("async-array")).body).toBe("ab");
      });

      it("may have a reason of its own", async () => {
        const request = http.get(`${url}/reason`, { agent: false });
        const [res] = (await once(request, "response")) as [IncomingMessage];
        res.resume();
        expect([res.statusCode, res.statusMessage]).toEqual([299, "Fine So Far"]);
      });

      it.each(["pairs", "arrays", "fetched"])("sets several cookies: %s", async (name) => {
        expect((await get(name)).headers["set-cookie"]).toEqual(["a=1", "b=2"]);
      });

      it("may be a Response", async () => {
        const { status, headers, body } = await get("response");
        expect({ status, kind: headers["x-kind"], body }).toEqual({ status: 202, kind: "Response", body: "hi" });
        const json = await get("json");
        expect([json.headers["content-type"], json.body]).toEqual(["application/json", '{"hello":["world"]}']);
        expect(await get("response-without-body")).toMatchObject({ status: 204, body: "" });
      });

      it("tells a length of its own", async () => {
        const { headers, body } = await get("own");
        expect([headers["content-length"], headers["transfer-encoding"], body]).toEqual(["2", undefined, "hi"]);
      });

      it("is large", async () => {
        expect((await get("large")).body).toBe("x".repeat(5_000_000));
        expect((await get("large-text")).body).toBe("é".repeat(1_000_000));
        const { headers, body } = await get("large-items");
        expect([headers["content-length"], body.length]).toEqual(["5000000", body.length]);
      });
    });

    describe("a response without a body", () => {
      it("is that to HEAD: the length is told, nothing is sent", async () => {
        const { status, headers, body } = await get("text", { method: "HEAD" });
        expect({ status, length: headers["content-length"], body }).toEqual({ status: 201, length: "6", body: "" });
        expect((await get("array", { method: "HEAD" })).headers["content-length"]).toBe("4");
      });

      it("leaves a body that would be yielded, to HEAD", async () => {
        expect(await get("generator", { method: "HEAD" })).toMatchObject({ status: 200, body: "" });
        expect((await get("head-of-left", { method: "HEAD" })).status).toBe(200);
        expect(noted("head")).toEqual(["left"]);
      });

      it("is 204, or 304, whatever the app returns", async () => {
        expect((await get("nothing")).headers["x-a"]).toBe("b");
        for (const name of ["nothing", "nothing-in-list"]) {
          const { status, headers, body } = await get(name);
          expect({ status, length: headers["content-length"], body }).toEqual({
            status: 204,
            length: undefined,
            body: "",
          });
        }
        expect(await get("unchanged")).toMatchObject({ status: 304, headers: { etag: '"1"' }, body: "" });
      });
    });

    describe("a handler in Node's style", () => {
      it.each([
        ["node", 202, "GET /node"],
        ["node-later", 200, "later"],
        ["node-async", 200, "async"],
        ["node-informs", 200, ""],
      ])("answers by the response: %s", async (name, status, body) => {
        expect(await get(name)).toMatchObject({ status, body });
      });

      it("reads and writes, and blocks in between", async () => {
        expect((await get("node-blocking", { method: "POST" }, "body")).body).toBe("<body>");
      });

      it("listens for the body", async () => {
        expect((await get("node-events", { method: "POST" }, "x".repeat(100_000))).body).toBe("100000");
      });

      it("goes on after the response", async () => {
        expect((await get("node-after")).body).toBe("done");
        await until(() => noted("after").length > 0);
      });
    });

    describe("a request", () => {
      it("has a method, a path and headers", async () => {
        const { body } = await get("method?a=b%20c", { method: "DELETE", headers: { "X-Name": "v" } });
        expect(body).toBe("DELETE /method?a=b%20c v");
      });

      it("has a body, as text and by chunks", async () => {
        const data = Buffer.alloc(3_000_000, "0123456789");
        expect((await get("upload", { method: "POST" }, data)).body).toBe("3000000");
        const hash = createHash("sha256").update(data).digest("hex");
        expect((await get("hash", { method: "POST" }, data)).body).toBe(hash);
        expect((await get("pieces", { method: "PUT" }, "abcdefghij")).body).toBe("abcd|efgh|ij");
      });

      it("is read while it is answered", async () => {
        const request = http.request(`${url}/echo`, { agent: false, method: "POST" });
        request.write("one");
        const [res] = (await once(request, "response")) as [IncomingMessage];
        const chunks = res[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
        expect(String((await chunks.next()).value)).toBe("one");
        request.write("two");
        expect(String((await chunks.next()).value)).toBe("two");
        request.end();
        expect((await chunks.next()).done).toBe(true);
      });

      it("need not be read, and the connection serves the next one", async () => {
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        const ports = new Set<unknown>();
        for (const name of ["unread", "text", "throws", "text"]) {
          const request = http.request(`${url}/${name}`, { agent, method: "POST" });
          request.on("socket", (socket) => socket.on("connect", () => ports.add(socket.localPort)));
          await answered(request, Buffer.alloc(20_000));
        }
        agent.destroy();
        expect(ports.size).toBe(1);
      });

      it("does not wait for another one's handler to end", async () => {
        const held = get("held");
        await until(() => noted("held").length > 0);
        expect((await get("text")).status).toBe(201);
        await get("release");
        expect((await held).body).toBe("/held");
      });

      it("is answered in its turn, of several that are sent at once", async () => {
        const socket = net.connect((server.address as AddressInfo).port, "127.0.0.1");
        socket.write(
          "GET /generator HTTP/1.1\r\nHost: x\r\n\r\nGET /text HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        );
        let text = "";
        for await (const chunk of socket) text += chunk;
        expect(text.match(/HTTP\/1.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 201"]);
      });

      it("may wait to be told to go on", async () => {
        const request = http.request(`${url}/upload`, {
          agent: false,
          method: "POST",
          headers: { expect: "100-continue" },
        });
        request.flushHeaders();
        await once(request, "continue");
        expect((await answered(request, "body")).body).toBe("4");
      });
    });

    describe("a body that is yielded", () => {
      it("is sent item by item, when it is yielded", async () => {
        const request = http.get(`${url}/flush`, { agent: false });
        const [res] = (await once(request, "response")) as [IncomingMessage];
        const chunks = res[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
        expect(String((await chunks.next()).value)).toBe("first");
        makeNote("flushed");
        expect(String((await chunks.next()).value)).toBe("second");
        expect((await chunks.next()).done).toBe(true);
      });

      it("is not asked for more than the client takes", async () => {
        const socket = net.connect((server.address as AddressInfo).port, "127.0.0.1");
        socket.write("GET /flood HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        await once(socket, "readable");
        let before = -1;
        for (let same = 0; same < 50; ) {
          const now = noted("flood").length;
          same = now === before ? same + 1 : 0;
          before = now;
          await new Promise((resolve) => setTimeout(resolve, 2));
        }
        expect(before).toBeLessThan(900);
        let length = 0;
        for await (const chunk of socket) length += chunk.length;
        expect(length).toBeGreaterThan(65_536_000);
        expect(noted("flood")).toHaveLength(1000);
      });

      it.each(["left", "left-async"])("is cleaned up after when the client goes away: %s", async (name) => {
        const request = http.get(`${url}/${name}`, { agent: false });
        const [res] = (await once(request, "response")) as [IncomingMessage];
        await once(res, "data");
        res.on("error", () => {});
        request.destroy();
        await until(() => noted(name).length > 0);
        expect(noted(name)).toEqual(["cleaned up"]);
      });
    });

    describe("an error", () => {
      it.each([
        ...["throws", "throws-undefined", "rejects", "throws-first", "node-throws", "node-rejects"],
        ...["returns-undefined", "returns-text", "bad-status", "bad-header", "bad-body", "bad-item", "read-twice"],
      ])("is answered with 500, and without what was to be sent: %s", async (name) => {
        const { status, headers, body } = await get(name);
        expect({ status, body }).toEqual({ status: 500, body: "Internal Server Error\n" });
        expect(headers).toMatchObject({ "content-type": "text/plain", "content-length": "22" });
        expect(headers["x-secret"]).toBeUndefined();
      });

      it.each(["throws-later", "throws-later-async", "node-throws-later"])(
        "cuts a response that has begun: %s",
        async (name) => {
          expect(await cut(`${url}/${name}`)).toEqual({ status: 200, body: "some", error: "ECONNRESET" });
        },
      );

      it("after the response takes nothing back", async () => {
        expect(await get("node-throws-after")).toMatchObject({ status: 200, body: "all" });
      });

      it("is what a handler gets that reads from a client which has gone, and the server goes on", async () => {
        const headers = { "content-length": 9 };
        const request = http.request(`${url}/node-reads-all`, { agent: false, method: "POST", headers });
        request.on("error", () => {});
        request.write("x");
        await until(() => noted("reading").length > 0);
        request.destroy();
        await until(() => noted("reading").length > 1);
        expect(noted("reading")).toEqual(["begun", "Error"]);
        expect((await get("text")).status).toBe(201);
      });
    });

    describe("limits", () => {
      let limited: AppServer;
      let at: string;

      beforeAll(async () => {
        limited = start({ maxBodySize: 1000, maxHeaderSize: 2000 });
        await limited.ready;
        at = limited.url as string;
      });
      afterAll(() => limited.close({ grace: 0 }));

      it("answer 504 to a request that takes too long, or cut its response", async () => {
        const hurried = start({ requestTimeout: 500 });
        await hurried.ready;
        const later = cut(`${hurried.url}/hangs-later`);
        expect(await ask(`${hurried.url}/hangs`)).toMatchObject({ status: 504, body: "Gateway Timeout\n" });
        expect(await later).toEqual({ status: 200, body: "some", error: "ECONNRESET" });
        await hurried.close({ grace: 0 });
      });

      it("answer 413 to a body that is too large, with and without its length told before", async () => {
        const large = Buffer.alloc(1001);
        expect(await ask(`${at}/upload`, { method: "POST" }, large)).toMatchObject({ status: 413 });
        const chunked = { method: "POST", headers: { "transfer-encoding": "chunked" } };
        expect(await ask(`${at}/upload`, chunked, large)).toMatchObject({ status: 413 });
        expect(await ask(`${at}/upload`, chunked, large.subarray(1))).toMatchObject({ status: 200, body: "1000" });
        expect(await ask(`${at}/upload`, { method: "POST" }, large.subarray(1))).toMatchObject({ status: 200 });
      });

      it("answer 413 before the client is told to go on", async () => {
        const headers = { expect: "100-continue", "content-length": 1001 };
        const request = http.request(`${at}/upload`, { agent: false, method: "POST", headers });
        let told = false;
        request.on("continue", () => {
          told = true;
        });
        request.flushHeaders();
        const [res] = (await once(request, "response")) as [IncomingMessage];
        request.destroy();
        expect([res.statusCode, told]).toEqual([413, false]);
      });

      it("answer 431 to a head that is too large", async () => {
        expect((await ask(`${at}/text`, { headers: { "x-large": "x".repeat(2000) } })).status).toBe(431);
      });
    });

    describe("the end", () => {
      it("waits for requests that are under way", async () => {
        const ending = start();
        await ending.ready;
        rmSync(path.join(notes, "held"), { force: true });
        rmSync(path.join(notes, "release"), { force: true });
        const held = ask(`${ending.url}/held`);
        await until(() => noted("held").length > 0);
        const closed = ending.close();
        makeNote("release");
        const { status, headers, body } = await held;
        expect({ status, connection: headers.connection, body }).toEqual({
          status: 200,
          connection: "close",
          body: "/held",
        });
        await closed;
        expect(ending.url).toBeNull();
      });

      it("comes for requests that take longer than they are given: 503, or the response is cut", async () => {
        const ending = start();
        await ending.ready;
        const before = noted("hangs").length;
        const answer = ask(`${ending.url}/hangs`);
        await until(() => noted("hangs").length > before);
        const later = http.get(`${ending.url}/hangs-later`, { agent: false });
        const [res] = (await once(later, "response")) as [IncomingMessage];
        await once(res, "data");
        const failure = once(res, "error");
        await ending.close({ grace: 100 });
        expect((await answer).status).toBe(503);
        expect((await failure)[0]).toMatchObject({ code: "ECONNRESET" });
      });
    });
  });
}

import { once } from "node:events";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { blocking, FiberExit, spawn, withTimeout } from "runtime";
import undici, { type Pool } from "undici";
import { afterEach, beforeEach, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { run } from "../support/run";
import { until } from "../support/turns";

const http = blocking(undici);

describeFibers("undici", () => {
  let server: Server;
  let origin: string;
  let waiting: ServerResponse[];
  let pool: Pool;

  beforeEach(async () => {
    waiting = [];
    server = createServer((request, response) => {
      const url = new URL(request.url ?? "", origin);
      if (url.pathname === "/stuck") waiting.push(response);
      else if (url.pathname === "/chunks") {
        response.write("first ");
        setImmediate(() => response.end("second"));
      } else if (url.pathname === "/broken") response.destroy();
      else response.setHeader("content-type", "application/json").end(JSON.stringify({ path: url.pathname }));
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    pool = new undici.Pool(origin, { connections: 10 });
  });

  afterEach(async () => {
    await pool.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it("fetch() answers, and the body can be read, in blocking style", async () => {
    const [status, body] = await spawn(() => {
      const response = http.fetch(`${origin}/page`, { dispatcher: pool });
      return [response.status, response.json()];
    });
    expect([status, body]).toEqual([200, { path: "/page" }]);
  });

  it("request() answers with a plain object, whose body can be made blocking", async () => {
    const body = await spawn(() => {
      const response = http.request(`${origin}/page`, { dispatcher: pool });
      return blocking(response.body).json();
    });
    expect(body).toEqual({ path: "/page" });
  });

  it("iterates over a body in blocking style", async () => {
    const texts = await spawn(() => {
      const { body } = blocking(pool).request({ path: "/chunks", method: "GET" });
      const fetched = http.fetch(`${origin}/chunks`, { dispatcher: pool }).body;
      return [body, fetched].map((source) => {
        let text = "";
        for (const chunk of blocking(source as typeof body)) text += Buffer.from(chunk);
        return text;
      });
    });
    expect(texts).toEqual(["first second", "first second"]);
  });

  it("serves a hundred fibers on one pool", async () => {
    const db = blocking(pool);
    const get = (i: number) => blocking(db.request({ path: `/${i}`, method: "GET" }).body).json();
    const fibers = Array.from({ length: 100 }, (_, i) => spawn(get, i));
    expect(await Promise.all(fibers)).toEqual(Array.from({ length: 100 }, (_, i) => ({ path: `/${i}` })));
  });

  it("lets as many fibers as there are connections have a request under way", async () => {
    const fibers = Array.from({ length: 10 }, () =>
      spawn(() => blocking(pool).request({ path: "/stuck", method: "GET" }).statusCode),
    );
    await until(() => waiting.length === 10);
    for (const response of waiting) response.end();
    expect(await Promise.all(fibers)).toEqual(Array(10).fill(200));
  });

  it("throws an error where the request was made, and the pool is usable afterwards", async () => {
    const caught = await spawn(function theCaller() {
      const client = blocking(pool);
      try {
        client.request({ path: "/broken", method: "GET" });
        return null;
      } catch (error) {
        return { error: error as Error, status: client.request({ path: "/", method: "HEAD" }).statusCode };
      }
    });
    expect(caught).toEqual({ error: expect.objectContaining({ code: "UND_ERR_SOCKET" }), status: 200 });
    expect(caught?.error.stack).toContain("theCaller");
  });

  it("killed in a request can abort it", async () => {
    const abort = new AbortController();
    const fiber = spawn(() => {
      try {
        blocking(pool).request({ path: "/stuck", method: "GET", signal: abort.signal });
      } finally {
        abort.abort();
      }
    });
    await until(() => waiting.length === 1);
    const closed = once(waiting[0] as ServerResponse, "close");
    fiber.kill();
    expect(await fiber).toBeInstanceOf(FiberExit);
    await closed;
  });

  it("withTimeout leaves a request that is too slow", async () => {
    const request = () => blocking(pool).request({ path: "/stuck", method: "GET" });
    expect(await spawn(() => withTimeout(20, request, "too late"))).toBe("too late");
  });

  it("has its classes constructed in blocking style", async () => {
    const status = await spawn(() => {
      const client = new http.Client(origin);
      try {
        return client.request({ path: "/", method: "HEAD" }).statusCode;
      } finally {
        client.close();
      }
    });
    expect(status).toBe(200);
  });
});

describeFibers("undici under the patch", () => {
  it("calls the program's callbacks, and a body's listeners, in fibers; for its own of a body none start", async () => {
    const { stdout, stderr } = await run(
      `
        require("runtime/patch");
        const { subscribe } = require("node:diagnostics_channel");
        const { createServer } = require("node:http");
        const { sleep, Fiber } = require("runtime");
        const undici = require(process.env.UNDICI);
        let names = [];
        subscribe("runtime:fiber:spawn", ({ fiber }) => names.push(fiber.name));
        const server = createServer((request, response) => response.end("page")).listen(0, async () => {
          const pool = new undici.Pool("http://127.0.0.1:" + server.address().port);
          const { body } = await pool.request({ path: "/", method: "GET" });
          names = [];
          console.log(await body.text(), names.includes("on end"), names.includes("on close"));
          pool.request({ path: "/", method: "GET" }, (error, { body }) => {
            sleep(1);
            console.log("callback", Fiber.current !== null);
            body.resume().on("end", () => {
              sleep(1);
              console.log(Fiber.current.name);
              server.closeAllConnections();
              server.close();
            });
          });
        });
      `,
      { env: { UNDICI: require.resolve("undici") } },
    );
    expect([stdout, stderr]).toEqual(["page false false\ncallback true\non end\n", ""]);
  });
});

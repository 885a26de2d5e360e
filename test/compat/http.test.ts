import { once } from "node:events";
import fs from "node:fs";
import http, { type IncomingMessage, type RequestListener, type Server } from "node:http";
import https from "node:https";
import net, { type AddressInfo } from "node:net";
import timers from "node:timers";
import { Fiber, info, patch, spawn, unpatch, wait, withTimeout } from "runtime";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { describeFibers, itFibers } from "../support/fibers";

const fibers = info().switch !== "none";

const servers: Server[] = [];
async function serve(handler: RequestListener): Promise<{ server: Server; port: number; url: string }> {
  const server = http.createServer(handler);
  servers.push(server);
  server.listen({ port: 0, host: "127.0.0.1", backlog: 2048 });
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { server, port, url: `http://127.0.0.1:${port}` };
}

async function get(url: string, options: http.RequestOptions = {}): Promise<{ status?: number; body: string }> {
  const [res] = (await once(http.get(url, { agent: false, ...options }), "response")) as [IncomingMessage];
  let body = "";
  for await (const chunk of res) body += chunk;
  return { status: res.statusCode, body };
}

beforeAll(() => patch());
afterAll(() => unpatch());
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

describe("a server's request handlers", () => {
  itFibers("each run in a fiber of their own, so that a slow one holds nobody up", async () => {
    let inside = 0;
    let open: (value: unknown) => void;
    const allInside = new Promise((resolve) => {
      open = resolve;
    });
    const { url } = await serve((_req, res) => {
      if (++inside === 100) open(null);
      wait(allInside);
      res.end("done");
    });
    const answers = await Promise.all(Array.from({ length: 100 }, () => get(url)));
    expect(answers.every(({ body }) => body === "done")).toBe(true);
  });

  it("run synchronously up to their first suspension, as listeners do", async () => {
    const order: string[] = [];
    const { server, url } = await serve((_req, res) => {
      order.push("handler");
      res.end();
    });
    const emit = server.emit;
    server.emit = function (event: string, ...args: unknown[]) {
      if (event !== "request") return Reflect.apply(emit, this, [event, ...args]);
      order.push("before");
      const result = Reflect.apply(emit, this, [event, ...args]);
      order.push(`after ${result}`);
      return result;
    } as typeof emit;
    await get(url);
    expect(order).toEqual(["before", "handler", "after true"]);
  });

  itFibers("see their own fiber, a different one each", async () => {
    const seen = new Set<unknown>();
    const { url } = await serve((_req, res) => {
      seen.add(Fiber.current);
      res.end();
    });
    await Promise.all([get(url), get(url), get(url)]);
    expect(seen.size).toBe(3);
    expect(seen.has(null)).toBe(false);
  });

  itFibers("can catch, by their own try and catch, what is thrown after a suspension", async () => {
    const { url } = await serve((_req, res) => {
      try {
        timers.sleepSync(5);
        fs.readFileSync("/no/such/file");
      } catch (error) {
        res.writeHead(500).end((error as NodeJS.ErrnoException).code);
      }
    });
    expect(await get(url)).toEqual({ status: 500, body: "ENOENT" });
  });

  itFibers("go on when their client has gone away", async () => {
    let finished: (value: string) => void;
    const end = new Promise<string>((resolve) => {
      finished = resolve;
    });
    const { url } = await serve((_req, res) => {
      setImmediate(() => req.destroy());
      wait(new Promise((resolve) => res.once("close", resolve)));
      timers.sleepSync(5);
      res.end("nobody reads this");
      finished("went on");
    });
    const req = http.get(url, { agent: false });
    req.on("error", () => {});
    expect(await end).toBe("went on");
  });

  itFibers("all hear of one request, one after another, in one fiber", async () => {
    const order: string[] = [];
    const { server, url } = await serve(() => {
      timers.sleepSync(5);
      order.push("first");
    });
    server.on("request", (_req, res) => {
      order.push("second");
      res.end();
    });
    await get(url);
    expect(order).toEqual(["first", "second"]);
  });

  it("serve upgrades and CONNECT too", async () => {
    const { server, port } = await serve(() => {});
    server.on("upgrade", (_req, socket) => {
      timers.sleepSync(5);
      socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello");
    });
    const socket = net.connect(port, "127.0.0.1");
    socket.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    let text = "";
    for await (const chunk of socket) text += chunk;
    expect(text).toContain("hello");
  });

  it("answer pipelined requests in order", async () => {
    const { port } = await serve((req, res) => {
      timers.sleepSync(req.url === "/1" ? 30 : 1);
      res.end(`<${req.url}>`);
    });
    const socket = net.connect(port, "127.0.0.1");
    socket.write("GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let text = "";
    for await (const chunk of socket) text += chunk;
    expect([...text.matchAll(/<.*?>/g)].join()).toBe("</1>,</2>");
  });

  itFibers("may read the request's body in blocking style", async () => {
    const { url } = await serve((req, res) => {
      res.end(req.textSync().toUpperCase());
    });
    const req = http.request(url, { method: "POST", agent: false });
    req.write("hello ");
    setTimeout(() => req.end("world"), 10);
    const [res] = (await once(req, "response")) as [IncomingMessage];
    let body = "";
    for await (const chunk of res) body += chunk;
    expect(body).toBe("HELLO WORLD");
  });
});

describeFibers("http.requestSync and getSync", () => {
  it("return the response, whose body is read in blocking style", async () => {
    const { url } = await serve((req, res) => res.end(`${req.method} ${req.url} ${req.headers["x-a"] ?? ""}`));
    await spawn(() => {
      const res = http.getSync(`${url}/path`, { headers: { "x-a": "1" } });
      expect(res.statusCode).toBe(200);
      expect(res.textSync()).toBe("GET /path 1");
      expect(http.getSync({ host: "127.0.0.1", port: new URL(url).port, path: "/o" }).textSync()).toBe("GET /o ");
      expect(http.getSync(new URL(url)).textSync()).toBe("GET / ");
    });
  });

  it("send a body", async () => {
    const { url } = await serve((req, res) => {
      res.end(`${req.method} ${req.textSync()}`);
    });
    await spawn(() => {
      expect(http.requestSync(url, { method: "PUT" }, "text").textSync()).toBe("PUT text");
      expect(http.requestSync(url, { method: "PUT" }, Buffer.from("bytes")).textSync()).toBe("PUT bytes");
    });
  });

  it("throw what the request's error event brings, with the fiber's frames", async () => {
    const { server, url } = await serve(() => {});
    await new Promise((resolve) => server.close(resolve));
    await spawn(function caller() {
      expect.assertions(2);
      try {
        http.getSync(url);
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe("ECONNREFUSED");
        expect((error as Error).stack).toContain("caller");
      }
    });
  });

  it("throw bad arguments at once, as http.request does", async () => {
    await spawn(() => {
      expect(() => http.getSync("not a url")).toThrow(expect.objectContaining({ code: "ERR_INVALID_URL" }));
      expect(() => http.getSync("ftp://127.0.0.1")).toThrow(expect.objectContaining({ code: "ERR_INVALID_PROTOCOL" }));
    });
  });

  it("go on after the timeout of an agent, as http.request does", async () => {
    const { url } = await serve((_req, res) => {
      timers.sleepSync(200);
      res.end("late");
    });
    const agent = new http.Agent({ timeout: 20 });
    expect(await spawn(() => http.getSync(url, { agent }).textSync())).toBe("late");
  });

  it("end with ETIMEDOUT after options.timeout", async () => {
    const { url } = await serve(() => {});
    await spawn(() => {
      expect(() => http.getSync(url, { timeout: 20 })).toThrow(expect.objectContaining({ code: "ETIMEDOUT" }));
    });
  });

  it("destroy the request of a fiber that is killed or timed out", async () => {
    const listen = async () => {
      const closed: Promise<unknown>[] = [];
      const { url, server } = await serve((req) => {
        closed.push(once(req.socket, "close"));
      });
      return { url, server, closed };
    };
    let { url, server, closed } = await listen();
    // On a busy machine a request may be timed out before it comes: then another one, to another server.
    for (let limit = 20; ; limit *= 2) {
      expect(await spawn(() => withTimeout(limit, () => http.getSync(url, { agent: false }), "late"))).toBe("late");
      if (closed.length > 0) break;
      ({ url, server, closed } = await listen());
    }
    const fiber = spawn(() => http.getSync(url, { agent: false }));
    await once(server, "request");
    await spawn(() => fiber.kill());
    expect(fiber.value).toMatchObject({ name: "FiberExit" });
    await Promise.all(closed);
    expect(closed.length).toBe(2);
  });

  it("are there for https, under the same rules", async () => {
    await spawn(() => {
      expect(() => https.getSync("http://127.0.0.1")).toThrow(
        expect.objectContaining({ code: "ERR_INVALID_PROTOCOL" }),
      );
    });
  });
});

itFibers("serves a thousand slow requests at once, each with files and an upstream call", async () => {
  const upstream = await serve((req, res) => {
    timers.sleepSync(100);
    res.end(`up ${req.url}`);
  });
  const front = await serve((req, res) => {
    const size = fs.readFileSync(__filename).length;
    res.end(`${size > 0} ${http.getSync(upstream.url + req.url, { agent: false }).textSync()}`);
  });
  const agent = new http.Agent({ maxSockets: Number.POSITIVE_INFINITY });
  const answers = await Promise.all(Array.from({ length: 1000 }, (_, i) => get(`${front.url}/${i}`, { agent })));
  expect(answers.filter(({ body }, i) => body !== `true up /${i}`)).toEqual([]);
});

describe("without fibers", () => {
  it.skipIf(fibers)("handlers run as plain listeners", async () => {
    const { url } = await serve((_req, res) => res.end(String(Fiber.current)));
    expect((await get(url)).body).toBe("null");
  });
});

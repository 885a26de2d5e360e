// Upgrades under serve(): what takes them, and what becomes of their connections. WebSockets by ws, over real sockets.
import "runtime/patch";
import { once, onceSync } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import net from "node:net";
import path from "node:path";
import { sleepSync } from "node:timers";
import express from "express";
import { type App, Event, FiberExit, Queue, serve, sleep, type UpgradeHandler } from "runtime";
import { describe, expect, it } from "vitest";
import WebSocket, { WebSocketServer } from "ws";
import { type Certificate, makeCertificate } from "../../compat/certificate";
import { thrown, until } from "../../compat/support";
import { describeFibers } from "../../support/fibers";
import { ask } from "./behaviours";
import { directory, log, started } from "./serving";
import { refusal, said } from "./websockets";

async function connect(url: string, options: WebSocket.ClientOptions = {}): Promise<WebSocket> {
  const client = new WebSocket(url.replace("http", "ws"), options);
  await once(client, "open");
  return client;
}

/** The code and reason of the closing handshake; 1006 if the connection was cut. */
async function farewell(client: WebSocket): Promise<[number, string]> {
  const [code, reason] = await once(client, "close");
  return [code, `${reason}`];
}

/** A handler that has `talk` with each client. */
function talking(talk: (socket: WebSocket, signal: AbortSignal) => void): UpgradeHandler {
  const sockets = new WebSocketServer({ noServer: true });
  return (req, socket, head, signal) => sockets.handleUpgrade(req, socket, head, (ws) => talk(ws, signal));
}

/** Answers each message after a while, one after the other. */
const echo = talking((ws) => {
  ws.on("message", (message) => {
    sleepSync(1);
    ws.send(`${message}!`);
  });
});

const app: App = () => ({ body: "no socket" });

describe("the option upgrade", () => {
  it("is a function, and not for worker threads", async () => {
    const wrong = thrown(() => serve(app, { upgrade: "ws" as never }));
    expect(wrong).toMatchObject({
      code: "ERR_INVALID_ARG_TYPE",
      message: expect.stringContaining('"options.upgrade"'),
    });
    const file = path.join(directory, "app.cjs");
    writeFileSync(file, "module.exports = () => ({})");
    const { ready } = serve(file, { engine: "workers", upgrade: echo });
    await expect(ready).rejects.toMatchObject({
      code: "ERR_INVALID_ARG_TYPE",
      message: expect.stringContaining('"options.upgrade"'),
    });
  });
});

describeFibers("an upgrade", () => {
  it("goes to what serve is given for it, and all else to the app", async () => {
    const { url } = await started(app, { upgrade: echo });
    const client = await connect(url);
    client.send("a");
    expect(await said(client)).toBe("a!");
    expect((await ask(url)).body).toBe("no socket");
    client.close();
    expect(await farewell(client)).toEqual([1005, ""]);
  });

  it("goes to what an Express app has for it", async () => {
    const web = express();
    web.get("/", (_, res) => void res.send("page"));
    const { url } = await started(Object.assign(web, { upgrade: echo }));
    const client = await connect(url);
    client.send("a");
    expect(await said(client)).toBe("a!");
    expect((await ask(url)).body).toBe("page");
    client.terminate();
  });

  it.each([
    ["a.cjs", "module.exports = () => ({}); module.exports.upgrade = UPGRADE"],
    ["b.cjs", "exports.__esModule = true; exports.default = () => ({}); exports.upgrade = UPGRADE"],
    ["c.mjs", "export default () => ({}); export const upgrade = UPGRADE"],
    ["d.mjs", "await null; export default () => ({}); export const upgrade = UPGRADE"],
  ])("goes to what the app's file exports for it: %s", async (name, text) => {
    const upgrade = `(req, socket) => socket.end("HTTP/1.1 418 " + ${JSON.stringify(name)} + "\\r\\n\\r\\n")`;
    writeFileSync(path.join(directory, name), text.replace("UPGRADE", upgrade));
    const { url } = await started(path.join(directory, name));
    expect(await refusal(url)).toBe(418);
  });

  it("is a request as any other where nothing takes it, as in Node", async () => {
    const { url } = await started((req) => ({ body: req.headers.upgrade }));
    const headers = { connection: "Upgrade", upgrade: "websocket" };
    expect(await ask(url, { headers })).toMatchObject({ status: 200, body: "websocket" });
  });

  it("is a request as any other where what the app calls so is no function", async () => {
    const { url } = await started(
      Object.assign((req: { headers: { upgrade?: string } }) => ({ body: req.headers.upgrade }), {
        upgrade: true,
      }) as App,
    );
    const headers = { connection: "Upgrade", upgrade: "websocket" };
    expect(await ask(url, { headers })).toMatchObject({ status: 200, body: "websocket" });
  });

  it("is taken in a fiber, in which a whole conversation may block", async () => {
    const upgrade = talking((ws) => {
      for (let count = 0; count < 3; count++) ws.send(`${onceSync(ws, "message")[0]}${count}`);
      ws.close(4000, "enough");
    });
    const { url } = await started(app, { upgrade });
    const talk = async (name: string) => {
      const client = await connect(url);
      const heard: string[] = [];
      for (let count = 0; count < 3; count++) {
        client.send(name);
        heard.push(await said(client));
      }
      return [...heard, ...(await farewell(client))];
    };
    const all = await Promise.all(["a", "b", "c"].map(talk));
    expect(all[1]).toEqual(["b0", "b1", "b2", 4000, "enough"]);
    expect(log()).toBe("");
  });

  it("gets blocking calls for its socket, and what has come with the head", async () => {
    const upgrade: UpgradeHandler = (_, socket, head) => {
      socket.writeSync("HTTP/1.1 101 Fine\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
      socket.writeSync(head);
      for (const chunk of socket.chunksSync()) socket.writeSync(`${chunk}`.toUpperCase());
      socket.endSync("bye");
    };
    const server = await started(app, { upgrade });
    const client = net.connect((server.address as net.AddressInfo).port, "127.0.0.1");
    client.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhead ");
    let text = "";
    client.setEncoding("latin1").on("data", (chunk) => {
      text += chunk;
      if (text.endsWith("head ")) client.end("and more ");
    });
    await once(client, "close");
    expect(text.split("\r\n\r\n")).toEqual([expect.stringMatching(/^HTTP\/1\.1 101 /), "head AND MORE bye"]);
  });

  const certificate = makeCertificate();
  it.skipIf(typeof certificate === "string")("comes over TLS as well", async () => {
    const { key, cert } = certificate as Certificate;
    const tls = { key, cert };
    const server = await started(app, { upgrade: echo, tls, host: "localhost" });
    const { port } = server.address as net.AddressInfo;
    const client = await connect(`https://localhost:${port}`, { ca: cert });
    client.send("a");
    expect(await said(client)).toBe("a!");
    const closed = server.close({ grace: 0 });
    expect((await farewell(client))[0]).toBe(1006);
    await closed;
  });

  it("is answered with 500 if its handler throws, which is logged with the fiber's stack; later it is cut", async () => {
    const upgrade: UpgradeHandler = (req, socket, head) => {
      if (req.url === "/rejects") return Promise.reject(new Error("rejected by the test"));
      if (req.url === "/later") echo(req, socket, head, new AbortController().signal);
      return (function failing() {
        sleep(1);
        throw new Error("thrown by the test");
      })();
    };
    const { url } = await started(app, { upgrade });
    expect(await refusal(`${url}/throws`)).toBe(500);
    expect(log()).toMatch(/^GET \/throws failed: Error: thrown by the test\n {4}at failing/);
    expect(await refusal(`${url}/rejects`)).toBe(500);
    expect(log()).toContain("GET /rejects failed: Error: rejected by the test");
    expect((await farewell(await connect(`${url}/later`)))[0]).toBe(1006);
    expect(log()).toContain("GET /later failed: Error: thrown by the test");
    expect((await ask(url)).body).toBe("no socket");
  });

  it("outlives its client, and leaves no trace of it", async () => {
    const left = new Queue<string>();
    const upgrade = talking((ws) => {
      ws.on("close", () => left.put("close"));
      ws.send("hello");
    });
    const { url } = await started(app, { upgrade });
    for (const how of ["terminate", "close"] as const) {
      const client = new WebSocket(url.replace("http", "ws"));
      expect(await said(client)).toBe("hello");
      client[how]();
      await until(() => left.size > 0);
      left.get(0);
    }
    expect(log()).toBe("");
  });

  it("ends quietly when it reads from, or writes to, a client that has gone", async () => {
    const ended = new Queue<unknown>();
    const upgrade: UpgradeHandler = (_, socket) => {
      socket.writeSync("HTTP/1.1 101 Fine\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
      try {
        for (;;) socket.writeSync(Buffer.alloc(100_000));
      } catch (error) {
        ended.put((error as NodeJS.ErrnoException).code);
        throw error;
      }
    };
    const server = await started(app, { upgrade });
    const client = net.connect((server.address as net.AddressInfo).port, "127.0.0.1");
    client.write("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
    await once(client, "data");
    client.resetAndDestroy();
    await until(() => ended.size > 0);
    await server.close();
    expect(log()).toBe("");
  });

  it("has the time for a request until it is answered, and then any time", async () => {
    const upgrade: UpgradeHandler = (req, socket, head, signal) => {
      if (req.url === "/hangs") sleep(3_600_000);
      echo(req, socket, head, signal);
      sleep(3_600_000);
    };
    const { url } = await started(app, { upgrade, requestTimeout: 300 });
    const client = await connect(url);
    expect(await refusal(`${url}/hangs`)).toBe(504);
    await until(() => log() !== "");
    expect(log()).toContain("GET /hangs failed: FiberExit: no answer within 300 ms");
    client.send("a");
    expect(await said(client)).toBe("a!");
    client.terminate();
  });

  it("waits for its turn where as many handlers run as may", async () => {
    const release = new Event();
    const upgrade = talking(() => release.wait());
    const { url } = await started(app, { upgrade, maxFibers: 2 });
    const clients = [await connect(url), await connect(url)];
    const third = connect(url);
    const body = ask(url).then((answer) => answer.body);
    const before = await Promise.race([third, body, new Promise((resolve) => setTimeout(resolve, 50, "neither"))]);
    expect(before).toBe("neither");
    release.set();
    clients.push(await third);
    expect(await body).toBe("no socket");
    for (const client of clients) client.terminate();
  });

  it("has a line in the access log when its connection ends", async () => {
    const accessLog = path.join(directory, "access.log");
    const upgrade: UpgradeHandler = (req, socket, head, signal) => {
      if (req.url === "/no") throw new Error("no");
      echo(req, socket, head, signal);
    };
    const server = await started(app, { upgrade, accessLog, logFormat: "common" });
    await refusal(`${server.url}/no`);
    const client = await connect(`${server.url}/yes`);
    client.terminate();
    await until(() => readFileSync(accessLog, "utf8").split("\n").length === 3);
    await connect(`${server.url}/cut`);
    await server.close({ grace: 0 });
    expect(readFileSync(accessLog, "utf8").match(/"GET .*/g)).toEqual([
      expect.stringMatching(/^"GET \/no HTTP\/1\.1" 500 \d+$/),
      expect.stringMatching(/^"GET \/yes HTTP\/1\.1" 101 \d+$/),
      expect.stringMatching(/^"GET \/cut HTTP\/1\.1" 101 \d+$/),
    ]);
  });

  describe("when the server is closed", () => {
    it("is told, and may say farewell, in blocking style", async () => {
      const upgrade = talking((ws, signal) => {
        signal.addEventListener("abort", () => {
          sleep(1);
          ws.close(1001, signal.reason.message);
        });
      });
      const server = await started(app, { upgrade });
      const clients = await Promise.all([connect(server.url), connect(server.url)]);
      const ends = clients.map(farewell);
      await server.close();
      expect(await Promise.all(ends)).toEqual(Array(2).fill([1001, "The server is being closed"]));
    });

    it("ends, without a word in the log, where it waits with its signal", async () => {
      const queue = new Queue<string>();
      const upgrade = talking((ws, signal) => {
        try {
          for (;;) ws.send(queue.get({ signal }));
        } finally {
          ws.close(1001);
        }
      });
      const server = await started(app, { upgrade });
      const client = await connect(server.url);
      const end = farewell(client);
      await server.close();
      expect((await end)[0]).toBe(1001);
      expect(log()).toBe("");
    });

    it("has the grace period, then its handler is killed, and has its last words", async () => {
      const killed: unknown[] = [];
      const upgrade = talking((ws) => {
        try {
          sleep(3_600_000);
        } catch (error) {
          killed.push(error);
          throw error;
        } finally {
          sleep(1);
          ws.close(1012, "too long");
        }
      });
      const server = await started(app, { upgrade });
      const client = await connect(server.url);
      const end = farewell(client);
      await server.close({ grace: 100 });
      expect(await end).toEqual([1012, "too long"]);
      expect(killed).toEqual([expect.any(FiberExit)]);
      expect(log()).toBe("");
    });

    it("is cut after the grace period where there is no handler any more", async () => {
      const server = await started(app, { upgrade: echo });
      const client = await connect(server.url);
      const closed = server.close({ grace: 200 });
      client.send("still");
      expect(await said(client)).toBe("still!");
      expect((await farewell(client))[0]).toBe(1006);
      await closed;
    });
  });
});

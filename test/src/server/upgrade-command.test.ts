// WebSockets under `runtime serve`: over reloads, to its end, after a worker's death; and what worker threads answer.
import { once } from "node:events";
import { describe, expect, it } from "vitest";
import WebSocket from "ws";
import { type Certificate, makeCertificate } from "../../compat/certificate";
import { until } from "../../compat/support";
import { describeFibers } from "../../support/fibers";
import { ask } from "./behaviours";
import { Command } from "./command";
import { refusal, said } from "./websockets";

const ws = JSON.stringify(require.resolve("ws"));

/** Greets with `name` and the process's id, and answers what it is sent. `more` runs in the handler, with `socket` and `signal`. */
const app = (name: string, more = "") => `
  const { sleepSync } = require("node:timers");
  const { WebSocketServer } = require(${ws});
  const sockets = new WebSocketServer({ noServer: true });
  module.exports = (req, res) => res.end("page");
  module.exports.upgrade = (req, socket, head, signal) => {
    sleepSync(1);
    sockets.handleUpgrade(req, socket, head, (socket) => {
      socket.on("message", (message) => {
        sleepSync(1);
        socket.send("${name} " + message);
      });
      socket.send("${name} " + process.pid);
      ${more}
    });
  };`;

const goodbye = `signal.addEventListener("abort", () => socket.close(1001, "goodbye"));`;

interface Connection {
  client: WebSocket;
  /** Of the worker. */
  pid: number;
  /** How it ended: the code, 1006 if it was cut, and the reason. */
  end: Promise<string>;
}

async function connect(url: string, options: WebSocket.ClientOptions = {}): Promise<Connection> {
  const client = new WebSocket(url.replace("http", "ws"), options);
  const end = once(client, "close").then(([code, reason]) => `${code} ${reason}`);
  const pid = Number((await said(client)).split(" ")[1]);
  return { client, pid, end };
}

async function answer(client: WebSocket, message: string): Promise<string> {
  client.send(message);
  return await said(client);
}

describeFibers("WebSockets under runtime serve", () => {
  it("are taken by all workers; a client's death concerns nobody else", async () => {
    const command = new Command({ "app.js": app("a") }, ["--workers", "2"]);
    const url = await command.url();
    const connections: Connection[] = [];
    await until(async () => {
      connections.push(await connect(url));
      return new Set(connections.map(({ pid }) => pid)).size === 2;
    });
    connections.pop()?.client.terminate();
    for (const { client } of connections) expect(await answer(client, "x")).toBe("a x");
    expect((await ask(url)).body).toBe("page");
  });

  it("stay at a reload until they end, those that come go to the new code", async () => {
    const command = new Command({
      "app.js": app("old", `signal.addEventListener("abort", () => socket.send("soon"));`),
    });
    const url = await command.url();
    const old = await connect(url);
    const told = said(old.client);
    command.write("app.js", app("new"));
    command.kill("SIGHUP");
    await command.says(/reloaded/);
    expect(await told).toBe("soon");
    expect(await answer((await connect(url)).client, "x")).toBe("new x");
    expect(await answer(old.client, "x")).toBe("old x");
    old.client.close();
    await until(() => !isAlive(old.pid));
  });

  it("are cut after the grace period that a reload gives", async () => {
    const command = new Command({ "app.js": app("old") }, ["--grace", "300"]);
    const old = await connect(await command.url());
    command.kill("SIGHUP");
    await command.says(/reloaded/);
    expect(await old.end).toBe("1006 ");
    await until(() => !isAlive(old.pid));
  });

  it("say goodbye at the end", async () => {
    const command = new Command({ "app.js": app("a", goodbye) }, ["--grace", "Infinity"]);
    const { end } = await connect(await command.url());
    command.kill("SIGTERM");
    expect(await end).toBe("1001 goodbye");
    expect(await command.end).toEqual({ code: 0, signal: null });
  });

  it("are cut after the grace period at the end, though a farewell is still under way", async () => {
    const farewell = `signal.addEventListener("abort", () => { socket.send("soon"); sleepSync(3_600_000); });`;
    const command = new Command({ "app.js": app("a", farewell) }, ["--grace", "200"]);
    const { client, end } = await connect(await command.url());
    const told = said(client);
    command.kill("SIGTERM");
    expect(await told).toBe("soon");
    expect(await end).toBe("1006 ");
    expect(await command.end).toEqual({ code: 0, signal: null });
    expect(command.stderr).toMatch(/closing \/ \(\d+\) at .*app\.js/);
    expect(command.stderr).not.toContain("FiberExit");
  });

  it("go with a worker that dies, and can be had from the one in its place", async () => {
    const command = new Command({ "app.js": app("a") });
    const url = await command.url();
    const { pid, end } = await connect(url);
    process.kill(pid, "SIGKILL");
    expect(await end).toBe("1006 ");
    const { client } = await connect(url);
    expect(await answer(client, "x")).toBe("a x");
  });

  const certificate = makeCertificate();
  it.skipIf(typeof certificate === "string")("come over TLS, from an ES module", async () => {
    const { key, cert } = certificate as Certificate;
    const text = `
      import { createRequire } from "node:module";
      const { WebSocketServer } = createRequire(import.meta.url)(${ws});
      const sockets = new WebSocketServer({ noServer: true });
      export default () => Response.json("page");
      export function upgrade(req, socket, head, signal) {
        sockets.handleUpgrade(req, socket, head, (socket) => {
          socket.send("hello 1");
          ${goodbye}
        });
      }`;
    const files = { "app.mjs": text, "cert.pem": String(cert), "key.pem": String(key) };
    const command = new Command(files, ["--tls-cert", "cert.pem", "--tls-key", "key.pem", "--host", "localhost"]);
    const { pid, end } = await connect(await command.url(), { rejectUnauthorized: false });
    expect(pid).toBe(1);
    command.kill("SIGTERM");
    expect(await end).toBe("1001 goodbye");
    expect(await command.end).toEqual({ code: 0, signal: null });
  });
});

describe("an upgrade, in worker threads", () => {
  it("is refused with 501, and the log says why, where the app would take it", async () => {
    const command = new Command({ "app.js": app("a") }, ["--engine", "workers", "--access-log", "-"]);
    const url = await command.url();
    await command.says(/app\.js takes upgrades, which the engine "workers" cannot: their clients get 501/);
    expect(await refusal(url)).toBe(501);
    expect((await ask(url)).body).toBe("page");
    await command.says(/"GET \/ HTTP\/1\.1" 501 /, "stdout");
  });

  it("is a request as any other where it would not", async () => {
    const text = `module.exports = (req) => ({ status: 426, body: req.headers.upgrade })`;
    const command = new Command({ "app.js": text }, ["--engine", "workers"]);
    const headers = { connection: "Upgrade", upgrade: "websocket" };
    expect(await ask(await command.url(), { headers })).toMatchObject({ status: 426, body: "websocket" });
    expect(command.stderr).not.toContain("upgrade");
  });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

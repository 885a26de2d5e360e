// serve() in a program: what it takes, what it gives, and what is special about requests in fibers.
import "runtime/patch";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import net from "node:net";
import path from "node:path";
import tls from "node:tls";
import express from "express";
import { type App, Event, Fiber, FiberExit, serve, sleep, spawn } from "runtime";
import { beforeEach, describe, expect, it } from "vitest";
import { type Certificate, makeCertificate } from "../../compat/certificate";
import { inFiber, thrown, until } from "../../compat/support";
import { describeFibers, hasFibers } from "../../support/fibers";
import { run } from "../../support/run";
import { Gathering } from "../../support/web";
import { ask } from "./behaviours";
import { directory, log, open, started } from "./serving";

describe("the arguments of serve", () => {
  const app: App = () => ({});

  it.each([
    [undefined, "ERR_INVALID_ARG_TYPE", '"app"'],
    [{}, "ERR_INVALID_ARG_TYPE", '"app"'],
  ])("are checked: app %s", (value, code, name) => {
    expect(thrown(() => serve(value as never))).toMatchObject({ code, message: expect.stringContaining(name) });
  });

  it.each([
    ["port", "80", "ERR_INVALID_ARG_TYPE"],
    ["port", 65_536, "ERR_OUT_OF_RANGE"],
    ["host", "", "ERR_OUT_OF_RANGE"],
    ["host", 1, "ERR_INVALID_ARG_TYPE"],
    ["socket", 1, "ERR_INVALID_ARG_TYPE"],
    ["tls", true, "ERR_INVALID_ARG_TYPE"],
    ["engine", "steam", "ERR_OUT_OF_RANGE"],
    ["engine", 1, "ERR_INVALID_ARG_TYPE"],
    ["maxFibers", 0, "ERR_OUT_OF_RANGE"],
    ["maxThreads", 0, "ERR_OUT_OF_RANGE"],
    ["minThreads", -1, "ERR_OUT_OF_RANGE"],
    ["requestTimeout", 0, "ERR_OUT_OF_RANGE"],
    ["requestTimeout", Number.NaN, "ERR_OUT_OF_RANGE"],
    ["maxHeaderSize", 2 ** 31, "ERR_OUT_OF_RANGE"],
    ["maxBodySize", 1.5, "ERR_OUT_OF_RANGE"],
    ["accessLog", true, "ERR_INVALID_ARG_TYPE"],
    ["logFormat", "json", "ERR_OUT_OF_RANGE"],
    ["grace", "1", "ERR_INVALID_ARG_TYPE"],
    ["prot", 1, "ERR_INVALID_ARG_TYPE"],
  ])("are checked: %s %s", (name, value, code) => {
    const error = thrown(() => serve(app, { [name]: value }));
    expect(error).toMatchObject({ code, message: expect.stringContaining(`"options.${name}"`) });
  });

  it("are checked: the engine must be one that there is, and can run the app", async () => {
    const { code, message } = hasFibers
      ? await serve(app, { engine: "workers" }).ready.then(
          () => ({ code: "", message: "" }),
          (error) => error,
        )
      : thrown(() => serve(app, { engine: "fibers" }));
    expect(code).toBe(hasFibers ? "ERR_INVALID_ARG_TYPE" : "ERR_NO_FIBERS");
    expect(message).toContain(hasFibers ? "path or URL of a file" : "no fibers");
  });
});

describeFibers("serve", () => {
  it("returns, in a fiber, when it listens", async () => {
    const url = await inFiber(() => {
      const server = serve(() => ({ body: "hi" }), { port: 0 });
      open.push(server);
      expect(server.engine).toBe("fibers");
      return server.url as string;
    });
    expect((await ask(url)).body).toBe("hi");
  });

  it("throws, in a fiber, why it cannot listen; elsewhere `ready` is rejected with it", async () => {
    const { address } = await started(() => ({}));
    const { port } = address as net.AddressInfo;
    expect(await inFiber(() => thrown(() => serve(() => ({}), { port })))).toMatchObject({ code: "EADDRINUSE" });
    await expect(serve(() => ({}), { port }).ready).rejects.toMatchObject({ code: "EADDRINUSE" });
  });

  it("is closed once for all, also before it listens", async () => {
    const server = serve(() => ({}), { port: 0 });
    await Promise.all([server.close(), server.close()]);
    expect([server.address, server.url]).toEqual([null, null]);
    expect(thrown(() => server.close({ grace: -1 }))).toMatchObject({ code: "ERR_OUT_OF_RANGE" });
  });

  it("is closed by its own handler, which is answered", async () => {
    const server = await started(() => {
      void server.close();
      sleep(1);
      return { body: "the last one" };
    });
    expect((await ask(server.url)).body).toBe("the last one");
    await server.close();
  });

  it("answers what is on its way on an idle connection when it is closed", async () => {
    const server = await started(() => ({ body: "hi" }));
    const { url } = server;
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    await ask(url, { agent });
    const closed = server.close();
    expect((await ask(url, { agent })).body).toBe("hi");
    await closed;
    agent.destroy();
  });

  it("serves who waits to be accepted when it is closed", async () => {
    const server = await started(() => ({ body: "hi" }));
    const asked = Array.from({ length: 200 }, () => ask(server.url)); // the system has made all connections before it polls
    await new Promise(process.nextTick);
    await server.close();
    for (const answer of asked) expect((await answer).body).toBe("hi");
  });

  it("closes connections that are idle, and those that have never been used", async () => {
    const server = await started(() => ({}));
    const { port } = server.address as net.AddressInfo;
    const agent = new http.Agent({ keepAlive: true });
    await ask(server.url, { agent });
    const unused = net.connect(port, "127.0.0.1");
    await once(unused, "connect");
    const ended = once(unused, "close");
    await server.close();
    await ended;
    agent.destroy();
  });

  it("tells apart the two styles by the number of parameters", async () => {
    // One that answers, and returns something that is no answer.
    const node = await started((_, res) => res.end("node") && 7);
    expect((await ask(node.url)).body).toBe("node");
    const none = await started((_) => {});
    expect((await ask(none.url)).status).toBe(500);
    expect(log()).toContain('to be returned from the "app" function but got undefined');
  });

  it("serves an Express app, whose handlers block", async () => {
    const app = express();
    app.get("/:name", (req, res) => {
      sleep(1);
      res.send(`hello ${req.params.name}`);
    });
    const { url } = await started(app);
    expect((await ask(`${url}/you`)).body).toBe("hello you");
  });

  it("serves what a file exports: a path, a URL, an ES module with a top-level await, TypeScript's default", async () => {
    const files = {
      "a.cjs": "module.exports = () => ({ body: 'a' })",
      "b.mjs": "const text = await Promise.resolve('b'); export default () => ({ body: text })",
      "c.js": "exports.__esModule = true; exports.default = () => ({ body: 'c' })",
      "d.ts": "const text: string = 'd'; export default () => ({ body: text })",
      "f.mts": "const text: string = 'f'; export default () => ({ body: text })",
      "e.cjs": `const { sleep } = require(${JSON.stringify(path.join(__dirname, "../../.."))}); sleep(1); module.exports = () => ({ body: 'e' })`,
    };
    symlinkSync(path.join(__dirname, "../../../node_modules"), path.join(directory, "node_modules")); // tsx, for Node 20
    for (const [name, text] of Object.entries(files)) {
      writeFileSync(path.join(directory, name), text);
      const file = path.join(directory, name);
      const { url } = await started(name === "a.cjs" ? new URL(`file://${file}`) : file);
      expect((await ask(url)).body).toBe(name[0]);
    }
  });

  it("says what is wrong with a file that exports no app, that fails, or is not there", async () => {
    const file = (name: string, text: string) => {
      writeFileSync(path.join(directory, name), text);
      return path.join(directory, name);
    };
    const why = (name: string) => serve(name).ready.catch((error) => error);
    expect(await why(file("none.cjs", "exports.handler = () => {}"))).toMatchObject({
      code: "ERR_NO_APP",
      message: expect.stringMatching(/none\.cjs exports no app.*module\.exports = .*runtime run/),
    });
    expect(await why(file("fails.cjs", "throw new Error('at load')"))).toMatchObject({ message: "at load" });
    expect(await why(path.join(directory, "missing.js"))).toMatchObject({ code: "MODULE_NOT_FOUND" });
  });

  it("listens at a Unix socket, also where a server has left one behind, but not where one listens", async () => {
    const socket = path.join(directory, "socket");
    const abandoned = `
      const server = require("node:net").createServer().listen(${JSON.stringify(socket)}, () => process.kill(process.pid, "SIGKILL"));`;
    await run(abandoned);
    expect(existsSync(socket)).toBe(true);
    const { url } = await started(() => ({ body: "hi" }), { socket });
    expect(url).toBe(`unix:${socket}`);
    expect((await ask("http://localhost/", { socketPath: socket })).body).toBe("hi");
    await expect(serve(() => ({}), { socket }).ready).rejects.toMatchObject({ code: "EADDRINUSE" });
    expect((await ask("http://localhost/", { socketPath: socket })).body).toBe("hi");
  });

  const certificate = makeCertificate();
  it.skipIf(typeof certificate === "string")("serves https, and closes it in the same way", async () => {
    const { key, cert } = certificate as Certificate;
    const server = await started(() => ({ body: "secret" }), { tls: { key, cert }, host: "localhost" });
    expect(server.url).toMatch(/^https:/);
    const agent = new https.Agent({ keepAlive: true, ca: cert, servername: "localhost" });
    const request = https.get(server.url, { agent });
    const [res] = (await once(request, "response")) as [IncomingMessage];
    expect(String(await res.toArray())).toBe("secret");
    const { port } = server.address as net.AddressInfo;
    const unused = net.connect(port, "localhost");
    const silent = tls.connect({ port, host: "localhost", ca: cert });
    await Promise.all([once(unused, "connect"), once(silent, "secureConnect")]);
    const ended = [once(unused, "close"), once(silent, "close")];
    await server.close();
    await Promise.all(ended);
    agent.destroy();
    await expect(serve(() => ({}), { port: 0, tls: { key: "no key" } }).ready).rejects.toThrow();
  });

  it("logs an error with the fiber's stack", async () => {
    const { url } = await started(function broken() {
      sleep(1);
      throw new Error("no good");
    });
    expect((await ask(`${url}/path`)).status).toBe(500);
    expect(log()).toMatch(
      /^GET \/path failed: Error: no good\n {4}at App\.broken|^GET \/path failed: Error: no good\n {4}at broken/,
    );
  });

  it("logs, for a request that takes too long, where it was", async () => {
    const { url } = await started(
      function waiting() {
        sleep(3_600_000);
      },
      { requestTimeout: 20 },
    );
    expect((await ask(url)).status).toBe(504);
    await until(() => log() !== "");
    expect(log()).toContain("no response within 20 ms");
    expect(log()).toContain("at waiting");
    expect(log()).not.toContain("Timeout.");
  });

  it("gives a handler's cleaning up its time when it is killed", async () => {
    const cleaned = new Event();
    const { url } = await started(
      () => {
        try {
          sleep(3_600_000);
        } finally {
          sleep(1);
          cleaned.set();
        }
      },
      { requestTimeout: 20 },
    );
    expect((await ask(url)).status).toBe(504);
    await cleaned;
  });

  it("answers 503 where a handler's fiber is killed", async () => {
    const { url } = await started(() => Fiber.current?.kill());
    expect((await ask(url)).status).toBe(503);
  });

  it("says nothing of clients that leave", async () => {
    const left = new Event();
    const done = new Event();
    const { url } = await started((_, res) => {
      res.once("close", () => left.set());
      left.wait();
      try {
        for (;;) res.writeSync("x");
      } finally {
        done.set();
      }
    });
    const request = http.get(url, { agent: false });
    request.on("error", () => {});
    await once(request, "socket");
    await once(request.socket as net.Socket, "connect");
    await until(() => request.socket?.bytesWritten);
    request.destroy();
    await done;
    expect(log()).toBe("");
  });

  it("cleans up after a body whose next item is long in coming when the client goes away", async () => {
    const cleaned = new Event();
    const { url } = await started(() => ({
      body: (function* () {
        try {
          yield "some";
          sleep(3_600_000);
        } catch (error) {
          expect(error).toBeInstanceOf(FiberExit);
          throw error;
        } finally {
          sleep(1);
          cleaned.set();
        }
      })(),
    }));
    const request = http.get(url, { agent: false });
    const [res] = (await once(request, "response")) as [IncomingMessage];
    res.on("error", () => {});
    await once(res, "data");
    request.destroy();
    await cleaned;
    expect(log()).toBe("");
  });

  it("goes on with work that a handler has spawned", async () => {
    const over = new Event();
    const { url } = await started(() => {
      spawn(() => {
        sleep(5);
        over.set();
      });
      return { body: "soon" };
    });
    expect((await ask(url)).body).toBe("soon");
    await over;
  });

  it("calls a request's fiber by what is requested", async () => {
    const { url } = await started(() => ({ body: Fiber.current?.name }));
    expect((await ask(`${url}/name?x=1`)).body).toBe("GET /name?x=1");
  });

  describe("with a limit for fibers", () => {
    it("lets requests above it wait for their turn", async () => {
      const batches = Array.from({ length: 7 }, () => new Gathering(3)); // nobody goes on before three are inside
      let come = 0;
      let inside = 0;
      let most = 0;
      const { url } = await started(
        () => {
          most = Math.max(most, ++inside);
          batches[Math.floor(come++ / 3)]?.arrive();
          inside--;
          return { body: "done" };
        },
        { maxFibers: 3 },
      );
      const answers = await Promise.all(Array.from({ length: 21 }, () => ask(url)));
      expect(answers.every(({ body }) => body === "done")).toBe(true);
      expect(most).toBe(3);
    });

    it("forgets those that leave while they wait, and answers 504 to those that wait for too long", async () => {
      const release = new Event();
      const seen: string[] = [];
      const server = await started(
        (req) => {
          seen.push(req.url as string);
          try {
            if (req.url === "/first") release.wait();
          } finally {
            release.wait(); // it holds on to its place, killed or not
          }
          return { body: "done" };
        },
        { maxFibers: 1, requestTimeout: 400 },
      );
      const first = ask(`${server.url}/first`);
      await until(() => seen.length > 0);
      const leaving = http.get(`${server.url}/leaving`, { agent: false });
      leaving.on("error", () => {});
      const waiting = ask(`${server.url}/waiting`);
      await until(() => leaving.socket?.bytesWritten);
      leaving.destroy();
      expect((await waiting).status).toBe(504);
      expect((await first).status).toBe(504);
      release.set();
      expect((await ask(`${server.url}/next`)).body).toBe("done");
      expect(seen).toEqual(["/first", "/next"]);
    });
  });

  it("gives requests and responses their blocking calls, without the patch", async () => {
    const program = `
      const { serve, sleep, spawn } = require("runtime");
      const http = require("node:http");
      const app = (req, res) => {
        const text = req.textSync();
        sleep(1);
        res.writeSync(text + "!");
        res.endSync("?");
      };
      const server = serve(app, { port: 0 });
      server.ready.then(() => {
        const request = http.request(server.url, { method: "POST", agent: false }, async (res) => {
          console.log((await res.toArray()).join(""));
          await server.close();
          console.log(http.ServerResponse.prototype.writeSync);
        });
        request.end("text");
      });`;
    expect(await run(program)).toMatchObject({ code: 0, stdout: "text!?\nundefined\n", stderr: "" });
  });

  it("answers 503 where nothing can ever resume a handler any more", async () => {
    const program = `
      const { serve, wait } = require("runtime");
      const http = require("node:http");
      console.error = (...args) => console.log(args[0], args[1].message);
      const server = serve(() => wait({ then() {} }), { port: 0 });
      server.ready.then(() => {
        http.get(server.url, { agent: false }, async (res) => {
          console.log(res.statusCode);
          clearInterval(collector);
          await server.close();
        });
        const collector = setInterval(gc, 10);
      });`;
    const { stdout } = await run(program, { flags: ["--expose-gc", "--no-maglev"] });
    expect(stdout).toBe("GET / failed: the fiber was abandoned: nothing could resume it any more\n503\n");
  });
});

describeFibers("the access log", () => {
  const logFile = path.join(directory, "access.log");
  const lines = () => readFileSync(logFile, "utf8").trim().split("\n");
  const date = String.raw`\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]`;

  beforeEach(() => rmSync(logFile, { force: true }));

  it("has a line for each request, in the combined format", async () => {
    const app: App = ({ url }) => (url === "/items" ? { body: ["ab", "é"] } : { status: 404, body: "no" });
    const server = await started(app, { accessLog: logFile });
    const headers = { referer: "http://from/", "user-agent": "me", authorization: `Basic ${btoa("joe user:secret")}` };
    await ask(`${server.url}/items`, { headers });
    await ask(`${server.url}/none?x`, { method: "POST" });
    await ask(`${server.url}/items`, { method: "HEAD" });
    await server.close();
    const [first, second, third] = lines();
    expect(first).toMatch(
      new RegExp(String.raw`^127\.0\.0\.1 - joe\\x20user ${date} "GET /items HTTP/1\.1" 200 4 "http://from/" "me"$`),
    );
    expect(second).toMatch(/"POST \/none\?x HTTP\/1\.1" 404 2 "-" "-"$/);
    expect(third).toMatch(/"HEAD \/items HTTP\/1\.1" 200 - "-" "-"$/);
  });

  it("has one in the common format, appended to what is there", async () => {
    writeFileSync(logFile, "before\n");
    const server = await started(() => ({ body: "x" }), { accessLog: logFile, logFormat: "common" });
    await ask(server.url);
    await server.close();
    expect(lines()).toEqual([
      "before",
      expect.stringMatching(new RegExp(`^127\\.0\\.0\\.1 - - ${date} "GET / HTTP/1.1" 200 1$`)),
    ]);
  });

  it("lets no client write a line of its own", async () => {
    const server = await started(() => ({}), { accessLog: logFile });
    await ask(server.url, { headers: { "user-agent": 'a" \\ \u0085\u0009b' } });
    await server.close();
    expect(lines()).toHaveLength(1);
    expect(lines()[0]).toMatch(/"a\\" \\\\ \\x85\\x09b"$/);
  });

  it("tells of errors, refusals, and clients that have gone", async () => {
    const inside = new Event();
    const left = new Event();
    const app = (req, res) => {
      if (req.url === "/throws") throw new Error("thrown");
      res.once("close", () => left.set());
      inside.set();
      left.wait();
    };
    const server = await started(app, { accessLog: logFile, maxBodySize: 1 });
    await ask(`${server.url}/throws`);
    await ask(`${server.url}/large`, { method: "POST" }, "ab");
    const leaving = http.get(`${server.url}/leaves`, { agent: false });
    leaving.on("error", () => {});
    await inside;
    leaving.destroy();
    await left;
    await server.close();
    expect(lines().map((line) => /"([A-Z]+ \S+) HTTP\/1.1" (\d+)/.exec(line)?.slice(1).join(" "))).toEqual([
      "GET /throws 500",
      "POST /large 413",
      "GET /leaves 499",
    ]);
  });

  it("has to be a file that can be opened", async () => {
    const accessLog = path.join(directory, "no", "such", "folder");
    await expect(serve(() => ({}), { port: 0, accessLog }).ready).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("is closed where the server cannot listen", async () => {
    const { address } = await started(() => ({}));
    const before = readdirSync("/proc/self/fd").length;
    const options = { port: (address as net.AddressInfo).port, accessLog: logFile };
    for (let i = 0; i < 5; i++)
      await expect(serve(() => ({}), options).ready).rejects.toMatchObject({ code: "EADDRINUSE" });
    expect(readdirSync("/proc/self/fd").length).toBeLessThan(before + 5);
  });

  it("does without when the disk is full, and says so once", async () => {
    const server = await started(() => ({ body: "x" }), { accessLog: "/dev/full" });
    for (let i = 0; i < 3; i++) expect((await ask(server.url)).body).toBe("x");
    await server.close();
    expect(log()).toBe(
      "The access log cannot be written, there is none from now on: ENOSPC: no space left on device, write",
    );
  });
});

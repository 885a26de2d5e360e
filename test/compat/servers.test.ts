// Servers with blocking handlers, as their clients see them.
import "runtime/patch";
import events, { once } from "node:events";
import http, { type IncomingMessage, type RequestListener } from "node:http";
import http2, { type Http2Server, type ServerHttp2Stream } from "node:http2";
import https from "node:https";
import net, { type AddressInfo, type Socket } from "node:net";
import stream from "node:stream";
import tls from "node:tls";
import { Fiber, sleep, spawn, wait } from "runtime";
import { afterEach, describe, expect, it } from "vitest";
import { deferred } from "../support/deferred";
import { type Certificate, makeCertificate } from "./certificate";
import { describeFibers, until } from "./support";

const made = makeCertificate();
const missing = typeof made === "string" ? made : "";
const certificate = made as Certificate;

const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

async function listening(server: net.Server): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket));
  open.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function all(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

interface Answer {
  status: number | undefined;
  body: string;
  res: IncomingMessage;
}

/** What goes uncaught from now on, until the function that is returned is called, which tells it. */
function hearUncaught(): () => unknown[] {
  const uncaught: unknown[] = [];
  const hear = (error: unknown) => uncaught.push(error);
  process.on("uncaughtExceptionMonitor", hear);
  return () => {
    process.off("uncaughtExceptionMonitor", hear);
    return uncaught;
  };
}

/** Bytes without end. */
function zeroes(): stream.Readable {
  return new stream.Readable({
    read(size) {
      this.push(Buffer.alloc(size));
    },
  });
}

/** What http and https have in common. */
interface Protocol {
  serve(handler: RequestListener): Promise<{ server: http.Server; port: number }>;
  request(port: number, options?: http.RequestOptions): http.ClientRequest;
  connect(port: number): Socket;
}

const plain: Protocol = {
  async serve(handler) {
    const server = http.createServer(handler);
    return { server, port: await listening(server) };
  },
  request: (port, options) => http.request({ port, host: "127.0.0.1", agent: false, ...options }),
  connect: (port) => net.connect(port, "127.0.0.1"),
};

const trusted = { host: "127.0.0.1", servername: "localhost", ca: certificate.cert };
const secure: Protocol = {
  async serve(handler) {
    const server = https.createServer(certificate, handler);
    return { server, port: await listening(server) };
  },
  request: (port, options) => https.request({ port, agent: false, ...trusted, ...options }),
  connect: (port) => tls.connect({ port, ...trusted }),
};

async function answer(req: http.ClientRequest, body?: string): Promise<Answer> {
  req.end(body);
  const [res] = (await once(req, "response")) as [IncomingMessage];
  return { status: res.statusCode, body: await all(res), res };
}

function describeProtocol(name: string, { serve, request, connect }: Protocol): void {
  describeFibers(name, () => {
    it("has as many requests inside as come", async () => {
      const everybody = deferred();
      let inside = 0;
      const { port } = await serve((req, res) => {
        if (++inside === 50) everybody.resolve();
        wait(everybody.promise);
        res.end(req.url);
      });
      const answers = await Promise.all(
        Array.from({ length: 50 }, (_, at) => answer(request(port, { path: `/${at}` }))),
      );
      expect(answers.map(({ body }) => body)).toEqual(Array.from({ length: 50 }, (_, at) => `/${at}`));
    });

    it("keeps a connection for the next request", async () => {
      const ports = new Set<unknown>();
      const { port } = await serve((req, res) => {
        const body = req.textSync();
        ports.add(req.socket.remotePort);
        sleep(1);
        res.writeSync(`<${body}`);
        res.endSync(">");
      });
      const Agent = connect === plain.connect ? http.Agent : https.Agent;
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      open.push(() => agent.destroy());
      for (const body of ["a", "b", "c"]) {
        expect((await answer(request(port, { method: "POST", agent }), body)).body).toBe(`<${body}>`);
      }
      expect(ports.size).toBe(1);
    });

    it("answers pipelined requests in order, though the first takes longest", async () => {
      const { port } = await serve((req, res) => {
        sleep(req.url === "/0" ? 20 : 1);
        res.end(`<${req.url}>`);
      });
      const socket = connect(port);
      for (let at = 0; at < 4; at++) {
        socket.write(`GET /${at} HTTP/1.1\r\nHost: x\r\n${at === 3 ? "Connection: close\r\n" : ""}\r\n`);
      }
      expect([...(await all(socket)).matchAll(/<.*?>/g)].join()).toBe("</0>,</1>,</2>,</3>");
    });

    it("reads a body in a handler that a body parser calls, at the end of it", async () => {
      const { port } = await serve((req, res) => {
        const chunks: Buffer[] = [];
        req.on("data", (chunk) => chunks.push(chunk));
        req.on("end", () => {
          sleep(1);
          res.end(`${Buffer.concat(chunks)} ${Fiber.current !== null}`);
        });
      });
      expect((await answer(request(port, { method: "POST" }), "body")).body).toBe("body true");
    });

    it("asks a handler whether to continue", async () => {
      const { server, port } = await serve(() => {});
      const seen: string[] = [];
      server.on("checkContinue", (req, res) => {
        sleep(1);
        seen.push("asked");
        if (req.headers["x-no"]) {
          res.writeHead(417).end("no");
          return;
        }
        res.writeContinue();
        res.end(`got ${req.textSync()}`);
      });
      const req = request(port, { method: "POST", headers: { expect: "100-continue" } });
      req.on("continue", () => {
        sleep(1);
        seen.push("continued");
        req.end("the body");
      });
      req.flushHeaders();
      const [res] = (await once(req, "response")) as [IncomingMessage];
      expect(await all(res)).toBe("got the body");
      expect(seen).toEqual(["asked", "continued"]);
      const refused = request(port, { method: "POST", headers: { expect: "100-continue", "x-no": "1" } });
      expect((await answer(refused)).status).toBe(417);
    });

    it("brings trailers, both ways", async () => {
      const { port } = await serve((req, res) => {
        res.setHeader("trailer", "x-sum");
        const body = req.textSync();
        res.writeSync(body);
        sleep(1);
        res.addTrailers({ "x-sum": `${body.length} ${req.trailers["x-from"]}` });
        res.end();
      });
      const req = request(port, { method: "POST", headers: { trailer: "x-from", "transfer-encoding": "chunked" } });
      req.write("hello");
      req.addTrailers({ "x-from": "client" });
      const { body, res } = await answer(req);
      expect([body, res.trailers["x-sum"]]).toEqual(["hello", "5 client"]);
    });

    it("switches protocols, to one in blocking style", async () => {
      const { server, port } = await serve(() => {});
      server.on("upgrade", (_req, socket: Socket) => {
        socket.writeSync("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n");
        for (let line = socket.readLineSync(); line !== null; line = socket.readLineSync()) {
          socket.writeSync(`${line.toUpperCase()}\n`);
        }
        socket.endSync("bye");
      });
      const text = await spawn(() => {
        const socket = connect(port);
        socket.writeSync("GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: lines\r\n\r\n");
        while (socket.readLineSync() !== "");
        socket.writeSync("one\ntwo\n");
        const lines = [socket.readLineSync(), socket.readLineSync()];
        socket.endSync();
        return [...lines, socket.textSync()];
      });
      expect(text).toEqual(["ONE", "TWO", "bye"]);
    });

    it("throws into a handler that reads what will not come, as its client has gone", async () => {
      const begun = deferred();
      const failed = deferred<unknown>();
      const { port } = await serve((req) => {
        begun.resolve();
        try {
          req.textSync();
          failed.resolve("read");
        } catch (error) {
          failed.resolve(error);
        }
      });
      const req = request(port, { method: "POST", headers: { "content-length": "10" } });
      req.on("error", () => {});
      req.write("half");
      await begun.promise;
      req.destroy();
      expect(await failed.promise).toMatchObject({ code: "ECONNRESET" });
    });

    it.each<[string, (req: IncomingMessage, res: http.ServerResponse) => unknown]>([
      ["reads its body", (req) => req.textSync()],
      ["reads it in chunks", (req) => [...req.chunksSync()]],
      [
        "writes to it",
        (_req, res) => {
          for (;;) res.writeSync(Buffer.alloc(65_536));
        },
      ],
      ["ends its answer", (_req, res) => res.endSync(Buffer.alloc(50_000_000))],
      ["sends it a stream", (_req, res) => stream.pipelineSync(zeroes(), res)],
    ])("ends a handler without a word whose client goes away while it %s", async (_, handle) => {
      const begun = deferred();
      const ended = deferred();
      const { port } = await serve((req, res) => {
        if (req.method === "GET") return res.end("next");
        begun.resolve();
        try {
          return handle(req, res);
        } finally {
          ended.resolve();
        }
      });
      const uncaught = hearUncaught();
      const req = request(port, { method: "POST", headers: { "content-length": "10" } });
      req.on("error", () => {});
      req.write("half");
      await begun.promise;
      await new Promise((resolve) => setTimeout(resolve, 20)); // until it waits
      req.destroy();
      await ended.promise;
      expect((await answer(request(port))).body).toBe("next");
      expect(uncaught()).toEqual([]);
    });

    it("lets a handler go on whose client has gone, and the next request be served", async () => {
      const begun = deferred();
      const gone = deferred();
      const { port } = await serve((req, res) => {
        if (req.url === "/first") {
          begun.resolve();
          if (!res.closed) events.onceSync(res, "close");
          gone.resolve();
        }
        res.end("nobody hears the first");
      });
      const req = request(port, { path: "/first" });
      req.on("error", () => {});
      req.end();
      await begun.promise;
      req.destroy();
      await gone.promise;
      expect((await answer(request(port))).status).toBe(200);
    });

    it("closes when the handlers that are suspended have answered", async () => {
      const go = deferred();
      let inside = 0;
      const { server, port } = await serve((_req, res) => {
        inside++;
        wait(go.promise);
        res.end("served");
      });
      const answers = [answer(request(port)), answer(request(port))];
      await until(() => inside === 2);
      let closed = false;
      server.close(() => {
        closed = true;
      });
      await expect(answer(request(port))).rejects.toMatchObject({ code: "ECONNREFUSED" });
      expect(closed).toBe(false);
      go.resolve();
      expect((await Promise.all(answers)).map(({ body }) => body)).toEqual(["served", "served"]);
      await until(() => closed);
    });
  });
}

describeProtocol("http", plain);
describe.skipIf(missing)(missing ? `https (skipped, ${missing})` : "https", () => describeProtocol("https", secure));

describeFibers("http2", () => {
  async function session(server: Http2Server): Promise<http2.ClientHttp2Session> {
    const client = http2.connect(`http://127.0.0.1:${await listening(server)}`);
    open.push(() => client.destroy());
    return client;
  }

  it("has as many requests inside as come, on one connection", async () => {
    const everybody = deferred();
    let inside = 0;
    const client = await session(
      http2.createServer((req, res) => {
        const body = req.textSync();
        if (++inside === 50) everybody.resolve();
        wait(everybody.promise);
        res.setHeader("x-method", req.method);
        res.writeSync(`<${body}`);
        res.endSync(">");
      }),
    );
    const answers = Array.from({ length: 50 }, async (_, at) => {
      const req = client.request({ ":method": "POST", ":path": `/${at}` });
      req.end(`${at}`);
      return all(req);
    });
    expect(await Promise.all(answers)).toEqual(Array.from({ length: 50 }, (_, at) => `<${at}>`));
  });

  it("serves streams, with trailers and pushes", async () => {
    const server = http2.createServer();
    server.on("stream", (stream: ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
      sleep(1);
      const pushed = wait(
        new Promise<ServerHttp2Stream>((resolve) =>
          stream.pushStream({ ":path": "/pushed" }, (_error, push) => resolve(push)),
        ),
      );
      pushed.respond();
      pushed.endSync("pushed");
      stream.respond({ "x-path": headers[":path"] }, { waitForTrailers: true });
      stream.on("wantTrailers", () => {
        sleep(1);
        stream.sendTrailers({ "x-end": "yes" });
      });
      stream.endSync("body");
    });
    const client = await session(server);
    const push = once(client, "stream").then(([stream]) => all(stream));
    const seen = await spawn(() => {
      const req = client.request({ ":path": "/x" });
      const [head] = events.onceSync(req, "response");
      const trailers = once(req, "trailers");
      return [head["x-path"], req.textSync(), wait(trailers)[0]["x-end"]];
    });
    expect(seen).toEqual(["/x", "body", "yes"]);
    expect(await push).toBe("pushed");
  });

  it("ends a handler without a word whose client has cancelled, while it reads or writes", async () => {
    const handlers: Record<string, (req: http2.Http2ServerRequest, res: http2.Http2ServerResponse) => unknown> = {
      "/read": (req) => req.textSync(),
      "/write": (_req, res) => {
        for (;;) res.writeSync(Buffer.alloc(65_536));
      },
    };
    let ended = 0;
    const server = http2.createServer((req, res) => {
      const handle = handlers[req.url];
      if (!handle) return res.end("next");
      try {
        return handle(req, res);
      } finally {
        ended++;
      }
    });
    const uncaught = hearUncaught();
    const client = await session(server);
    for (const path of Object.keys(handlers)) {
      for (const code of [http2.constants.NGHTTP2_CANCEL, http2.constants.NGHTTP2_INTERNAL_ERROR]) {
        const req = client.request({ ":method": "POST", ":path": path });
        req.on("error", () => {});
        await once(server, "stream");
        await new Promise((resolve) => setTimeout(resolve, 20)); // until it waits
        req.close(code);
      }
    }
    await until(() => ended === 4);
    expect(await all(client.request({ ":path": "/" }))).toBe("next");
    expect(uncaught()).toEqual([]);
  });

  it("tells a handler that its client has cancelled", async () => {
    const seen = deferred<unknown>();
    const server = http2.createServer((_req, res) => {
      seen.resolve(events.onceSync(res.stream, "close") && res.stream.aborted);
    });
    const client = await session(server);
    const req = client.request({ ":method": "POST" });
    req.on("error", () => {});
    await once(server, "stream");
    req.close(http2.constants.NGHTTP2_CANCEL);
    expect(await seen.promise).toBe(true);
  });

  it.each([
    ["at once, by an error of its session", false, new Error("cut")],
    ["at once, with its session", false, undefined],
    ["a while ago, by an error of its session", true, new Error("cut")],
    ["a while ago, with its session", true, undefined],
  ] as const)("has writeSync and endSync fail on a response whose stream has gone %s", async (_, before, error) => {
    const seen = deferred<string[]>();
    const server = http2.createServer((_req, res) => {
      const gone = deferred();
      res.stream.on("error", () => {}).on("close", () => gone.resolve());
      res.stream.session?.destroy(error);
      if (before) wait(gone.promise);
      const failure = (call: () => void) => {
        try {
          call();
          return "none";
        } catch (failed) {
          return (failed as NodeJS.ErrnoException).code ?? (failed as Error).message;
        }
      };
      const calls = [() => res.writeSync("x"), () => res.endSync("x"), () => res.endSync()];
      seen.resolve(calls.map(failure));
    });
    server.on("session", (one) => one.on("error", () => {}));
    const client = await session(server);
    client.on("error", () => {});
    client.request().on("error", () => {});
    expect(await seen.promise).toEqual(Array(3).fill(error?.message ?? "ERR_STREAM_DESTROYED"));
  });

  it.skipIf(missing)("is spoken over TLS, and HTTP/1 beside it", async () => {
    const server = http2.createSecureServer({ ...certificate, allowHTTP1: true }, (req, res) => {
      sleep(1);
      res.end(`${req.httpVersion} ${Fiber.current !== null}`);
    });
    const port = await listening(server);
    const client = http2.connect(`https://localhost:${port}`, { ca: certificate.cert });
    open.push(() => client.destroy());
    expect(await all(client.request())).toBe("2.0 true");
    expect((await answer(secure.request(port))).body).toBe("1.1 true");
  });
});

describeFibers("net and tls servers", () => {
  const echo = (socket: Socket) => {
    for (let line = socket.readLineSync(); line !== null; line = socket.readLineSync()) {
      sleep(1);
      socket.writeSync(`${line}!\n`);
    }
    socket.endSync("bye\n");
  };

  async function talk(connect: () => Socket): Promise<unknown> {
    return await spawn(() => {
      const socket = connect();
      const lines: unknown[] = [];
      for (const line of ["a", "b"]) {
        socket.writeSync(`${line}\n`);
        lines.push(socket.readLineSync());
      }
      socket.endSync();
      return [...lines, socket.readLineSync(), socket.readLineSync()];
    });
  }

  it("serve every connection in a fiber of its own", async () => {
    const port = await listening(net.createServer({ allowHalfOpen: true }, echo));
    const talks = Array.from({ length: 20 }, () => talk(() => net.connect(port, "127.0.0.1")));
    expect(await Promise.all(talks)).toEqual(Array(20).fill(["a!", "b!", "bye", null]));
  });

  it.skipIf(missing)("the same with TLS", async () => {
    const port = await listening(tls.createServer({ ...certificate, allowHalfOpen: true }, echo));
    const talks = Array.from({ length: 20 }, () => talk(() => tls.connect({ port, ...trusted })));
    expect(await Promise.all(talks)).toEqual(Array(20).fill(["a!", "b!", "bye", null]));
  });
});

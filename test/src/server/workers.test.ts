// The engine of worker threads behind Node's own server, as its clients see it.
import "runtime/patch";
import { once } from "node:events";
import type http from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { createWorkersEngine, type WorkersEngine, type WorkersOptions } from "runtime";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { makeCertificate } from "../../compat/certificate";
import { Peer } from "../../compat/support";
import { printing, run, start } from "../../support/run";
import { until } from "../../support/turns";
import answers from "./apps/answers.cjs";
import expressApp from "./apps/express.cjs";
import { app, ask, begin, listen, Note, raw, type Served } from "./support";

interface Engaged extends Served {
  engine: WorkersEngine;
  /** Main-thread ends of the responses, as they come. */
  responses: http.ServerResponse[];
}

const open: (() => unknown)[] = [];

async function engage(file: string, options: WorkersOptions = {}): Promise<Engaged> {
  const engine = createWorkersEngine(app(file), options);
  const responses: http.ServerResponse[] = [];
  const served = await listen((req, res) => {
    responses.push(res);
    engine.handle(req, res);
  });
  await engine.ready;
  const close = async () => {
    await served.close();
    await engine.close(0);
  };
  return { ...served, engine, responses, close };
}

/** Gone after the test. */
async function serve(file: string, options?: WorkersOptions): Promise<Engaged> {
  const engaged = await engage(file, options);
  open.push(engaged.close);
  return engaged;
}

function note(): Note {
  const note = new Note();
  open.push(() => note.remove());
  return note;
}

afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

/** What was logged, by this thread or another, while `fn` ran. Nothing of it is printed. */
async function logged(fn: () => Promise<unknown>): Promise<string> {
  const lines: string[] = [];
  const error = vi.spyOn(console, "error").mockImplementation((...args) => {
    lines.push(args.map((arg) => (arg instanceof Error ? arg.stack : String(arg))).join(" "));
  });
  const write = vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    lines.push(String(text));
    return true;
  });
  try {
    await fn();
    return lines.join("\n");
  } finally {
    error.mockRestore();
    write.mockRestore();
  }
}

/** One of three, each with its own thread, that is known to be inside the handler. */
async function hold(port: number) {
  const held = begin(port, "/hold", { method: "POST" });
  held.req.flushHeaders();
  const res = await held.response;
  return { ...held, release: () => held.req.end("released"), res };
}

function unchunked(_all: string, head: string, body: string): string {
  let text = "";
  for (let at = 0; at < body.length; ) {
    const start = body.indexOf("\r\n", at) + 2;
    const end = start + Number.parseInt(body.slice(at), 16);
    text += body.slice(start, end);
    at = end + 2;
  }
  return `${head}${text}\r\n`;
}

/** Responses without what may differ: the date, ports, and where a body was cut into chunks (Node 26 joins them). */
const same = (text: string) =>
  text
    .replace(
      /(\r\nTransfer-Encoding: chunked\r\n(?:.+\r\n)*\r\n)((?:[1-9a-f][0-9a-f]*\r\n[\s\S]*?\r\n)*?)(?=0\r\n)/gi,
      unchunked,
    )
    .replace(/^Date: \w{3}, \d\d \w{3} 20\d\d .*\r$/gm, "Date: now\r")
    .replace(/"remotePort":\d+|127\.0\.0\.1:\d+/g, "PORT");

describe("answers as plain Node does, byte for byte", () => {
  let plain: Served;
  let engaged: Engaged;
  beforeAll(async () => {
    engaged = await engage("answers.cjs");
    plain = await listen(answers as http.RequestListener);
  });
  afterAll(async () => {
    await plain.close();
    await engaged.close();
  });

  const last = "GET /end?last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const both = async (request: string) => {
    const expected = same(await raw(plain.port, request));
    expect(same(await raw(engaged.port, request))).toBe(expected);
    return expected;
  };

  const paths = [
    ...["/end", "/nothing", "/bytes", "/chunks", "/empty-chunk", "/length", "/status", "/head", "/pairs", "/cookies"],
    ...[
      "/204",
      "/304",
      "/chunked",
      "/trailers",
      "/hints",
      "/no-date",
      "/own-date",
      "/close",
      "/keep-alive",
      "/not-kept",
    ],
    ...["/no-connection", "/no-encoding", "/latin1", "/encodings", "/long-text", "/cork", "/flush", "/async", "/pipe"],
    ...["/request?a=b", "/kinds", "/misuse", "/nowhere"],
  ];
  for (const path of paths) {
    it(`GET ${path}, HEAD, and HTTP/1.0`, async () => {
      expect(await both(`GET ${path} HTTP/1.1\r\nHost: x\r\nX-A: 1\r\nx-a: 2\r\nCookie: a\r\n\r\n${last}`)).toContain(
        "HTTP/1.1 ",
      );
      await both(`HEAD ${path} HTTP/1.1\r\nHost: x\r\n\r\n${last}`);
      await both(`GET ${path} HTTP/1.0\r\n\r\n`);
      await both(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    });
  }

  const chunked = "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-T: end\r\n\r\n";
  for (const path of ["/body", "/iterate", "/echo", "/ignored-body"]) {
    it(`POST ${path}, with a length and in chunks`, async () => {
      await both(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde${last}`);
      await both(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n${last}`);
      await both(`POST ${path} HTTP/1.1\r\nHost: x\r\n${chunked}${last}`);
      await both(`POST ${path} HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nabcde${last}`);
    });
  }

  it("a large body, both ways", async () => {
    const body = "0123456789".repeat(300_000);
    expect((await ask(engaged.port, "/iterate", body)).body).toBe("3000000");
    for (let round = 0; round < 10; round++) expect((await ask(engaged.port, "/echo", body)).body === body).toBe(true);
    expect((await ask(engaged.port, "/ignored-body", body)).body).toBe("not read");
  });

  it("emits the same events in the same order", async () => {
    const eventsOf = async ({ port }: Served, body?: string) => {
      const name = body === undefined ? "without" : "with";
      await ask(port, `/events?${name}`, body);
      let events = "";
      while (events === "") events = (await ask(port, `/events-of?${name}`)).body; // of another thread, perhaps
      await ask(port, "/end");
      return events;
    };
    expect(await eventsOf(engaged, "body")).toBe(await eventsOf(plain, "body"));
    expect(await eventsOf(engaged)).toBe(await eventsOf(plain));
  });

  it("pipelined requests, in order", async () => {
    const request = ["/async", "/end", "/flush", "/chunks"]
      .map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
      .join("");
    await both(request + last);
  });
});

describe("Express", () => {
  it("answers the same as in plain Node", async () => {
    const { port } = await serve("express.cjs");
    const plain = await listen(expressApp as http.RequestListener);
    open.push(plain.close);
    const close = "Host: x\r\nConnection: close\r\n";
    const requests = [
      `GET /hello/you HTTP/1.1\r\n${close}\r\n`,
      `POST /sum HTTP/1.1\r\n${close}Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{"a":1,"b":2}`,
      `GET /redirect HTTP/1.1\r\n${close}\r\n`,
      `GET /missing HTTP/1.1\r\n${close}\r\n`,
    ];
    for (const request of requests) expect(same(await raw(port, request))).toBe(same(await raw(plain.port, request)));
    expect((await ask(port, "/blocking")).body).toBe("abc");
    await logged(async () => expect((await ask(port, "/throw")).status).toBe(500));
  });
});

describe("a blocking handler", () => {
  it("reads the body: as text, by sizes, by chunks, with trailers", async () => {
    const { port } = await serve("blocking.cjs");
    expect((await ask(port, "/text", "b\u00f6dy")).body).toBe("<b\u00f6dy>");
    expect((await ask(port, "/text")).body).toBe("<>");
    expect((await ask(port, "/text", "x".repeat(2_000_000))).body).toHaveLength(2_000_002);
    expect((await ask(port, "/sizes", "x".repeat(17))).body).toBe("7,7,3");
    expect((await ask(port, "/lines", "one piece")).body).toBe("[one piece]null true");
    const { req, answer } = begin(port, "/trailers", {
      method: "POST",
      headers: { trailer: "x-t", "transfer-encoding": "chunked" },
    });
    req.write("body");
    req.addTrailers({ "x-t": "end" });
    req.end();
    expect((await answer()).body).toBe('{"x-t":"end"}');
  });

  it("gets a body as it comes, and its response goes out meanwhile", async () => {
    const { port } = await serve("blocking.cjs");
    const { req, response } = begin(port, "/lines", { method: "POST" });
    req.write("a");
    const pieces = (await response).setEncoding("utf8")[Symbol.asyncIterator]();
    let text = "";
    const until = async (end: string) => {
      while (!text.endsWith(end)) text += (await pieces.next()).value;
    };
    await until("[a]");
    req.write("b");
    await until("[b]");
    req.end("c");
    await until("[c]null true");
    expect(text).toBe("[a][b][c]null true");
  });

  it("blocks its own thread only", async () => {
    const { port, engine } = await serve("blocking.cjs", { max: 3 });
    const held = [await hold(port), await hold(port)];
    expect((await ask(port, "/thread")).status).toBe(200);
    expect(engine.counts).toMatchObject({ threads: 3, waiting: 0 });
    for (const { release } of held) release();
    const bodies = await Promise.all(held.map(({ answer }) => answer().then(({ body }) => body)));
    expect(new Set(bodies).size).toBe(2);
    expect(bodies.every((body) => body.endsWith("\nreleased"))).toBe(true);
  });

  it("waits while the client does not read: what is sent ahead is bounded", async () => {
    const { port, responses } = await serve("blocking.cjs");
    const done = note();
    const bytes = 96 * 1024 * 1024; // more than the kernel keeps
    const { req, response } = begin(port, `/large?bytes=${bytes}&file=${done.file}`);
    req.end();
    const res = await response;
    await until(() => (responses[0] as http.ServerResponse).writableLength > 0); // the kernel takes no more
    let most = 0;
    for (let turn = 0; turn < 20; turn++) {
      await ask(port, "/thread");
      most = Math.max(most, responses[0]?.writableLength ?? 0);
    }
    expect(done.written).toBe(false);
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThan(512 * 1024);
    let received = 0;
    for await (const chunk of res) received += (chunk as Buffer).length;
    expect(received).toBe(bytes);
    expect(await done.text()).toBe("done");
  });

  it("is told by its next write that the client has gone", async () => {
    const { port, engine } = await serve("blocking.cjs", { max: 1 });
    const said = note();
    const { req, response } = begin(port, `/endless?file=${said.file}`);
    req.end();
    await response;
    req.destroy();
    expect(await said.text()).toMatch(/^ERR_STREAM_(DESTROYED|PREMATURE_CLOSE) true true ERR_STREAM_DESTROYED$/);
    await until(() => engine.counts.busy === 0);
    expect((await ask(port, "/thread")).status).toBe(200);
  });

  it("is told by its read that the client has gone", async () => {
    const { port } = await serve("blocking.cjs", { max: 1 });
    const said = note();
    const { req, response } = begin(port, `/unread?file=${said.file}`, { method: "POST" });
    req.write("some");
    await response;
    req.destroy();
    expect(await said.text()).toBe("ECONNRESET aborted ECONNRESET");
    expect((await ask(port, "/thread")).status).toBe(200);
  });

  it("hears of it by an event, if it has returned", async () => {
    const { port, engine } = await serve("blocking.cjs", { max: 1 });
    const said = note();
    const { req, response } = begin(port, `/close-event?file=${said.file}`);
    req.end();
    await response;
    req.destroy();
    expect(await said.text()).toBe("false true");
    await until(() => engine.counts.busy === 0);
  });

  it("may block in listeners for data: what comes meanwhile comes after", async () => {
    const { port } = await serve("blocking.cjs");
    const { req, answer } = begin(port, "/listener", { method: "POST" });
    for (const text of ["ab", "cd", "ef"]) req.write(text);
    req.end("gh");
    expect((await answer()).body).toBe("abcdefgh.");
  });

  it("calls what parks outside of fibers", async () => {
    const { port } = await serve("blocking.cjs");
    const peer = await Peer.start();
    open.push(() => peer.stop());
    expect((await ask(port, "/sleep?ms=1")).body).toBe("slept");
    expect((await ask(port, `/connect?port=${peer.port}`)).body).toBe("parked");
  });

  it("has no fibers: wait() of what is not settled, and spawn(), throw at once", async () => {
    const { port } = await serve("blocking.cjs");
    const before = String(process.env.RUNTIME_SWITCH);
    expect((await ask(port, "/wait")).body).toBe(`ERR_NOT_IN_FIBER,ERR_NO_FIBERS,none ${before}`);
  });

  it("cannot take over the connection: 500, and the log says why", async () => {
    const { port } = await serve("blocking.cjs");
    const log = await logged(async () => {
      const request = "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n";
      expect(await raw(port, request)).toMatch(/^HTTP\/1\.1 500 /);
    });
    expect(log).toContain("ERR_SOCKET_ELSEWHERE");
  });

  it("is told of TLS", async () => {
    const certificate = makeCertificate();
    if (typeof certificate === "string") throw new Error(certificate);
    const engine = createWorkersEngine(app("blocking.cjs"));
    open.push(() => engine.close(0));
    const server = https.createServer(certificate, (req, res) => engine.handle(req, res));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    open.push(() => server.close().closeAllConnections());
    const { port } = server.address() as AddressInfo;
    const req = https.get({
      port,
      path: "/tls",
      ca: certificate.cert,
      servername: "localhost",
      host: "127.0.0.1",
      agent: false,
    });
    const [res] = (await once(req, "response")) as [http.IncomingMessage];
    let text = "";
    for await (const chunk of res) text += chunk;
    expect(text).toBe("true false localhost 127.0.0.1");
  });

  it("may cut the connection, and cannot write after the end", async () => {
    const { port } = await serve("blocking.cjs", { max: 1 });
    await expect(ask(port, "/destroy")).rejects.toThrow(/aborted|socket hang up/);
    expect((await ask(port, "/after")).body).toBe("ended");
    expect((await ask(port, "/afterwards")).body).toBe("ERR_STREAM_WRITE_AFTER_END");
  });

  it("may leave work behind that goes on after the response", async () => {
    const { port } = await serve("blocking.cjs");
    const done = note();
    expect((await ask(port, `/late-work?file=${done.file}`)).body).toBe("answered");
    expect(await done.text()).toBe("done");
  });
});

describe("an app", () => {
  it("may be an ES module with a top-level await, in WSGI's style", async () => {
    const { port } = await serve("returning.mjs");
    const { status, headers, body } = await ask(port, "/", "-");
    expect([status, headers["x-loaded-by"], body]).toEqual([201, "a top-level await", "a-bc"]);
  });

  it("finishes its generator when the client goes away", async () => {
    const { port } = await serve("returning.mjs");
    const ended = note();
    const { req, response } = begin(port, `/endless?file=${ended.file}`);
    req.end();
    await response;
    req.destroy();
    expect(await ended.text()).toBe("finally");
  });

  it("may be written in TypeScript", async () => {
    const { port } = await serve("typed.cts");
    expect((await ask(port, "/path")).body).toBe("typed /path");
  });
});

describe("a handler's failure", () => {
  it("thrown: 500, logged with its stack, and the thread goes on", async () => {
    const { port } = await serve("blocking.cjs", { max: 1 });
    const thread = (await ask(port, "/thread")).body;
    const log = await logged(async () => {
      expect(await ask(port, "/throw")).toMatchObject({ status: 500, body: "Internal Server Error\n" });
    });
    expect(log).toMatch(/GET \/throw failed: TypeError: thrown in the handler\n +at \/throw .*blocking\.cjs/);
    expect((await ask(port, "/thread")).body).toBe(thread);
  });

  it("thrown after the head: the connection is cut", async () => {
    const { port } = await serve("blocking.cjs", { max: 1 });
    const log = await logged(() => expect(ask(port, "/throw-late")).rejects.toThrow("aborted"));
    expect(log).toContain("thrown after the head");
    expect((await ask(port, "/thread")).status).toBe(200);
  });

  for (const [path, status, words] of [
    ["/exit", 500, "The thread that ran this has ended: with code 3, in a request"],
    ["/crash", 500, "uncaught in the thread"],
    ["/memory", 500, "memory"],
  ] as const) {
    it(`that ends the thread (${path}): ${status}, nobody else is hit, and another thread takes its place`, async () => {
      const { port, engine } = await serve("blocking.cjs", { max: 2, resourceLimits: { maxOldGenerationSizeMb: 32 } });
      const other = await hold(port);
      const log = await logged(async () => expect((await ask(port, path)).status).toBe(status));
      expect(log).toContain(words);
      expect((await ask(port, "/thread")).status).toBe(200);
      other.release();
      expect((await other.answer()).body).toContain("released");
      expect(engine.counts.threads).toBeLessThanOrEqual(2);
    });
  }

  it("that ends the thread after the response: the client has its response", async () => {
    const { port, engine } = await serve("blocking.cjs", { max: 1 });
    const log = await logged(async () => {
      expect((await ask(port, "/exit-after")).body).toBe("said before");
      expect((await ask(port, "/thread")).status).toBe(200);
      await until(() => engine.counts.busy === 0);
    });
    expect(log).toContain("The thread that ran this has ended: with code 3, in a request");
  });

  it("to come to an end: the thread is terminated, 504", async () => {
    const { port, engine } = await serve("blocking.cjs", { max: 1, requestTimeout: 1000 });
    const log = await logged(async () => {
      expect(await ask(port, "/hang")).toMatchObject({ status: 504, body: "Gateway Timeout\n" });
      await expect(ask(port, "/hang-late")).rejects.toThrow("aborted");
    });
    expect(log).toContain("No response after 1000 ms");
    expect((await ask(port, "/thread")).status).toBe(200);
    expect(engine.counts.threads).toBe(1);
  });

  it("does not come of a client that reads slowly: its thread is free, its connection is cut in the end", async () => {
    const { port, responses, engine } = await serve("blocking.cjs", { max: 1, requestTimeout: 1000 });
    const { req, response } = begin(port, "/ended?bytes=100000000");
    req.end();
    const slow = await response;
    const closed = once(responses[0] as http.ServerResponse, "close");
    await until(() => engine.counts.busy === 0);
    expect((await ask(port, "/thread")).status).toBe(200);
    await closed;
    await expect(slow.toArray()).rejects.toThrow("aborted");
  });

  it("to come to an end after its client has gone: the thread is replaced all the same", async () => {
    const { port, engine } = await serve("blocking.cjs", { max: 1, requestTimeout: 1000 });
    await logged(async () => {
      const { req } = begin(port, "/hang");
      req.on("error", () => {});
      req.end();
      await until(() => engine.counts.busy === 1);
      req.destroy();
      await until(() => engine.counts.busy === 0);
      expect((await ask(port, "/thread")).status).toBe(200);
    });
  });
});

describe("the pool", () => {
  it("grows as requests wait, up to the most, and shrinks when they do not", async () => {
    const { port, engine } = await serve("blocking.cjs", { min: 1, max: 3, idleTimeout: 20 });
    expect(engine.counts.threads).toBe(1);
    const held = await Promise.all([hold(port), hold(port), hold(port)]);
    const fourth = ask(port, "/thread");
    await until(() => engine.counts.waiting === 1);
    expect(engine.counts).toEqual({ threads: 3, busy: 3, waiting: 1 });
    held[0]?.release();
    expect((await fourth).status).toBe(200);
    for (const { release } of held.slice(1)) release();
    await until(() => engine.counts.threads === 1);
    expect((await ask(port, "/thread")).status).toBe(200);
  });

  it("may shrink to nothing", async () => {
    const { port, engine } = await serve("blocking.cjs", { min: 0, idleTimeout: 20 });
    await until(() => engine.counts.threads === 0);
    expect((await ask(port, "/thread")).status).toBe(200);
  });

  it("has the least number from the start", async () => {
    const { engine } = await serve("blocking.cjs", { min: 3, max: 4 });
    await until(() => engine.counts.threads === 3);
    expect(engine.counts).toEqual({ threads: 3, busy: 0, waiting: 0 });
  });

  it("answers 503 above the queue's limit; who leaves the queue makes room", async () => {
    const { port, engine } = await serve("blocking.cjs", { max: 1, maxQueue: 2 });
    const held = await hold(port);
    const leaving = begin(port, "/thread");
    leaving.req.on("error", () => {});
    leaving.req.end();
    const waiting = ask(port, "/thread");
    await until(() => engine.counts.waiting === 2);
    const refused = await ask(port, "/thread");
    expect([refused.status, refused.headers["retry-after"]]).toEqual([503, "1"]);
    leaving.req.destroy();
    await until(() => engine.counts.waiting === 1);
    const another = ask(port, "/thread");
    await until(() => engine.counts.waiting === 2);
    held.release();
    expect((await waiting).status).toBe(200);
    expect((await another).status).toBe(200);
  });

  it("answers 503 who has waited for longer than a request may take", async () => {
    process.env.LOADED_FILE = note().file;
    try {
      const { port, engine } = await serve("loads-once.cjs", { max: 2, requestTimeout: 300 });
      await logged(async () => {
        const first = ask(port, "/");
        await until(() => engine.counts.busy === 1);
        const { status, headers } = await ask(port, "/");
        expect([status, headers["retry-after"]]).toEqual([503, "1"]);
        expect((await first).status).toBe(504);
        expect(engine.counts.waiting).toBe(0);
      });
    } finally {
      delete process.env.LOADED_FILE;
    }
  });

  it("checks its arguments", () => {
    const codeOf = (options: object) => {
      try {
        createWorkersEngine(app("blocking.cjs"), options);
        return "none";
      } catch (error) {
        return `${(error as { code: string }).code} ${/"[^"]*"/.exec((error as Error).message)}`;
      }
    };
    expect(
      [
        { min: -1 },
        { max: 1.5 },
        { min: 5, max: 4 },
        { idleTimeout: -1 },
        { maxQueue: "1" },
        { requestTimeout: null },
      ].map(codeOf),
    ).toEqual([
      'ERR_OUT_OF_RANGE "options.min"',
      'ERR_OUT_OF_RANGE "options.max"',
      'ERR_OUT_OF_RANGE "options.min"',
      'ERR_OUT_OF_RANGE "options.idleTimeout"',
      'ERR_INVALID_ARG_TYPE "options.maxQueue"',
      'ERR_INVALID_ARG_TYPE "options.requestTimeout"',
    ]);
    expect(() => createWorkersEngine(5 as never)).toThrow('The "file" argument must be of type string');
  });
});

describe("close()", () => {
  it("lets requests end, those that wait too, and accepts no more", async () => {
    const { port, engine } = await serve("blocking.cjs", { max: 1 });
    const held = await hold(port);
    const waiting = ask(port, "/thread");
    await until(() => engine.counts.waiting === 1);
    const closed = engine.close(60_000);
    expect(await ask(port, "/thread")).toMatchObject({ status: 503, headers: { connection: "close" } });
    held.release();
    expect((await held.answer()).body).toContain("released");
    expect((await waiting).status).toBe(200);
    await closed;
    expect(engine.counts).toEqual({ threads: 0, busy: 0, waiting: 0 });
  });

  it("ends what still runs after the grace", async () => {
    const { port, engine } = await serve("blocking.cjs", { max: 1 });
    const hanging = ask(port, "/hang");
    await until(() => engine.counts.busy === 1);
    const late = ask(port, "/hang-late");
    await until(() => engine.counts.waiting === 1);
    await engine.close(0);
    expect((await hanging).status).toBe(503);
    expect((await late).status).toBe(503);
    expect(engine.counts.threads).toBe(0);
  });

  it("may come before any thread has loaded the app", async () => {
    const engine = createWorkersEngine(app("blocking.cjs"), { min: 3 });
    await engine.close(60_000);
    await engine.ready;
    expect(engine.counts.threads).toBe(0);
  });

  it("a second one may shorten the first one's grace", async () => {
    const { port, engine } = await serve("blocking.cjs", { max: 1 });
    const hanging = ask(port, "/hang");
    await until(() => engine.counts.busy === 1);
    const first = engine.close(600_000);
    await engine.close(0);
    await first;
    expect((await hanging).status).toBe(503);
  });

  it("runs the app's exit listeners", async () => {
    const said = note();
    process.env.EXIT_FILE = said.file;
    try {
      const { engine } = await serve("blocking.cjs");
      await engine.close(10_000);
      expect(await said.text()).toBe("exit listeners ran");
    } finally {
      delete process.env.EXIT_FILE;
    }
  });
});

describe("the process", () => {
  const program = (body: string) => `
    const http = require("node:http");
    const path = require("node:path");
    const { createWorkersEngine } = require("runtime");
    const engine = createWorkersEngine(path.join(__dirname, "app.cjs"));
    const server = http.createServer((req, res) => engine.handle(req, res));
    server.listen(0, "127.0.0.1", () => {
      const url = "http://127.0.0.1:" + server.address().port;
      ${body}
    });`;
  const files = {
    "app.cjs": `module.exports = (req, res) => {
      if (req.url === "/hang") { res.write("x"); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); }
      setInterval(() => {}, 1000);
      res.end("from a thread");
    };`,
  };

  it("ends by itself after close(), whatever the app has left running", async () => {
    const body = `fetch(url).then((res) => res.text()).then(console.log).then(() => {
      server.close();
      server.closeAllConnections();
      return engine.close(10_000);
    }).then(() => console.log("closed"));`;
    expect(await run(program(body), { files })).toEqual(printing("from a thread", "closed"));
  });

  it("is not kept alive by threads that have nothing to do", async () => {
    const body = `fetch(url).then((res) => res.text()).then(console.log).then(() => {
      server.close();
      server.closeAllConnections();
    });`;
    expect(await run(program(body), { files })).toEqual(printing("from a thread"));
  });

  it("takes its threads along when it exits, whatever they do", async () => {
    const body = `fetch(url + "/hang").then(() => process.exit(7));`;
    expect(await run(program(body), { files })).toEqual({ code: 7, signal: null, stdout: "", stderr: "" });
  });

  it("cannot start an app that cannot be loaded: ready rejects, and requests get 503", async () => {
    const text = `
      const http = require("node:http");
      const { createWorkersEngine } = require("runtime");
      const attempt = async (file) => {
        const engine = createWorkersEngine(file, { min: 3 });
        await engine.ready.catch((error) => console.log(error.name, error.code, error.message.split("\\n")[0].replace(__dirname, "")));
        const server = http.createServer((req, res) => engine.handle(req, res)).listen(0, "127.0.0.1");
        await require("node:events").once(server, "listening");
        const res = await fetch("http://127.0.0.1:" + server.address().port);
        console.log(res.status, engine.counts.threads);
        server.close();
        server.closeAllConnections();
        await engine.close(0);
      };
      const all = ["throws.cjs", "nothing.cjs", "exits.cjs"].map((name) => require("node:path").join(__dirname, name));
      all.reduce((before, file) => before.then(() => attempt(file)), Promise.resolve());`;
    const { stdout, stderr, code } = await run(text, {
      files: {
        "throws.cjs": `throw Object.assign(new RangeError("not today"), { code: "OWN" });`,
        "nothing.cjs": `exports.a = 5;`,
        "exits.cjs": `process.exit(4);`,
      },
    });
    expect([stderr, code]).toEqual(["", 0]);
    expect(stdout.replaceAll(/^503 [012]$/gm, "503").split("\n")).toEqual([
      "RangeError OWN not today",
      "503",
      expect.stringContaining("Error ERR_NO_APP /nothing.cjs exports no app"),
      "503",
      "Error ERR_THREAD_LOST The thread that ran this has ended: with code 4, while it loaded the app",
      "503",
      "",
    ]);
  });

  it("that does not ask is told of it, too", async () => {
    const { code, stderr } = await run(`require("runtime").createWorkersEngine("/nowhere/app.cjs");`);
    expect(code).toBe(1);
    expect(stderr).toContain("/nowhere/app.cjs");
  });

  it("tries again, and not too often, when an app that could be loaded cannot be any more", async () => {
    const running = start(
      `
      const fs = require("node:fs");
      const http = require("node:http");
      const path = require("node:path");
      const { createWorkersEngine } = require("runtime");
      const file = path.join(__dirname, "app.cjs");
      const good = fs.readFileSync(file, "utf8");
      const engine = createWorkersEngine(file, { max: 1 });
      const server = http.createServer((req, res) => engine.handle(req, res)).listen(0, "127.0.0.1");
      const get = (path) => fetch("http://127.0.0.1:" + server.address().port + path);
      (async () => {
        await engine.ready;
        fs.writeFileSync(file, "fs.appendFileSync;");
        fs.writeFileSync(file, "require('node:fs').appendFileSync(__dirname + '/attempts', 'x'); throw new Error('bad')");
        console.log((await get("/exit")).status);
        while ((await get("/")).status !== 503);
        fs.writeFileSync(file, good);
        while ((await get("/")).status !== 200);
        const attempts = fs.readFileSync(path.join(__dirname, "attempts"), "utf8").length;
        console.log(attempts >= 1 && attempts < 8 ? "few attempts" : attempts);
        process.exit();
      })();`,
      {
        files: { "app.cjs": `module.exports = (req, res) => req.url === "/exit" ? process.exit(1) : res.end("good");` },
      },
    );
    const { stdout, code } = await running.outcome;
    expect([stdout, code]).toEqual(["500\nfew attempts\n", 0]);
  });
});

import "runtime/patch";
import { once } from "node:events";
import fs from "node:fs";
import http, { type Server } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { Readable } from "node:stream";
import { sleepSync } from "node:timers";
import zlib from "node:zlib";
import express5, { type ErrorRequestHandler, type Express, type Request, type Response } from "express";
// @ts-expect-error the declarations are those of version 5
import express4 from "express-4";
import session, { type SessionData } from "express-session";
import { Fiber, sleep, wait, wrap } from "runtime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { until } from "../support/turns";
import { atOnce, close, Gathering, originOf, text } from "../support/web";

const MANY = 200;

declare module "express-session" {
  interface SessionData {
    visits: number;
  }
}

describeFibers("Express 5", () => behavesWith(express5));
describeFibers("Express 4", () => behavesWith(express4));

function behavesWith(express: typeof express5): void {
  let app: Express;
  let server: Server;
  let origin: string;

  beforeEach(async () => {
    app = express();
    server = http.createServer(app);
    origin = await originOf(server);
  });

  afterEach(() => close(server));

  it(`has ${MANY} blocking handlers at work at once`, async () => {
    const all = new Gathering(MANY);
    app.get("/:i", (req, res) => {
      const source = fs.readFileSync(__filename, "utf8");
      all.arrive();
      sleepSync(1);
      res.json({ i: req.params.i, length: wait(Promise.resolve(source.length)) });
    });
    const answers = await atOnce(MANY, async (i) => JSON.parse(await text(`${origin}/${i}`)));
    const { length } = fs.readFileSync(__filename, "utf8");
    expect(answers).toEqual(Array.from({ length: MANY }, (_, i) => ({ i: `${i}`, length })));
  });

  it("keeps each request's own values apart, through middleware, nested apps, routers and their parameters", async () => {
    const all = new Gathering(20);
    const log = (res: Response, what: string) => {
      sleep(0);
      res.locals.path = [...(res.locals.path ?? []), what];
    };
    const router = express.Router();
    router.param("name", (_req, res, next, name) => {
      log(res, `param ${name}`);
      next();
    });
    router.get("/:name", (req, res) => {
      all.arrive();
      log(res, "handler");
      res.json([...res.locals.path, `${req.baseUrl} ${req.params.name}`]);
    });
    const nested = express();
    nested.use((_req, res, next) => {
      log(res, "nested");
      next();
      log(res, "after");
    });
    nested.use("/router", router);
    app.use((_req, res, next) => {
      log(res, "outer");
      next();
    });
    app.use("/nested", nested);
    const answers = await atOnce(20, async (i) => JSON.parse(await text(`${origin}/nested/router/${i}`)));
    expect(answers).toEqual(
      Array.from({ length: 20 }, (_, i) => ["outer", "nested", `param ${i}`, "handler", `/nested/router ${i}`]),
    );
  });

  it("serves the requests of one kept connection one after the other", async () => {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    const ports = new Set<number | undefined>();
    let [inside, most] = [0, 0];
    app.get("/:i", (req, res) => {
      most = Math.max(most, ++inside);
      ports.add(req.socket.remotePort);
      sleep(1);
      inside--;
      res.send(req.params.i);
    });
    const answers = await atOnce(10, async (i) => {
      const [response] = await once(http.get(`${origin}/${i}`, { agent }), "response");
      return (await response.toArray()).join("");
    });
    agent.destroy();
    expect(answers).toEqual(Array.from({ length: 10 }, (_, i) => `${i}`));
    expect([ports.size, most]).toEqual([1, 1]);
  });

  describe('with body parsers, which call the handler from the request\'s "end" event', () => {
    const gzipped = zlib.gzipSync(JSON.stringify({ a: ["b"] }));
    const cases = [
      ["json", express.json(), "application/json", '{"a":["b"]}', { a: ["b"] }],
      ["json, gzipped", express.json(), "application/json", gzipped, { a: ["b"] }],
      ["urlencoded", express.urlencoded(), "application/x-www-form-urlencoded", "a=b&c=d%20e", { a: "b", c: "d e" }],
      ["raw", express.raw(), "application/octet-stream", "\0\x01\x02", { type: "Buffer", data: [0, 1, 2] }],
      ["text", express.text(), "text/plain", "a text", "a text"],
    ] as const;

    it.each(cases)("%s", async (_name, parser, type, body, expected) => {
      const all = new Gathering(20);
      app.post("/", parser, (req, res) => {
        all.arrive();
        fs.readFileSync(__filename);
        res.json({ body: req.body, fiber: Fiber.current !== null });
      });
      const headers: Record<string, string> = { "content-type": type };
      if (typeof body !== "string") headers["content-encoding"] = "gzip";
      const answers = await atOnce(20, async () => JSON.parse(await text(origin, { method: "POST", headers, body })));
      expect(answers).toEqual(Array(20).fill({ body: expected, fiber: true }));
    });

    it("a body in many pieces", async () => {
      app.post("/", express.text({ limit: "10mb" }), (req, res) => {
        sleep(1);
        res.json(req.body.length);
      });
      const request = http.request(origin, { method: "POST", headers: { "content-type": "text/plain" } });
      for (let i = 0; i < 100; i++) request.write("x".repeat(50_000));
      request.end();
      const [response] = await once(request, "response");
      expect((await response.toArray()).join("")).toBe("5000000");
    });

    it("a body that is malformed, or too large, is the error middleware's", async () => {
      app.post("/", express.json({ limit: 10 }), () => {});
      app.use(((error, _req, res, _next) => {
        sleep(1);
        res.status(error.status).send(error.type);
      }) as ErrorRequestHandler);
      const post = async (body: string) => {
        const headers = { "content-type": "application/json" };
        const response = await fetch(origin, { method: "POST", headers, body });
        return [response.status, await response.text()];
      };
      expect(await post("{")).toEqual([400, "entity.parse.failed"]);
      expect(await post('{"a":"too large"}')).toEqual([413, "entity.too.large"]);
    });
  });

  describe("with sessions", () => {
    const visit = async (cookie?: string) => {
      const response = await fetch(origin, { headers: cookie ? { cookie } : {} });
      const body = await response.text();
      if (response.status !== 200) throw new Error(`${response.status}: ${body}`);
      return { visits: Number(body), cookie: response.headers.get("set-cookie")?.split(";")[0] };
    };

    const serve = (store?: session.Store, size = 10) => {
      let all = new Gathering(size);
      app.use(session({ secret: "secret", resave: false, saveUninitialized: true, ...(store && { store }) }));
      app.get("/", (req, res) => {
        all.arrive();
        req.session.visits = (req.session.visits ?? 0) + 1;
        sleep(1);
        res.send(`${req.session.visits}`);
      });
      return {
        again: () => {
          all = new Gathering(size);
        },
      };
    };

    const expectVisits = async (round: { again(): void }) => {
      const first = await atOnce(10, () => visit());
      expect(first.map(({ visits }) => visits)).toEqual(Array(10).fill(1));
      expect(new Set(first.map(({ cookie }) => cookie)).size).toBe(10);
      round.again();
      const second = await atOnce(10, (i) => visit(first[i]?.cookie));
      expect(second.map(({ visits }) => visits)).toEqual(Array(10).fill(2));
    };

    it("kept in memory", () => expectVisits(serve()));

    /** Keeps sessions as its `read` and `write` do it. */
    abstract class TestStore extends session.Store {
      readonly kept = new Map<string, string>();
      override destroy(id: string, done: (error?: unknown) => void = () => {}): void {
        this.kept.delete(id);
        done();
      }
      protected found(id: string): SessionData | null {
        const data = this.kept.get(id);
        return data === undefined ? null : JSON.parse(data);
      }
    }

    it("kept by a store that calls back later", () => {
      class LaterStore extends TestStore {
        get(id: string, done: (error: unknown, data?: SessionData | null) => void): void {
          setTimeout(() => done(null, this.found(id)), 1);
        }
        set(id: string, data: SessionData, done: (error?: unknown) => void = () => {}): void {
          this.kept.set(id, JSON.stringify(data));
          setImmediate(done);
        }
      }
      return expectVisits(serve(new LaterStore()));
    });

    it("kept by a store that blocks", () => {
      class BlockingStore extends TestStore {
        get(id: string, done: (error: unknown, data?: SessionData | null) => void): void {
          sleep(1);
          done(null, this.found(id));
        }
        set(id: string, data: SessionData, done: (error?: unknown) => void = () => {}): void {
          sleep(1);
          this.kept.set(id, JSON.stringify(data));
          done();
        }
      }
      return expectVisits(serve(new BlockingStore()));
    });

    it("kept by a store that calls back from a promise: after it, wrap() starts a fiber for the rest", () => {
      class AsyncStore extends TestStore {
        async get(id: string, done: (error: unknown, data?: SessionData | null) => void): Promise<void> {
          await Promise.resolve();
          done(null, this.found(id));
        }
        async set(id: string, data: SessionData, done: (error?: unknown) => void = () => {}): Promise<void> {
          this.kept.set(id, JSON.stringify(data));
          await Promise.resolve();
          done();
        }
      }
      const store = new AsyncStore();
      app.use(session({ secret: "secret", resave: false, saveUninitialized: true, store }));
      app.use(wrap((_req: Request, _res: Response, next: () => void) => next()));
      const all = new Gathering(10);
      app.get("/", (req, res) => {
        if (req.session.visits === undefined) all.arrive();
        req.session.visits = (req.session.visits ?? 0) + 1;
        sleepSync(1);
        res.send(`${req.session.visits}`);
      });
      return expectVisits({ again() {} });
    });
  });

  describe("with middleware that is asynchronous", () => {
    it("lets nothing after it block, and that is an error of the error middleware", async () => {
      app.use(async (_req, _res, next) => {
        sleepSync(1); // before the first await it is in the request's fiber
        await Promise.resolve();
        next();
      });
      app.get("/", () => sleep(1));
      app.use(((error, _req, res, _next) => {
        res.send(error.code);
      }) as ErrorRequestHandler);
      expect(await text(origin)).toBe("ERR_NOT_IN_FIBER");
    });

    it("lets it block after wrap()", async () => {
      const all = new Gathering(10);
      app.use(async (_req, _res, next) => {
        await Promise.resolve();
        next();
      });
      app.use(wrap((_req: Request, _res: Response, next: () => void) => next()));
      app.get("/", (_req, res) => {
        sleepSync(1);
        all.arrive();
        res.send("done");
      });
      expect(await atOnce(10, () => text(origin))).toEqual(Array(10).fill("done"));
    });
  });

  describe("with error middleware", () => {
    const failing = (fail: () => unknown) => {
      app.get("/", fail as () => void);
      app.use(((error, _req, res, _next) => {
        fs.readFileSync(__filename);
        sleep(1);
        res.status(500).send(`caught: ${error.message}, ${Fiber.current !== null}`);
      }) as ErrorRequestHandler);
      return fetch(origin).then(async (response) => [response.status, await response.text()]);
    };
    const fail = () => {
      throw new Error("failed");
    };

    it("gives it what a handler throws at once", async () => {
      expect(await failing(fail)).toEqual([500, "caught: failed, true"]);
    });

    it("gives it what a handler throws after it was suspended", async () => {
      const later = () => {
        sleep(1);
        fail();
      };
      expect(await failing(later)).toEqual([500, "caught: failed, true"]);
    });

    it("gives it what a blocking call throws", async () => {
      const [status, body] = await failing(() => fs.readFileSync("/no/such/file"));
      expect([status, body]).toEqual([500, expect.stringContaining("caught: ENOENT")]);
    });

    it("gives it what a rejected promise that was waited for brings", async () => {
      const rejected = () => wait(new Promise((_resolve, reject) => setImmediate(() => reject(new Error("rejected")))));
      expect(await failing(rejected)).toEqual([500, "caught: rejected, true"]);
    });

    it("answers by itself when there is none", async () => {
      app.set("env", "test"); // or it prints the error
      app.get("/", () => {
        sleep(1);
        fail();
      });
      const response = await fetch(origin);
      expect([response.status, await response.text()]).toEqual([500, expect.stringContaining("Error: failed")]);
    });
  });

  describe("with files", () => {
    let directory: string;
    const content = "0123456789".repeat(10_000);

    beforeEach(() => {
      directory = fs.mkdtempSync(path.join(tmpdir(), "runtime-express-"));
      fs.writeFileSync(path.join(directory, "file.txt"), content);
    });

    afterEach(() => fs.rmSync(directory, { recursive: true }));

    it("serves them after blocking middleware, whole, in ranges, and not when the client has them", async () => {
      const all = new Gathering(20);
      app.use((req, _res, next) => {
        if (req.query.gather) all.arrive();
        sleep(1);
        next();
      });
      app.use(express.static(directory));
      const url = `${origin}/file.txt`;
      expect(await atOnce(20, () => text(`${url}?gather=1`))).toEqual(Array(20).fill(content));
      const etag = (await fetch(url)).headers.get("etag") ?? "";
      // Not by fetch, which adds "cache-control: no-cache".
      const [fresh] = await once(http.get(url, { headers: { "if-none-match": etag }, agent: false }), "response");
      expect([fresh.statusCode, await fresh.toArray()]).toEqual([304, []]);
      const range = await fetch(url, { headers: { range: "bytes=5-14" } });
      expect([range.status, await range.text()]).toEqual([206, "5678901234"]);
      expect((await fetch(url, { headers: { range: "bytes=1000000-" } })).status).toBe(416);
    });

    it("lets handlers block that come after express.static has found nothing", async () => {
      const all = new Gathering(20);
      app.use(express.static(directory));
      app.get("/page", (_req, res) => {
        all.arrive();
        res.send("page");
      });
      expect(await atOnce(20, () => text(`${origin}/page`))).toEqual(Array(20).fill("page"));
    });

    it("sends one from a blocking handler", async () => {
      const all = new Gathering(20);
      const sent: unknown[] = [];
      app.get("/", (_req, res) => {
        all.arrive();
        res.sendFile(path.join(directory, "file.txt"), (error) => {
          sleep(1);
          sent.push(error);
        });
      });
      app.get("/none", (_req, res) => {
        sleep(1);
        res.sendFile(path.join(directory, "none.txt"), () => {
          sleep(1);
          res.status(404).send("not here");
        });
      });
      expect(await atOnce(20, () => text(origin))).toEqual(Array(20).fill(content));
      await until(() => sent.length === 20);
      expect(sent).toEqual(Array(20).fill(undefined));
      const response = await fetch(`${origin}/none`);
      expect([response.status, await response.text()]).toEqual([404, "not here"]);
    });

    it("pipes a stream into the response, from a blocking handler, and reads a request's in blocking style", async () => {
      app.get("/piped", (_req, res) => {
        sleep(1);
        fs.createReadStream(path.join(directory, "file.txt")).pipe(res);
      });
      app.get("/written", (_req, res) => {
        for (const piece of ["a", "b", "c"]) {
          sleep(1);
          res.writeSync(piece);
        }
        res.endSync();
      });
      app.post("/read", (req, res) => res.send(req.textSync().toUpperCase()));
      expect(await text(`${origin}/piped`)).toBe(content);
      expect(await text(`${origin}/written`)).toBe("abc");
      const body = Readable.toWeb(
        Readable.from(["in ", "pieces"].map((piece) => Buffer.from(piece))),
      ) as ReadableStream;
      expect(await text(`${origin}/read`, { method: "POST", body, duplex: "half" } as RequestInit)).toBe("IN PIECES");
    });

    it("renders a view with an engine that blocks", async () => {
      fs.writeFileSync(path.join(directory, "page.view"), "hello NAME");
      app.engine("view", (file, options, done) => {
        const template = fs.readFileSync(file, "utf8");
        sleep(1);
        done(null, template.replace("NAME", (options as { name: string }).name));
      });
      app.set("views", directory);
      app.get("/:name", (req, res) => res.render("page.view", { name: req.params.name }));
      const all = await atOnce(10, (i) => text(`${origin}/${i}`));
      expect(all).toEqual(Array.from({ length: 10 }, (_, i) => `hello ${i}`));
    });
  });

  it("tells a suspended handler that its client has gone, by the request's events", async () => {
    const seen: string[] = [];
    let finished = false;
    app.get("/", (req, res) => {
      res.on("close", () => {
        seen.push(`close ${res.writableFinished}`);
        sleep(1);
        seen.push("after it");
      });
      seen.push("inside");
      while (!req.destroyed) sleep(1);
      res.send("to nobody");
      finished = true;
    });
    const abort = new AbortController();
    const request = fetch(origin, { signal: abort.signal });
    await until(() => seen.includes("inside"));
    abort.abort();
    await expect(request).rejects.toThrow("abort");
    await until(() => finished && seen.length === 3);
    expect(seen).toEqual(["inside", "close false", "after it"]);
  });

  it("gives the error middleware a request whose client has gone before its body was there", async () => {
    let error: { type?: string } | undefined;
    app.post("/", express.text(), () => {});
    app.use(((thrown, _req, _res, _next) => {
      sleep(1);
      error = thrown;
    }) as ErrorRequestHandler);
    const request = http.request(origin, { method: "POST", headers: { "content-type": "text/plain" } });
    request.on("error", () => {});
    request.write("half of it");
    await once(server, "request");
    request.destroy();
    await until(() => error);
    expect(error?.type).toBe("request.aborted");
  });
}

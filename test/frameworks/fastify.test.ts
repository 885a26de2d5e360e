import "runtime/patch";
import fs from "node:fs";
import { sleepSync } from "node:timers";
import Fastify, { type FastifyInstance } from "fastify";
import { asAsync, Fiber, sleep, spawn, wait } from "runtime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { until } from "../support/turns";
import { atOnce, Gathering, text } from "../support/web";

describeFibers("Fastify", () => {
  let app: FastifyInstance;

  beforeEach(() => {
    app = Fastify({ forceCloseConnections: true });
  });

  afterEach(() => app.close());

  const listen = () => app.listen({ host: "127.0.0.1", port: 0 });
  const json = async (url: string, init?: RequestInit) => JSON.parse(await text(url, init));
  const post = (url: string, body: string, type = "application/json") =>
    text(url, { method: "POST", headers: { "content-type": type }, body });

  describe("has 200 blocking handlers at work at once", () => {
    const numbers = Array.from({ length: 200 }, (_, i) => ({ i: `${i}` }));

    it("that return the answer", async () => {
      const all = new Gathering(200);
      app.get("/:i", (request) => {
        sleepSync(1);
        all.arrive();
        return request.params;
      });
      const origin = await listen();
      expect(await atOnce(200, (i) => json(`${origin}/${i}`))).toEqual(numbers);
    });

    it("that send it", async () => {
      const all = new Gathering(200);
      app.get("/:i", (request, reply) => {
        sleepSync(1);
        all.arrive();
        reply.send(request.params);
      });
      const origin = await listen();
      expect(await atOnce(200, (i) => json(`${origin}/${i}`))).toEqual(numbers);
    });

    it("that are asynchronous, before their first await", async () => {
      const all = new Gathering(200);
      app.get("/:i", async (request) => {
        sleepSync(1);
        all.arrive();
        await null;
        return request.params;
      });
      const origin = await listen();
      expect(await atOnce(200, (i) => json(`${origin}/${i}`))).toEqual(numbers);
    });

    it("that were called after Fastify's own parser had read a body", async () => {
      const all = new Gathering(200);
      app.post("/", (request) => {
        sleepSync(1);
        all.arrive();
        return request.body;
      });
      const origin = await listen();
      const answers = await atOnce(200, async (i) => JSON.parse(await post(origin, JSON.stringify({ i: `${i}` }))));
      expect(answers).toEqual(numbers);
    });
  });

  it("lets hooks, schemas' serializers and a program's own parsers block", async () => {
    const all = new Gathering(10);
    const hooks = ["onRequest", "preParsing", "preValidation", "preHandler", "preSerialization", "onSend"] as const;
    const seen = new Set<string>();
    for (const hook of hooks) {
      app.addHook(hook as "onSend", (_request, _reply, payload, done) => {
        sleepSync(1);
        seen.add(`${hook}: ${Fiber.current !== null}`);
        const next = typeof payload === "function" ? (payload as () => void) : done;
        next === done ? done(null, payload) : next();
      });
    }
    app.addHook("onResponse", (_request, _reply, done) => {
      sleepSync(1);
      seen.add("onResponse: true");
      done();
    });
    app.addContentTypeParser("text/csv", { parseAs: "string" }, (_request, body, done) => {
      sleepSync(1);
      done(null, String(body).split(","));
    });
    app.addContentTypeParser("text/upper", (_request, payload, done) => {
      done(null, payload.textSync().toUpperCase());
    });
    app.post("/", (request) => {
      all.arrive();
      return { body: request.body };
    });
    const origin = await listen();
    const answers = await atOnce(10, (i) => post(origin, "a,b", i % 2 ? "text/csv" : "text/upper"));
    expect(answers).toEqual(Array.from({ length: 10 }, (_, i) => JSON.stringify({ body: i % 2 ? ["a", "b"] : "A,B" })));
    await until(() => seen.has("onResponse: true"));
    expect(seen).toEqual(new Set([...hooks, "onResponse"].map((hook) => `${hook}: true`)));
  });

  it("gives its error handler what is thrown, before a suspension and after it", async () => {
    app.setErrorHandler((error, _request, reply) => {
      sleepSync(1);
      reply.status(500).send((error as Error).message);
    });
    app.get("/now", () => {
      throw new Error("now");
    });
    app.get("/later", () => {
      sleepSync(1);
      throw new Error("later");
    });
    app.get("/asynchronous", async () => {
      sleepSync(1);
      throw new Error("asynchronous");
    });
    const origin = await listen();
    for (const name of ["now", "later", "asynchronous"]) {
      const response = await fetch(`${origin}/${name}`);
      expect([response.status, await response.text()]).toEqual([500, name]);
    }
  });

  it("sends streams, and reads them, in blocking style", async () => {
    app.get("/sent", (_request, reply) => {
      sleepSync(1);
      reply.send(fs.createReadStream(__filename));
    });
    app.get("/written", (_request, reply) => {
      reply.hijack();
      for (const piece of ["a", "b", "c"]) {
        sleepSync(1);
        reply.raw.writeSync(piece);
      }
      reply.raw.endSync();
    });
    const origin = await listen();
    expect(await text(`${origin}/sent`)).toBe(fs.readFileSync(__filename, "utf8"));
    expect(await text(`${origin}/written`)).toBe("abc");
  });

  describe("inject()", () => {
    beforeEach(async () => {
      app.get("/", () => {
        sleepSync(1);
        sleep(1);
        return "answer";
      });
      await app.ready();
    });

    it("answers in the fiber that waits for it", async () => {
      const response = await spawn(() => wait(app.inject("/")));
      expect([response.statusCode, response.body]).toEqual([200, "answer"]);
    });
  });

  it("after an await is on the hub, where asAsync() is the way back", async () => {
    const all = new Gathering(20);
    app.addHook("preHandler", async () => {
      sleepSync(1); // it is in the request's fiber up to here
      await null;
    });
    app.get("/hub", () => sleep(1));
    app.get(
      "/fiber",
      asAsync(() => {
        all.arrive();
        return "back";
      }),
    );
    const origin = await listen();
    const response = await fetch(`${origin}/hub`);
    expect([response.status, await response.json()]).toEqual([
      500,
      expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }),
    ]);
    expect(await atOnce(20, () => text(`${origin}/fiber`))).toEqual(Array(20).fill("back"));
  });
});

import "runtime/patch";
import fs from "node:fs";
import http, { type Server } from "node:http";
import { sleepSync } from "node:timers";
import Koa, { type Context } from "koa";
import bodyParser from "koa-bodyparser";
import { asAsync, Fiber, sleep, spawn, wait } from "runtime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { atOnce, close, Gathering, originOf, text } from "../support/web";

/** Puts all that comes after it in a fiber of its own. */
const inFiber = asAsync((_ctx: Context, next: Koa.Next) => wait(next()));

describeFibers("Koa", () => {
  let app: Koa;
  let server: Server;
  let origin: string;

  beforeEach(async () => {
    app = new Koa();
    app.silent = true; // errors are looked at in answers
    server = http.createServer((req, res) => app.callback()(req, res)); // with the middleware that a test adds
    origin = await originOf(server);
  });

  afterEach(() => close(server));

  const post = (body: unknown) =>
    text(origin, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

  it("has 200 blocking handlers at work at once, where nothing was awaited before", async () => {
    const all = new Gathering(200);
    app.use((ctx, next) => {
      sleepSync(1);
      ctx.state.size = fs.readFileSync(__filename).length;
      return next();
    });
    app.use(async (ctx) => {
      all.arrive();
      ctx.body = { path: ctx.path, size: ctx.state.size };
    });
    const { length: size } = fs.readFileSync(__filename);
    const answers = await atOnce(200, async (i) => JSON.parse(await text(`${origin}/${i}`)));
    expect(answers).toEqual(Array.from({ length: 200 }, (_, i) => ({ path: `/${i}`, size })));
  });

  it("answers 500 where a handler throws, before a suspension and after it, and emits the error", async () => {
    const errors: string[] = [];
    app.on("error", (error) => errors.push(error.message));
    app.use((ctx) => {
      if (ctx.path === "/later") sleepSync(1);
      throw new Error(ctx.path);
    });
    for (const path of ["/now", "/later"]) expect((await fetch(origin + path)).status).toBe(500);
    expect(errors).toEqual(["/now", "/later"]);
  });

  it("lets middleware catch what a blocking handler throws", async () => {
    app.use(async (ctx, next) => {
      try {
        await next();
      } catch (error) {
        ctx.body = `caught ${(error as Error).message}`;
      }
    });
    app.use(() => {
      sleepSync(1);
      throw new Error("it");
    });
    expect(await text(origin)).toBe("caught it");
  });

  describe("after an await", () => {
    const where: string[] = [];
    const note = (what: string) => where.push(`${what}: ${Fiber.current ? "fiber" : "hub"}`);

    beforeEach(() => {
      where.length = 0;
      app.use(async (_ctx, next) => {
        sleepSync(1);
        note("before");
        await next();
        note("after");
      });
    });

    it("code is on the hub: what Node has itself blocks the thread there, what it has not throws", async () => {
      let kept = "";
      app.use(async (ctx) => {
        await null;
        note("handler");
        let others = 0;
        setImmediate(() => others++);
        kept = fs.readFileSync(__filename, "utf8");
        ctx.body = { others };
        sleep(1);
      });
      app.on("error", (error) => where.push(error.code));
      expect((await fetch(origin)).status).toBe(500);
      expect(where).toEqual(["before: fiber", "handler: hub", "ERR_NOT_IN_FIBER"]);
      expect(kept).toContain("import");
    });

    it("asAsync() makes a handler that may block", async () => {
      const all = new Gathering(20);
      app.use(bodyParser());
      app.use(
        asAsync((ctx: Context) => {
          all.arrive();
          note("handler");
          ctx.body = ctx.request.body;
        }),
      );
      expect(await atOnce(20, async (i) => JSON.parse(await post({ i })))).toEqual(
        Array.from({ length: 20 }, (_, i) => ({ i })),
      );
      expect(new Set(where)).toEqual(new Set(["before: fiber", "handler: fiber", "after: hub"]));
    });

    it("asAsync() of wait(next()) lets all block that comes after it", async () => {
      const all = new Gathering(20);
      app.use(bodyParser());
      app.use(inFiber);
      app.use((_ctx, next) => {
        sleep(1);
        return next();
      });
      app.use((ctx) => {
        all.arrive();
        ctx.body = ctx.request.body;
      });
      expect(await atOnce(20, async (i) => JSON.parse(await post({ i })))).toEqual(
        Array.from({ length: 20 }, (_, i) => ({ i })),
      );
    });

    it("a fiber can be awaited", async () => {
      const all = new Gathering(20);
      app.use(async (ctx) => {
        await null;
        ctx.body = await spawn(() => {
          all.arrive();
          return `read ${fs.readFileSync(__filename).length > 0}`;
        });
      });
      expect(await atOnce(20, () => text(origin))).toEqual(Array(20).fill("read true"));
    });

    it("what asAsync() made fails as an async function does", async () => {
      app.use(bodyParser());
      app.use(
        asAsync((ctx: Context) => {
          sleep(1);
          ctx.throw(418, "short and stout");
        }),
      );
      const response = await fetch(origin);
      expect([response.status, await response.text()]).toEqual([418, "short and stout"]);
    });
  });
});

import { once } from "node:events";
import path from "node:path";
import { types } from "node:util";
import { Redis } from "ioredis";
import { type Blocking, blocking, FiberExit, spawn, withTimeout } from "runtime";
import { afterEach, beforeEach, expect, it } from "vitest";
import { describeClient } from "../support/servers";
import { turn } from "../support/turns";

describeClient("ioredis", "redis", (directory) => {
  let raw: Redis;
  let redis: Blocking<Redis>;

  beforeEach(async () => {
    raw = new Redis({ path: path.join(directory(), "socket") });
    redis = blocking(raw);
    await raw.flushall();
  });

  afterEach(() => raw.disconnect());

  /** The moment when some client waits in a blocking command. */
  const someoneWaits = async () => {
    while (!/blocked_clients:[1-9]/.test(await raw.info("clients"))) await turn();
  };

  it("answers commands in blocking style, with plain data", async () => {
    const [text, hash] = await spawn(() => {
      redis.set("key", "value");
      redis.hset("hash", { a: "1", b: "2" });
      return [redis.get("key"), redis.hgetall("hash")];
    });
    expect([text, hash]).toEqual(["value", { a: "1", b: "2" }]);
    expect(types.isProxy(hash)).toBe(false);
  });

  it("serves a hundred fibers on one connection", async () => {
    const fibers = Array.from({ length: 100 }, () => spawn(() => redis.incr("counter")));
    expect(new Set(await Promise.all(fibers)).size).toBe(100);
    expect(await raw.get("counter")).toBe("100");
  });

  it("runs a pipeline", async () => {
    const results = await spawn(() => redis.pipeline().set("key", "value").get("key").exec());
    expect(results).toEqual([
      [null, "OK"],
      [null, "value"],
    ]);
  });

  it("runs transactions on a connection of their own: the fiber whose watched key was changed tries again", async () => {
    const increment = () => {
      const connection = redis.duplicate();
      try {
        for (let tries = 1; ; tries++) {
          connection.watch("balance");
          const balance = Number(connection.get("balance"));
          const done = connection
            .multi()
            .set("balance", balance + 1)
            .exec();
          if (done !== null) return tries;
        }
      } finally {
        connection.disconnect();
      }
    };
    const tries = await Promise.all(Array.from({ length: 10 }, () => spawn(increment)));
    expect(await raw.get("balance")).toBe("10");
    expect(Math.max(...tries)).toBeGreaterThan(1);
  });

  it("throws a reply's error where the command was called, and the connection is usable afterwards", async () => {
    const caught = await spawn(function theCaller() {
      redis.set("text", "no list");
      try {
        redis.lpush("text", "element");
        return null;
      } catch (error) {
        return { error: error as Error, text: redis.get("text") };
      }
    });
    expect(caught).toEqual({ error: expect.objectContaining({ name: "ReplyError" }), text: "no list" });
    expect(caught?.error.message).toContain("WRONGTYPE");
    expect(caught?.error.stack).toContain("theCaller");
  });

  it("killed in a command runs its finally blocks", async () => {
    const connection = raw.duplicate();
    const fiber = spawn(() => {
      try {
        blocking(connection).blpop("queue", 0);
      } finally {
        connection.disconnect();
      }
    });
    await someoneWaits();
    const ended = once(connection, "end");
    fiber.kill();
    expect(await fiber).toBeInstanceOf(FiberExit);
    await ended;
  });

  it("withTimeout leaves a command that is too slow", async () => {
    const outcome = await spawn(() => {
      const connection = redis.duplicate();
      try {
        return withTimeout(20, () => connection.blpop("queue", 0), "too late");
      } finally {
        connection.disconnect();
      }
    });
    expect(outcome).toBe("too late");
  });

  it("lets one fiber wait for what another one pushes", async () => {
    const connection = raw.duplicate();
    const consumer = spawn(() => blocking(connection).blpop("queue", 0));
    await someoneWaits();
    await spawn(() => redis.rpush("queue", "element"));
    expect(await consumer).toEqual(["queue", "element"]);
    connection.disconnect();
  });

  it("iterates over a scan in blocking style", async () => {
    const keys = await spawn(() => {
      for (let i = 0; i < 50; i++) redis.set(`key:${i}`, i);
      const found = new Set<string>();
      for (const some of redis.scanStream({ match: "key:*", count: 5 })) for (const key of some) found.add(key);
      return found.size;
    });
    expect(keys).toBe(50);
  });

  it("waits for connection and end", async () => {
    const status = await spawn(() => {
      const connection = redis.duplicate({ lazyConnect: true });
      connection.connect();
      const { status } = connection;
      connection.quit();
      return status;
    });
    expect(status).toBe("ready");
  });
});

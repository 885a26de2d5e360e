import { AsyncResource } from "node:async_hooks";
import { FiberExit, RLock, sleep, spawn } from "runtime";
import { describe, expect, it } from "vitest";
import { describeFibers } from "../../support/fibers";
import { printing, run } from "../../support/run";
import { turn } from "../../support/turns";

const notOwner = expect.objectContaining({ code: "ERR_NOT_OWNER" });

describe("an RLock on the hub's stack", () => {
  it("is free at first", () => {
    const lock = new RLock();
    expect([lock.locked, lock.owned]).toEqual([false, false]);
  });

  it("is held by the hub, which may take it again", () => {
    const lock = new RLock();
    expect([lock.acquire(0), lock.acquire(0)]).toEqual([true, true]);
    expect([lock.locked, lock.owned]).toEqual([true, true]);
  });

  it("is free after as many releases", () => {
    const lock = new RLock();
    lock.acquire();
    lock.acquire();
    lock.release();
    expect(lock.locked).toBe(true);
    lock.release();
    expect([lock.locked, lock.owned]).toEqual([false, false]);
  });

  it("cannot be released by who does not hold it", () => {
    const lock = new RLock();
    expect(() => lock.release()).toThrow(notOwner);
    lock.acquire();
    lock.release();
    expect(() => lock.release()).toThrow(notOwner);
  });

  it("is held in runExclusive, within itself too", () => {
    const lock = new RLock();
    expect(lock.runExclusive(() => lock.runExclusive(() => lock.owned))).toBe(true);
    expect(lock.locked).toBe(false);
  });

  it("is held as long as each hold lasts", () => {
    const lock = new RLock();
    const [outer, inner] = [lock.hold(), lock.hold()];
    inner[Symbol.dispose]();
    expect(lock.owned).toBe(true);
    outer[Symbol.dispose]();
    expect(lock.owned).toBe(false);
  });
});

describeFibers("an RLock in fibers", () => {
  it("lets its owner in again", async () => {
    const lock = new RLock();
    expect(await spawn(() => lock.runExclusive(() => lock.runExclusive(() => "inside")))).toBe("inside");
    expect(lock.locked).toBe(false);
  });

  it("keeps others out until it is released as often as it was taken", async () => {
    const lock = new RLock();
    const log: string[] = [];
    const owner = spawn(() => {
      lock.acquire();
      lock.acquire();
      sleep(1);
      lock.release();
      sleep(1);
      log.push("released");
      lock.release();
    });
    const other = spawn(() => lock.runExclusive(() => log.push("other")));
    await Promise.all([owner, other]);
    expect(log).toEqual(["released", "other"]);
  });

  it("is owned by one fiber, and by nobody else", async () => {
    const lock = new RLock();
    const owner = spawn(() => {
      lock.acquire();
      const owned = lock.owned;
      sleep(0);
      return [owned, lock.owned];
    });
    const other = spawn(() => [lock.locked, lock.owned]);
    expect(await Promise.all([owner, other])).toEqual([
      [true, true],
      [true, false],
    ]);
    expect([lock.locked, lock.owned]).toEqual([true, false]);
  });

  it("cannot be released by another fiber, nor by the hub", async () => {
    const lock = new RLock();
    await spawn(() => lock.acquire());
    await expect(spawn(() => lock.release())).rejects.toMatchObject({ code: "ERR_NOT_OWNER" });
    expect(() => lock.release()).toThrow(notOwner);
  });

  it("held by the hub keeps fibers out", async () => {
    const lock = new RLock();
    lock.acquire();
    const fiber = spawn(() => lock.runExclusive(() => "in at last"));
    await turn();
    expect(fiber.dead).toBe(false);
    lock.release();
    expect(await fiber).toBe("in at last");
  });

  it("held by a fiber keeps the hub out, which cannot wait", async () => {
    const lock = new RLock();
    const fiber = spawn(() => lock.runExclusive(() => sleep(1e8)));
    await turn();
    expect(lock.acquire(0)).toBe(false);
    expect(() => lock.acquire()).toThrow(expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }));
    fiber.kill();
    await fiber;
  });

  it("is the fiber's own also inside runInAsyncScope, and the reverse", async () => {
    const lock = new RLock();
    const seen = await spawn(() => {
      lock.acquire();
      const inside = new AsyncResource("TEST").runInAsyncScope(() => {
        sleep(0);
        lock.release();
        lock.acquire();
        return lock.owned;
      });
      const after = lock.owned;
      lock.release();
      return [inside, after, lock.locked];
    });
    expect(seen).toEqual([true, true, false]);
  });

  it("serves in the order in which they came", async () => {
    const lock = new RLock();
    lock.acquire();
    const order: number[] = [];
    const fibers = [0, 1, 2].map((i) => spawn(() => lock.runExclusive(() => order.push(i))));
    await turn();
    lock.release();
    await Promise.all(fibers);
    expect(order).toEqual([0, 1, 2]);
  });

  it("is not owned by a fiber that was killed when it was served", async () => {
    const lock = new RLock();
    lock.acquire();
    const fiber = spawn(() => lock.acquire());
    await turn();
    lock.release();
    fiber.kill();
    expect(await fiber).toBeInstanceOf(FiberExit);
    expect(lock.locked).toBe(false);
  });

  it("not had in time is not owned", async () => {
    const lock = new RLock();
    lock.acquire();
    expect(await spawn(() => [lock.acquire(1), lock.owned])).toEqual([false, false]);
  });

  it("is released by an abandoned fiber that is unwound", async () => {
    const program = `
      const { setImmediate: turn } = require("node:timers/promises");
      const { RLock, spawn, wait } = require("runtime");
      (async () => {
        const lock = new RLock();
        (() => { spawn(() => lock.runExclusive(() => wait({ then() {} }))); })();
        await turn();
        console.log(lock.locked);
        while (lock.locked) { gc(); await turn(); }
        console.log("free");
      })();`;
    expect(await run(program, { flags: ["--expose-gc"] })).toEqual(printing("true", "free"));
  });
});

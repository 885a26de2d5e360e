import { Event, Fiber, FiberExit, Full, Pool, sleep, spawn } from "runtime";
import { describe, expect, it } from "vitest";
import { itFibers } from "../../support/fibers";
import { turn } from "../../support/turns";

const suspended = () => sleep(1e8);

describe("a Pool without fibers", () => {
  it("of size 0 is always full", () => {
    const pool = new Pool(0);
    expect([pool.size, pool.freeCount, pool.full, pool.waitAvailable(0)]).toEqual([0, 0, true, false]);
  });

  it("has room for any number by default", () => {
    const pool = new Pool();
    expect([pool.size, pool.freeCount, pool.full, pool.waitAvailable()]).toEqual([
      Number.POSITIVE_INFINITY,
      Number.POSITIVE_INFINITY,
      false,
      true,
    ]);
  });
});

describe("a Pool", () => {
  itFibers("counts its room", async () => {
    const pool = new Pool(2);
    const seen = [[pool.freeCount, pool.full]];
    const first = pool.spawn(suspended);
    seen.push([pool.freeCount, pool.full]);
    pool.spawn(suspended);
    seen.push([pool.freeCount, pool.full]);
    pool.discard(first as Fiber);
    seen.push([pool.freeCount, pool.full]);
    expect(seen).toEqual([
      [2, false],
      [1, false],
      [0, true],
      [1, false],
    ]);
    first.kill();
    await spawn(() => pool.kill());
    expect(pool.freeCount).toBe(2);
  });

  itFibers("has room again at the very moment of a member's end", async () => {
    const pool = new Pool(1);
    const seen = await spawn(() => {
      const member = pool.spawn(() => sleep(0));
      member.join();
      return [pool.freeCount, pool.full, pool.length];
    });
    expect(seen).toEqual([1, false, 0]);
  });

  itFibers("has room again when a member fails, is killed, or was killed before it began", async () => {
    const pool = new Pool(3);
    const failing = pool.spawn(() => {
      throw new Error("own");
    });
    const killed = pool.spawn(suspended);
    failing.link(() => {});
    await turn();
    const unbegun = pool.spawn(suspended);
    unbegun.kill();
    killed.kill();
    await spawn(() => pool.join());
    expect(pool.freeCount).toBe(3);
  });

  itFibers("never has more members than its size", async () => {
    const pool = new Pool(3);
    let running = 0;
    let most = 0;
    await spawn(() => {
      for (let i = 0; i < 12; i++) {
        pool.spawn(() => {
          most = Math.max(most, ++running);
          sleep(i % 3);
          running--;
        });
      }
      pool.join();
    });
    expect([most, pool.freeCount]).toEqual([3, 3]);
  });

  itFibers("makes who spawns wait while it is full, first come, first served", async () => {
    const pool = new Pool(1);
    const gate = new Event();
    const order: number[] = [];
    pool.spawn(() => gate.wait());
    const spawners = [0, 1, 2].map((i) => spawn(() => pool.spawn(() => order.push(i))));
    await turn();
    expect(spawners.map((spawner) => spawner.dead)).toEqual([false, false, false]);
    gate.set();
    await spawn(() => {
      for (const spawner of spawners) spawner.join();
      pool.join();
    });
    expect(order).toEqual([0, 1, 2]);
  });

  itFibers("spawns nothing for who is killed while it waits for room", async () => {
    const pool = new Pool(1);
    const gate = new Event();
    pool.spawn(() => gate.wait());
    let ran = false;
    const spawner = spawn(() =>
      pool.spawn(() => {
        ran = true;
      }),
    );
    await turn();
    spawner.kill();
    await spawner;
    gate.set();
    await spawn(() => pool.join());
    expect([ran, pool.freeCount]).toEqual([false, 1]);
  });

  itFibers("loses no room when who waits for it is killed as it gets it", async () => {
    const pool = new Pool(1);
    const member = pool.spawn(suspended);
    const spawner = spawn(() => pool.spawn(suspended));
    await turn();
    pool.discard(member as Fiber);
    spawner.kill();
    await spawner;
    expect([pool.length, pool.freeCount]).toEqual([0, 1]);
    member.kill();
    await member;
  });

  it("on the hub's stack, full, refuses to spawn: ERR_NOT_IN_FIBER", () => {
    expect(() => new Pool(0).spawn(() => {})).toThrow(expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }));
  });

  itFibers(
    "add and start throw Full when there is no room in time, and the fiber is neither a member nor started",
    async () => {
      const pool = new Pool(0);
      const fiber = new Fiber(() => {});
      expect(() => pool.add(fiber as Fiber, 0)).toThrow(Full);
      expect(() => pool.start(fiber as Fiber, 0)).toThrow(Full);
      expect([pool.has(fiber as Fiber), fiber.started]).toEqual([false, false]);
    },
  );

  itFibers("add waits for room", async () => {
    const pool = new Pool(1);
    const gate = new Event();
    pool.spawn(() => gate.wait());
    const fiber = new Fiber(() => "ran");
    const adder = spawn(() => pool.start(fiber as Fiber));
    await turn();
    expect(fiber.started).toBe(false);
    gate.set();
    await adder;
    expect(await fiber).toBe("ran");
  });

  itFibers("add of a fiber that ended while it waited for room takes no room", async () => {
    const pool = new Pool(1);
    const gate = new Event();
    pool.spawn(() => gate.wait());
    const fiber = spawn(() => sleep(0));
    const adder = spawn(() => pool.add(fiber as Fiber));
    await fiber;
    gate.set();
    await adder;
    expect([pool.length, pool.freeCount]).toEqual([0, 1]);
  });

  itFibers("add of one fiber by two takes its room once", async () => {
    const pool = new Pool(2);
    const gates = [new Event(), new Event()];
    for (const gate of gates) pool.spawn(() => gate.wait());
    const fiber = new Fiber(() => {});
    const adders = [0, 1].map(() => spawn(() => pool.add(fiber as Fiber)));
    await turn();
    for (const gate of gates) gate.set();
    await Promise.all(adders);
    expect([pool.length, pool.freeCount]).toEqual([1, 1]);
    fiber.start();
    await fiber;
    expect(pool.freeCount).toBe(2);
  });

  itFibers("add of a dead fiber, or of a member, needs no room", async () => {
    const dead = spawn(() => {});
    await dead;
    const pool = new Pool(1);
    const member = pool.spawn(suspended);
    pool.add(member as Fiber);
    pool.add(dead as Fiber);
    expect(pool.length).toBe(1);
    await spawn(() => pool.kill());
  });

  itFibers("waitAvailable waits for room, and takes none", async () => {
    const pool = new Pool(1);
    const gate = new Event();
    pool.spawn(() => gate.wait());
    const waiter = spawn(() => pool.waitAvailable());
    await turn();
    expect(waiter.dead).toBe(false);
    gate.set();
    expect([await waiter, pool.freeCount]).toEqual([true, 1]);
  });

  itFibers("of size 0: waitAvailable waits until the time is over", async () => {
    expect(await spawn(() => new Pool(0).waitAvailable(1))).toBe(false);
  });

  itFibers("has room again after a worker has killed itself", async () => {
    const pool = new Pool(1);
    const worker = pool.spawn(() => (Fiber.current as Fiber).kill());
    expect((await worker) as unknown).toBeInstanceOf(FiberExit);
    expect(pool.freeCount).toBe(1);
  });

  itFibers("is empty after a worker has called kill", async () => {
    const pool = new Pool(2);
    const other = pool.spawn(suspended);
    await turn();
    const worker = pool.spawn(() => pool.kill());
    expect((await worker) as unknown).toBeInstanceOf(FiberExit);
    await other;
    expect([pool.length, pool.freeCount]).toEqual([0, 2]);
  });

  itFibers("kill reaches also what was waiting for room", async () => {
    const pool = new Pool(1);
    pool.spawn(suspended);
    const spawner = spawn(() => pool.spawn(suspended));
    await turn();
    await spawn(() => pool.kill());
    expect([spawner.dead, pool.length, pool.freeCount]).toEqual([true, 0, 1]);
  });

  itFibers("applyAsync when it is full does not wait, and runs once there is room", async () => {
    const pool = new Pool(1);
    const gate = new Event();
    pool.spawn(() => gate.wait());
    let ran = false;
    const applied = pool.applyAsync(() => {
      ran = true;
      return "applied";
    });
    await turn();
    expect([ran, pool.length]).toEqual([false, 1]);
    gate.set();
    expect(await applied).toBe("applied");
  });

  itFibers(
    "applyAsync when it is full passes a failure on, unhandled only if nobody looks at the fiber that it returned",
    async () => {
      const pool = new Pool(1);
      const gate = new Event();
      pool.spawn(() => gate.wait());
      const error = new Error("own");
      const applied = pool.applyAsync(() => {
        throw error;
      });
      gate.set();
      await expect(applied).rejects.toBe(error);
    },
  );

  itFibers("map runs no more tasks at a time than its size, and keeps the order", async () => {
    const pool = new Pool(2);
    let running = 0;
    let most = 0;
    const values = await spawn(() =>
      pool.map(
        (i) => {
          most = Math.max(most, ++running);
          sleep((i * 7) % 3);
          running--;
          return i;
        },
        Array.from({ length: 9 }, (_, i) => i),
      ),
    );
    expect([values, most]).toEqual([[0, 1, 2, 3, 4, 5, 6, 7, 8], 2]);
  });

  itFibers("join waits for what was waiting for room, when that gets it as a member ends", async () => {
    const pool = new Pool(1);
    const gate = new Event();
    const log: string[] = [];
    pool.spawn(() => gate.wait());
    const spawner = spawn(() => pool.spawn(() => log.push("second")));
    await turn();
    gate.set();
    await spawn(() => {
      spawner.join();
      pool.join();
    });
    expect(log).toEqual(["second"]);
  });
});

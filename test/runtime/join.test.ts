import { AsyncLocalStorage } from "node:async_hooks";
import { Fiber, FiberExit, fibers, sleep, spawn, Timeout, wait } from "runtime";
import { expect, it } from "vitest";
import { deferred } from "../support/deferred";
import { describeFibers } from "../support/fibers";
import { turn } from "../support/turns";

describeFibers("join", () => {
  it("waits until the other fiber has ended", async () => {
    const log: string[] = [];
    const other = spawn(() => {
      sleep(5);
      log.push("ended");
    });
    await spawn(() => {
      expect(other.join()).toBe(true);
      log.push("joined");
    });
    expect(log).toEqual(["ended", "joined"]);
  });

  it("does not throw what the other one failed with", async () => {
    const other = spawn(() => {
      throw new Error("not mine");
    });
    expect(await spawn(() => other.join())).toBe(true);
  });

  it("returns false, and leaves the other one alone, when the time is over first", async () => {
    const gate = deferred();
    const other = spawn(() => wait(gate.promise));
    expect(await spawn(() => other.join(5))).toBe(false);
    expect(other.dead).toBe(false);
    gate.resolve();
    await other;
  });

  it("of a dead fiber returns at once, even on the hub's stack", async () => {
    const other = spawn(() => {});
    await other;
    expect(other.join()).toBe(true);
  });

  it("of a living fiber on the hub's stack throws ERR_NOT_IN_FIBER", async () => {
    const other = spawn(() => {});
    expect(() => other.join()).toThrow(expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }));
    await other;
  });

  it("of the running fiber itself is refused, since it would never end", async () => {
    const fiber: Fiber<unknown> = spawn(() => fiber.join());
    await expect(fiber).rejects.toThrow(TypeError);
  });

  it("can be called by many fibers on one, which are resumed in order", async () => {
    const gate = deferred();
    const other = spawn(() => wait(gate.promise));
    const order: number[] = [];
    const joiners = [0, 1, 2, 3].map((i) =>
      spawn(() => {
        other.join();
        order.push(i);
      }),
    );
    await turn();
    gate.resolve();
    await Promise.all(joiners);
    expect(order).toEqual([0, 1, 2, 3]);
  });

  it("of a fiber that is started only later waits for its start, too", async () => {
    const other = new Fiber(() => "late");
    const joiner = spawn(() => other.join());
    await turn();
    other.start();
    expect(await joiner).toBe(true);
  });

  it("does not let the other one overtake those that were ready before it", async () => {
    const order: string[] = [];
    await spawn(() => {
      spawn(() => order.push("first"));
      const second = spawn(() => order.push("second"));
      spawn(() => order.push("third"));
      second.join();
      order.push("joined");
    });
    expect(order.slice(0, 2)).toEqual(["first", "second"]);
    expect(order.slice(2).sort()).toEqual(["joined", "third"]);
  });

  it("of a fiber that suspends lets others run meanwhile", async () => {
    const order: string[] = [];
    await spawn(() => {
      const other = spawn(() => {
        order.push("begun");
        sleep(2);
        order.push("ended");
      });
      spawn(() => order.push("meanwhile"));
      other.join();
      order.push("joined");
    });
    expect(order).toEqual(["begun", "meanwhile", "ended", "joined"]);
  });

  it("throws what the other one has thrown into the fiber that waits for it", async () => {
    const own = new Error("own");
    const seen = await spawn(() => {
      const waiting = Fiber.current as Fiber;
      const other = spawn(() => waiting.throw(own));
      try {
        other.join();
      } catch (error) {
        sleep(0);
        return [error === own, other.dead];
      }
    });
    expect(seen).toEqual([true, true]);
  });

  it("of one fiber in another goes to any depth, each with its own async context", async () => {
    const storage = new AsyncLocalStorage<number>();
    const depth = (n: number): number => {
      const below = n === 0 ? 0 : storage.run(n, () => spawn(depth, n - 1)).get();
      return storage.getStore() === n + 1 && below === n ? n + 1 : Number.NaN;
    };
    expect(await storage.run(1001, () => spawn(depth, 1000))).toBe(1001);
  });

  it("shows in a list of the fibers that the other one makes", async () => {
    const states = await spawn(() => {
      const other = spawn(() => fibers().map(({ name, state, where }) => [name, state, where.split(" ")[0]]));
      (Fiber.current as Fiber).name = "waiting";
      other.name = "other";
      return other.get();
    });
    expect(
      states.filter(([name]) => name === "waiting" || name === "other").map(([name, state]) => `${name} ${state}`),
    ).toEqual(["waiting suspended", "other running"]);
    expect(states.every(([, , where]) => where !== "")).toBe(true);
  });

  it("within 0 ms looks, and gives the other one a turn at most", async () => {
    const gate = deferred();
    const other = spawn(() => wait(gate.promise));
    expect(await spawn(() => other.join(0))).toBe(false);
    gate.resolve();
    await other;
  });
});

describeFibers("get", () => {
  it("returns the other fiber's value", async () => {
    const other = spawn(() => {
      sleep(1);
      return "value";
    });
    expect(await spawn(() => other.get())).toBe("value");
  });

  it("throws the very error that the other fiber failed with", async () => {
    const error = new Error("of the other");
    const other = spawn(() => {
      throw error;
    });
    const caught = await spawn(() => {
      try {
        return other.get();
      } catch (thrown) {
        return thrown;
      }
    });
    expect(caught).toBe(error);
  });

  it("throws it each time", async () => {
    const other = spawn(() => {
      throw new Error("again");
    });
    await spawn(() => other.join());
    expect(() => other.get()).toThrow("again");
    expect(() => other.get()).toThrow("again");
  });

  it("throws a Timeout when the time is over first", async () => {
    const gate = deferred();
    const other = spawn(() => wait(gate.promise));
    await expect(spawn(() => other.get(5))).rejects.toThrow(Timeout);
    gate.resolve();
    await other;
  });

  it("returns the FiberExit of a fiber that was killed", async () => {
    const other = spawn(() => sleep(Number.POSITIVE_INFINITY));
    const value = await spawn(() => {
      other.kill();
      return other.get();
    });
    expect(value).toBeInstanceOf(FiberExit);
  });

  it("passes a failure on through a chain of fibers", async () => {
    const error = new Error("deep");
    let fiber: Fiber<unknown> = spawn(() => {
      throw error;
    });
    for (let i = 0; i < 10; i++) {
      const before = fiber;
      fiber = spawn(() => before.get());
    }
    await expect(fiber).rejects.toBe(error);
  });
});

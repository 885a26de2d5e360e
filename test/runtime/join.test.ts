import { Fiber, FiberExit, sleep, spawn, Timeout, wait } from "runtime";
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

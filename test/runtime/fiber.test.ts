import { inspect } from "node:util";
import { Fiber, sleep, spawn, wait } from "runtime";
import { describe, expect, it } from "vitest";
import { deferred } from "../support/deferred";
import { describeFibers, itFibers } from "../support/fibers";
import { turn } from "../support/turns";

function states(fiber: Fiber) {
  const { started, dead, ready, successful, value, exception } = fiber;
  return { started, dead, ready, successful, value, exception };
}

const living = { dead: false, ready: false, successful: false, value: undefined, exception: undefined };

describeFibers("a fiber", () => {
  it("that is spawned starts at the hub's next turn, not at once", async () => {
    let ran = false;
    const fiber = spawn(() => {
      ran = true;
    });
    expect(ran).toBe(false);
    await fiber;
    expect(ran).toBe(true);
  });

  it("gets the arguments that it was spawned with", async () => {
    expect(await spawn((a: number, b: string) => [a, b], 1, "two")).toEqual([1, "two"]);
  });

  it("is named after its function, unless it is given a name", () => {
    const options = { name: "other" };
    expect([new Fiber(function work() {}).name, new Fiber(() => {}, options).name]).toEqual(["work", "other"]);
  });

  it("is shown by what it is, not by what it is made of", async () => {
    const fiber = spawn(function work() {
      return 5;
    });
    const { id } = fiber;
    expect(inspect(fiber)).toBe(`Fiber { id: ${id}, name: 'work', state: 'ready' }`);
    await fiber;
    expect(inspect({ fiber })).toBe(`{ fiber: Fiber { id: ${id}, name: 'work', state: 'dead', value: 5 } }`);
  });

  it("has an id that no other one has", () => {
    const ids = Array.from({ length: 100 }, () => new Fiber(() => {}).id);
    expect(new Set(ids).size).toBe(100);
  });

  it("can be renamed", () => {
    const fiber = new Fiber(() => {});
    fiber.name = "renamed";
    expect(() => Reflect.set(fiber, "name", 3)).toThrow('The "name" argument must be of type string');
    expect(fiber.name).toBe("renamed");
  });

  it("that is only created has not started, and does not run", async () => {
    let ran = false;
    const fiber = new Fiber(() => {
      ran = true;
    });
    await turn();
    expect(ran).toBe(false);
    expect(states(fiber)).toEqual({ started: false, ...living });
  });

  it("runs once, however often it is started", async () => {
    let runs = 0;
    const fiber = new Fiber(() => runs++);
    expect(fiber.start().start()).toBe(fiber);
    await fiber;
    fiber.start();
    await turn();
    expect(runs).toBe(1);
  });

  it("counts as started, and as living, from its spawn on", async () => {
    const fiber: Fiber<unknown> = spawn(() => states(fiber));
    expect(states(fiber)).toEqual({ started: true, ...living });
    expect(await fiber).toEqual({ started: true, ...living });
  });

  it("counts as living while it is suspended", async () => {
    const gate = deferred();
    const fiber = spawn(() => wait(gate.promise));
    await turn();
    expect(states(fiber)).toEqual({ started: true, ...living });
    gate.resolve();
    await fiber;
  });

  it("that has returned is dead, ready, successful, and has a value", async () => {
    const fiber = spawn(() => 42);
    await fiber;
    expect(states(fiber)).toEqual({
      started: true,
      dead: true,
      ready: true,
      successful: true,
      value: 42,
      exception: undefined,
    });
  });

  it("that has thrown is dead, not successful, and has an exception", async () => {
    const error = new Error("thrown");
    const fiber = spawn(() => {
      throw error;
    });
    await expect(fiber).rejects.toBe(error);
    expect(states(fiber)).toEqual({
      started: true,
      dead: true,
      ready: true,
      successful: false,
      value: undefined,
      exception: error,
    });
  });

  it("may throw what is not an error", async () => {
    const fiber = spawn(() => {
      throw undefined;
    });
    await expect(fiber).rejects.toBe(undefined);
    expect([fiber.successful, fiber.exception]).toEqual([false, undefined]);
  });
});

describe("Fiber.current", () => {
  it("is null on the hub's stack", () => {
    expect(Fiber.current).toBe(null);
  });

  itFibers("is the fiber that runs, before and after it was suspended", async () => {
    const fiber = spawn(() => {
      const before = Fiber.current;
      sleep(1);
      return [before, Fiber.current];
    });
    const [before, after] = await fiber;
    expect(before).toBe(fiber);
    expect(after).toBe(fiber);
  });

  itFibers("is null in what the hub runs while fibers are suspended", async () => {
    const fiber = spawn(() => sleep(20));
    await turn();
    expect(Fiber.current).toBe(null);
    await fiber;
  });

  itFibers("is each fiber's own when many take turns", async () => {
    const fibers = Array.from({ length: 20 }, () =>
      spawn(() => {
        const seen: unknown[] = [];
        for (let i = 0; i < 5; i++) {
          seen.push(Fiber.current);
          sleep(0);
        }
        return seen;
      }),
    );
    for (const fiber of fibers) expect(new Set(await fiber)).toEqual(new Set([fiber]));
  });

  itFibers("is null in the continuation of an async function that a fiber called", async () => {
    const seen = await spawn(() => {
      const later = (async () => {
        await null;
        return Fiber.current;
      })();
      return wait(later);
    });
    expect(seen).toBe(null);
  });
});

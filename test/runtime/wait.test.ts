import { AsyncResult, type Fiber, FiberExit, sleep, spawn, Timeout, wait, withTimeout } from "runtime";
import { describe, expect, it } from "vitest";
import { deferred } from "../support/deferred";
import { describeFibers, itFibers } from "../support/fibers";
import { printing, run } from "../support/run";
import { thenable } from "../support/thenable";
import { turn } from "../support/turns";

/** Whether `call`, in a fiber, gave another fiber that was ready a turn before it returned. */
async function switches(call: () => unknown): Promise<boolean> {
  return spawn(() => {
    let turned = false;
    spawn(() => {
      turned = true;
    });
    try {
      call();
    } catch {}
    return turned;
  });
}

describe("wait", () => {
  itFibers("returns what a promise is fulfilled with", async () => {
    const gate = deferred<string>();
    const fiber = spawn(() => wait(gate.promise));
    gate.resolve("value");
    expect(await fiber).toBe("value");
  });

  itFibers("throws what a promise is rejected with, the very error", async () => {
    const error = new Error("rejected");
    const gate = deferred();
    const fiber = spawn(() => {
      try {
        wait(gate.promise);
      } catch (caught) {
        return caught;
      }
    });
    await turn();
    gate.reject(error);
    expect(await fiber).toBe(error);
  });

  itFibers(
    "waits on for the promise that a fiber, or a result, has brought: as its type says, and as await does",
    async () => {
      const result = new AsyncResult<Promise<string>>();
      result.set(Promise.resolve("of a result"));
      expect(await spawn(() => [wait(spawn(async () => "of a fiber")), wait(result)])).toEqual([
        "of a fiber",
        "of a result",
      ]);
      const fail = async () => {
        throw new Error("of an async function");
      };
      await expect(spawn(() => wait(spawn(fail)))).rejects.toThrow("of an async function");
    },
  );

  itFibers("waits for a fiber and the promise that it brings no longer than the limit, all told", async () => {
    const endless = spawn(async () => deferred().promise);
    await expect(spawn(() => withTimeout(10_000, () => wait(endless, 5)))).rejects.toMatchObject({
      ms: expect.toSatisfy((ms: number) => ms <= 5),
    });
  });

  itFibers("takes any object with a then", async () => {
    const later = thenable<string>((resolve) => setImmediate(resolve, "of a thenable"));
    expect(await spawn(() => wait(later))).toBe("of a thenable");
  });

  itFibers("takes a thenable that calls back at once, without a switch", async () => {
    const settled = thenable<string>((resolve) => resolve("at once"));
    expect(await spawn(() => wait(settled))).toBe("at once");
    expect(await switches(() => wait(settled))).toBe(false);
  });

  itFibers("takes the first answer of a thenable that gives several", async () => {
    const fickle = thenable<string>((resolve, reject) =>
      setImmediate(() => {
        resolve("first");
        reject(new Error("second"));
        resolve("third");
      }),
    );
    expect(await spawn(() => wait(fickle))).toBe("first");
  });

  itFibers("throws what the then of a thenable throws", async () => {
    const broken = thenable(() => {
      throw new Error("from then");
    });
    await expect(spawn(() => wait(broken))).rejects.toThrow("from then");
  });

  itFibers("leaves no timer behind when the then of a thenable throws", async () => {
    const program = `
      const { spawn, wait } = require("runtime");
      spawn(() => { try { wait({ then() { throw new Error(); } }, 1e8); } catch {} });`;
    expect(await run(program, { timeout: 20_000 })).toEqual(printing());
  });

  itFibers("heeds a then of one's own on a promise", async () => {
    const promise = Promise.resolve("original");
    promise.then = ((resolve: (value: string) => void) => resolve("own")) as never;
    expect(await spawn(() => wait(promise))).toBe("own");
  });

  itFibers("returns anything else as it is, on the hub's stack, too", async () => {
    const object = {};
    expect(wait(object)).toBe(object);
    expect(await spawn(() => wait(5))).toBe(5);
  });

  itFibers("does not switch for a promise that is fulfilled already", async () => {
    expect(await spawn(() => wait(Promise.resolve("there")))).toBe("there");
    expect(await switches(() => wait(Promise.resolve()))).toBe(false);
  });

  itFibers("does not switch for a promise that is rejected already", async () => {
    expect(await switches(() => wait(Promise.reject(new Error("there"))))).toBe(false);
  });

  itFibers("does switch for a promise that is pending", async () => {
    expect(await switches(() => wait(new Promise((resolve) => setImmediate(resolve))))).toBe(true);
  });

  itFibers("returns the value of a fiber", async () => {
    const other = spawn(() => {
      sleep(1);
      return "of a fiber";
    });
    expect(await spawn(() => wait(other))).toBe("of a fiber");
  });

  itFibers("on the hub's stack throws ERR_NOT_IN_FIBER, and tells the ways out", async () => {
    expect(() => wait(Promise.resolve())).toThrow(
      expect.objectContaining({
        code: "ERR_NOT_IN_FIBER",
        message: expect.stringMatching(/spawn.*runtime run.*await/),
      }),
    );
  });

  itFibers("in an async function that a fiber called works up to the first await, and not after it", async () => {
    const codes = await spawn(() =>
      wait(
        (async () => {
          const before = wait(new Promise((resolve) => setImmediate(resolve, "before")));
          await null;
          try {
            return [before, wait(new Promise(() => {}))];
          } catch (error) {
            return [before, (error as NodeJS.ErrnoException).code];
          }
        })(),
      ),
    );
    expect(codes).toEqual(["before", "ERR_NOT_IN_FIBER"]);
  });

  itFibers("throws a Timeout after so many milliseconds", async () => {
    const error = await spawn(() => {
      try {
        wait(new Promise(() => {}), 5);
      } catch (caught) {
        return caught;
      }
    });
    expect(error).toBeInstanceOf(Timeout);
    expect(error).toMatchObject({ code: "ERR_TIMEOUT", ms: 5 });
  });

  itFibers("leaves no timer behind when the promise was first", async () => {
    const program = `
      const { spawn, wait } = require("runtime");
      spawn(() => wait(new Promise((resolve) => setImmediate(resolve)), 1e8));`;
    expect(await run(program, { timeout: 20_000 })).toEqual(printing());
  });

  itFibers("resumes fibers that wait for one promise in the order in which they came", async () => {
    const gate = deferred();
    const order: number[] = [];
    const fibers = [0, 1, 2, 3].map((i) =>
      spawn(() => {
        wait(gate.promise);
        order.push(i);
      }),
    );
    await turn();
    gate.resolve();
    await Promise.all(fibers);
    expect(order).toEqual([0, 1, 2, 3]);
  });

  itFibers.each([
    ["settled before", "wait(Promise.reject(new Error()))"],
    ["settled later", "wait(new Promise((_, reject) => setImmediate(reject, new Error())))"],
    ["settled later, and too late", "wait(new Promise((_, reject) => setTimeout(reject, 20, new Error())), 1)"],
    ["of an async function", "wait((async () => { await null; throw new Error(); })())"],
  ])("on a rejected promise, %s, leaves nothing unhandled once it is caught", async (_, expression) => {
    const program = `
      const { spawn, wait } = require("runtime");
      process.on("unhandledRejection", () => console.log("unhandled"));
      spawn(() => { try { ${expression}; } catch { console.log("caught"); } });`;
    expect(await run(program)).toEqual(printing("caught"));
  });

  itFibers("ignores what a promise brings after the fiber was killed", async () => {
    const gate = deferred();
    const fiber = spawn(() => wait(gate.promise));
    await turn();
    fiber.kill();
    gate.reject(new Error("late"));
    expect(await fiber).toBeInstanceOf(FiberExit);
  });

  itFibers("inside a promise's executor suspends the fiber that makes the promise", async () => {
    const value = await spawn(() => wait(new Promise((resolve) => resolve(wait(Promise.resolve("inner"))))));
    expect(value).toBe("inner");
  });

  itFibers("works for a dynamic import", async () => {
    expect(await spawn(() => wait(import("node:path")).sep)).toBe(require("node:path").sep);
  });
});

describe("sleep", () => {
  itFibers("lasts at least as long as it was told to", async () => {
    const before = performance.now();
    await spawn(() => sleep(30));
    expect(performance.now() - before).toBeGreaterThanOrEqual(29);
  });

  itFibers("is for many fibers at once", async () => {
    let [asleep, most] = [0, 0];
    const body = () => {
      most = Math.max(most, ++asleep);
      sleep(100);
      asleep--;
    };
    await Promise.all(Array.from({ length: 200 }, () => spawn(body)));
    expect(most).toBeGreaterThan(100);
  });

  itFibers("resumes in the order of the times, not of the calls", async () => {
    const order: number[] = [];
    await Promise.all(
      [40, 1, 20].map((ms) =>
        spawn(() => {
          sleep(ms);
          order.push(ms);
        }),
      ),
    );
    expect(order).toEqual([1, 20, 40]);
  });

  itFibers("of 0 lets all others that are ready run first", async () => {
    const log: string[] = [];
    const first = spawn(() => {
      log.push("first");
      sleep(0);
      log.push("first again");
    });
    const second = spawn(() => log.push("second"));
    await Promise.all([first, second]);
    expect(log).toEqual(["first", "second", "first again"]);
  });

  it("on the hub's stack throws ERR_NOT_IN_FIBER", () => {
    expect(() => sleep(1)).toThrow(expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }));
  });

  itFibers("may last longer than Node's longest timer", async () => {
    const fiber = spawn(() => sleep(2 ** 31 + 1000));
    await turn();
    expect(fiber.dead).toBe(false);
    fiber.kill();
    await fiber;
  });

  itFibers("without end does not keep the process", async () => {
    expect(await run(`const { spawn, sleep } = require("runtime"); spawn(() => sleep(Infinity));`)).toEqual(printing());
  });
});

describeFibers("spawnLater", () => {
  it("starts its fiber after so many milliseconds, with its arguments", async () => {
    const { spawnLater } = await import("runtime");
    const before = performance.now();
    expect(await spawnLater(20, (a: number, b: number) => a + b, 1, 2)).toBe(3);
    expect(performance.now() - before).toBeGreaterThanOrEqual(19);
  });

  it("hands out a fiber that has not started", async () => {
    const { spawnLater } = await import("runtime");
    const fiber = spawnLater(1, () => {});
    expect(fiber.started).toBe(false);
    await fiber;
    expect(fiber.started).toBe(true);
  });

  it("killed before its time never runs, and leaves no timer behind", async () => {
    const program = `
      const { spawnLater } = require("runtime");
      const fiber = spawnLater(1e8, () => console.log("ran"));
      fiber.kill();
      fiber.then(() => console.log(fiber.value.name));`;
    expect(await run(program, { timeout: 20_000 })).toEqual(printing("FiberExit"));
  });

  it("started by hand before its time runs once", async () => {
    const { spawnLater } = await import("runtime");
    let runs = 0;
    const fiber: Fiber<number> = spawnLater(5, () => ++runs);
    fiber.start();
    await fiber;
    await spawn(() => sleep(15));
    expect(runs).toBe(1);
  });
});

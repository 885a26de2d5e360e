import { AsyncLocalStorage } from "node:async_hooks";
import { types } from "node:util";
import { asAsync, Fiber, FiberExit, sleep, spawn, wait } from "runtime";
import { describe, expect, it } from "vitest";
import { deferred } from "../support/deferred";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

describe("asAsync, with fibers or without", () => {
  it("gives a function with the same name and length", () => {
    const { name, length } = asAsync(function handler(_a: unknown, _b: unknown) {});
    expect([name, length]).toEqual(["handler", 2]);
  });

  it("passes this and the arguments on", async () => {
    const self = {
      method: asAsync(function (this: unknown, ...args: number[]) {
        return [this, args];
      }),
    };
    expect(await self.method(1, 2)).toEqual([self, [1, 2]]);
  });

  it("returns a native promise of the value", async () => {
    const promise = asAsync(() => 5)();
    expect(types.isPromise(promise)).toBe(true);
    expect(await promise).toBe(5);
  });

  it("never throws: the promise is rejected with the very error", async () => {
    const error = new Error("own");
    const promise = asAsync(() => {
      throw error;
    })();
    expect(await promise.catch((caught: unknown) => caught)).toBe(error);
  });

  it("adopts the outcome of a promise that the function returns", async () => {
    expect(await asAsync(async () => "adopted")()).toBe("adopted");
  });

  it("calls the function before it returns", () => {
    let called = false;
    asAsync(() => {
      called = true;
    })();
    expect(called).toBe(true);
  });

  it("keeps the caller's async context", async () => {
    const storage = new AsyncLocalStorage<string>();
    expect(
      await storage.run(
        "the caller's",
        asAsync(() => storage.getStore()),
      ),
    ).toBe("the caller's");
  });

  it("takes functions only", () => {
    expect(() => asAsync(5 as never)).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE", message: expect.stringContaining('"fn"') }),
    );
  });
});

describeFibers("asAsync", () => {
  it("calls the function in a fiber of its own", async () => {
    const fiber = asAsync(() => [Fiber.current]);
    const [[first], [second]] = await Promise.all([fiber(), fiber()]);
    expect(first).toBeInstanceOf(Fiber);
    expect(second).not.toBe(first);
  });

  it("names the fiber after the function", async () => {
    expect(
      await asAsync(function handler() {
        return Fiber.current?.name;
      })(),
    ).toBe("handler");
  });

  it("lets the function block, and others run meanwhile", async () => {
    const gate = deferred<string>();
    const promise = asAsync(() => wait(gate.promise))();
    gate.resolve("in the end");
    expect(await promise).toBe("in the end");
  });

  it("is rejected with what the function throws after it blocked", async () => {
    const late = asAsync(() => {
      sleep(1);
      throw new Error("late");
    });
    await expect(late()).rejects.toThrow("late");
  });

  it("called in a fiber starts at the hub's next turn", async () => {
    const log: string[] = [];
    await spawn(() => {
      const promise = asAsync(() => log.push("function"))();
      log.push("returned");
      wait(promise);
    });
    expect(log).toEqual(["returned", "function"]);
  });

  it("is rejected with the FiberExit of a fiber that was killed", async () => {
    const started = deferred<(Fiber | null)[]>();
    const promise = asAsync(() => {
      started.resolve([Fiber.current]);
      sleep(Number.POSITIVE_INFINITY);
    })();
    const [fiber] = await started.promise;
    fiber?.kill();
    await expect(promise).rejects.toBeInstanceOf(FiberExit);
  });

  it("keeps the caller's async context when the function has blocked", async () => {
    const storage = new AsyncLocalStorage<string>();
    const blocked = asAsync(() => {
      sleep(1);
      return storage.getStore();
    });
    expect(await storage.run("the caller's", blocked)).toBe("the caller's");
  });

  it("leaves a failure that nobody looks at to Node, once", async () => {
    const program = `
      const { asAsync, sleep } = require("runtime");
      process.on("unhandledRejection", (error, promise) => console.log(error.message, promise === returned));
      const returned = asAsync(() => { sleep(1); throw new Error("nobody's"); })();`;
    expect(await run(program)).toEqual(printing("nobody's true"));
  });

  it("leaves nothing unhandled where the promise is looked at", async () => {
    const program = `
      const { asAsync, sleep } = require("runtime");
      asAsync(() => { sleep(1); throw new Error("seen"); })().catch((error) => console.log(error.message));`;
    expect(await run(program)).toEqual(printing("seen"));
  });
});

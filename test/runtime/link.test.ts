import { Fiber, FiberExit, sleep, spawn, wait } from "runtime";
import { expect, it } from "vitest";
import { deferred } from "../support/deferred";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";
import { turn } from "../support/turns";

describeFibers("link", () => {
  it("calls back with the fiber, once it has ended", async () => {
    const ended = deferred<Fiber<string>>();
    const fiber = spawn(() => "value");
    fiber.link(ended.resolve as (fiber: Fiber<string>) => void);
    const linked = (await new Promise((resolve) => fiber.link((it) => resolve([it])))) as [Fiber];
    expect(linked[0]).toBe(fiber);
  });

  it("calls back on the hub's stack", async () => {
    const fiber = spawn(() => {});
    const current = await new Promise((resolve) => fiber.link(() => resolve(Fiber.current)));
    expect(current).toBe(null);
  });

  it("calls back in the order of the links", async () => {
    const fiber = spawn(() => {});
    const order: number[] = [];
    for (const i of [1, 2, 3]) fiber.link(() => order.push(i));
    await new Promise<void>((resolve) => fiber.link(() => resolve()));
    expect(order).toEqual([1, 2, 3]);
  });

  it("calls back when the fiber failed, and when it was killed", async () => {
    const failed = spawn(() => {
      throw new Error("failed");
    });
    const killed = spawn(() => sleep(1e6));
    killed.kill();
    const outcomes = await Promise.all(
      [failed, killed].map((fiber) => new Promise((resolve) => fiber.link((it) => resolve(it.successful)))),
    );
    expect(outcomes).toEqual([false, true]);
  });

  it("to a dead fiber calls back soon, never at once", async () => {
    const fiber = spawn(() => {});
    await fiber;
    let called = false;
    const calledBack = new Promise<void>((resolve) =>
      fiber.link(() => {
        called = true;
        resolve();
      }),
    );
    expect(called).toBe(false);
    await calledBack;
  });

  it("that throws goes uncaught, and neither the other links nor other fibers notice", async () => {
    const program = `
      const { spawn } = require("runtime");
      process.on("uncaughtException", (error) => console.log("uncaught:", error.message));
      const fiber = spawn(() => {});
      fiber.link(() => { throw new Error("of a link"); });
      fiber.link(() => console.log("the next link"));
      spawn(() => console.log("another fiber"));`;
    const { code, stdout, stderr } = await run(program);
    expect({ code, stderr, lines: stdout.trim().split("\n").sort() }).toEqual({
      code: 0,
      stderr: "",
      lines: ["another fiber", "the next link", "uncaught: of a link"],
    });
  });
});

describeFibers("unlink", () => {
  it("takes the link back", async () => {
    const fiber = spawn(() => {});
    let called = false;
    const callback = () => {
      called = true;
    };
    fiber.link(callback);
    fiber.unlink(callback);
    await fiber;
    await turn();
    expect(called).toBe(false);
  });

  it("takes one of several back, and leaves the others", async () => {
    const fiber = spawn(() => {});
    const called: string[] = [];
    const callbacks = ["a", "b", "c"].map((name) => () => void called.push(name));
    for (const callback of callbacks) fiber.link(callback);
    fiber.unlink(callbacks[1] as () => void);
    await fiber;
    expect(called).toEqual(["a", "c"]);
  });

  it("of what was never linked does nothing", async () => {
    const fiber = spawn(() => "value");
    fiber.unlink(() => {});
    expect(await fiber).toBe("value");
  });
});

describeFibers("then", () => {
  it("makes a fiber something to await, before and after its end", async () => {
    const fiber = spawn(() => {
      sleep(1);
      return "value";
    });
    expect(await fiber).toBe("value");
    expect(await fiber).toBe("value");
  });

  it("rejects with what the fiber failed with", async () => {
    const error = new Error("failed");
    const fiber = spawn(() => {
      throw error;
    });
    await expect(Promise.resolve(fiber)).rejects.toBe(error);
  });

  it("fulfils with the FiberExit of a fiber that was killed", async () => {
    const fiber = spawn(() => sleep(1e6));
    fiber.kill();
    expect(await fiber).toBeInstanceOf(FiberExit);
  });

  it("returns a promise of what its callbacks return", async () => {
    const promise = spawn(() => 20).then((value) => value + 1);
    expect(promise).toBeInstanceOf(Promise);
    expect(await promise).toBe(21);
  });

  it("lets a fiber take part in Promise.all with promises", async () => {
    expect(await Promise.all([spawn(() => 1), Promise.resolve(2), spawn(() => wait(Promise.resolve(3)))])).toEqual([
      1, 2, 3,
    ]);
  });
});

describeFibers("a failure that nobody looks at", () => {
  it("ends the process as an unhandled rejection does", async () => {
    const { code, stderr } = await run(`require("runtime").spawn(() => { throw new Error("nobody looks"); });`);
    expect(code).toBe(1);
    expect(stderr).toContain("Error: nobody looks");
  });

  it("reaches the handler of unhandled rejections, with the very error", async () => {
    const program = `
      const { spawn } = require("runtime");
      const error = new Error("nobody looks");
      process.on("unhandledRejection", (reason) => console.log(reason === error));
      spawn(() => { throw error; });`;
    expect(await run(program)).toEqual(printing("true"));
  });

  it("is reported also of a fiber that was spawned for later", async () => {
    const program = `
      const { spawnLater } = require("runtime");
      process.on("unhandledRejection", (reason) => console.log(reason.message));
      spawnLater(1, () => { throw new Error("later"); });`;
    expect(await run(program)).toEqual(printing("later"));
  });

  it("is reported also of a fiber that was killed with an error", async () => {
    const program = `
      const { spawn } = require("runtime");
      process.on("unhandledRejection", (reason) => console.log(reason.message));
      spawn(() => {}).kill(new Error("killed with"));`;
    expect(await run(program)).toEqual(printing("killed with"));
  });

  it.each([
    ["join", "spawn(() => fiber.join())"],
    ["get", "spawn(() => { try { fiber.get(); } catch {} })"],
    ["link", "fiber.link(() => {})"],
    ["then", "fiber.then(null, () => {})"],
    ["wait", "spawn(() => { try { wait(fiber); } catch {} })"],
  ])("is none once somebody does, by %s", async (_, look) => {
    const program = `
      const { spawn, wait } = require("runtime");
      process.on("unhandledRejection", (reason) => console.log("unhandled", reason));
      const fiber = spawn(() => { throw new Error("looked at"); });
      ${look};`;
    expect(await run(program)).toEqual(printing());
  });

  it("is none either when somebody looks just after the failure", async () => {
    const program = `
      const { spawn } = require("runtime");
      process.on("unhandledRejection", (reason) => console.log("unhandled", reason));
      const fiber = spawn(() => { throw new Error("looked at"); });
      spawn(() => console.log(fiber.dead, fiber.join()));`;
    expect(await run(program)).toEqual(printing("true true"));
  });

  it("is none if the fiber was killed", async () => {
    const program = `
      const { spawn, sleep } = require("runtime");
      process.on("unhandledRejection", (reason) => console.log("unhandled", reason));
      const fiber = spawn(() => sleep(1e6));
      setImmediate(() => fiber.kill());`;
    expect(await run(program)).toEqual(printing());
  });
});

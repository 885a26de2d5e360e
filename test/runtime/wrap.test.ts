import { Fiber, sleep, spawn, wait, wrap } from "runtime";
import { describe, expect, it } from "vitest";
import { itFibers } from "../support/fibers";
import { printing, run } from "../support/run";
import { turn } from "../support/turns";

describe("wrap", () => {
  itFibers("calls the handler in a fiber, with its arguments and this", () => {
    const seen: unknown[] = [];
    const self = {
      handler: wrap(function handler(this: unknown, ...args: number[]) {
        seen.push(this, args, Fiber.current !== null);
      }),
    };
    self.handler(1, 2);
    expect(seen).toEqual([self, [1, 2], true]);
  });

  it("keeps the handler's name and length", () => {
    const { name, length } = wrap(function handler(_a: unknown, _b: unknown) {});
    expect([name, length]).toEqual(["handler", 2]);
  });

  it("starts at once, and returns what a handler returns that does not suspend", () => {
    expect(wrap((a: number, b: number) => a + b)(1, 2)).toBe(3);
  });

  it("throws what a handler throws that does not suspend", () => {
    const error = new Error("at once");
    const wrapped = wrap(() => {
      throw error;
    });
    expect(wrapped).toThrow(error);
  });

  itFibers("returns undefined when the handler suspends, which then goes on by itself", async () => {
    let ended = () => {};
    const end = new Promise<void>((resolve) => {
      ended = resolve;
    });
    const returned = wrap(() => {
      sleep(1);
      ended();
      return "late";
    })();
    expect(returned).toBe(undefined);
    await end;
  });

  itFibers("called in a fiber starts a fiber of its own, at the next turn", async () => {
    const log: string[] = [];
    const fibers = await spawn(() => {
      const seen: unknown[] = [Fiber.current];
      const returned = wrap(() => {
        log.push("handler");
        seen.push(Fiber.current);
      })();
      log.push(`returned ${returned}`);
      sleep(1);
      return seen;
    });
    expect(log).toEqual(["returned undefined", "handler"]);
    expect(new Set(fibers).size).toBe(2);
  });

  itFibers("lets calls overlap", async () => {
    const gates: (() => void)[] = [];
    const ended: number[] = [];
    const handler = wrap((i: number) => {
      wait(new Promise<void>((resolve) => gates.push(resolve)));
      ended.push(i);
    });
    for (const i of [0, 1, 2]) handler(i);
    for (const i of [2, 0, 1]) {
      gates[i]?.();
      await turn();
    }
    expect(ended).toEqual([2, 0, 1]);
  });

  itFibers("makes an error after a suspension an uncaught one, as a listener's", async () => {
    const program = `
      const { sleep, wrap } = require("runtime");
      process.on("uncaughtException", (error, origin) => console.log(error.message, origin));
      wrap(() => { sleep(1); throw new Error("late"); })();`;
    expect(await run(program)).toEqual(printing("late uncaughtException"));
  });

  itFibers("makes an error after a suspension end the process, if nobody listens", async () => {
    const program = `
      const { sleep, wrap } = require("runtime");
      wrap(() => { sleep(1); throw new Error("late"); })();`;
    const { code, stderr } = await run(program);
    expect(code).toBe(1);
    expect(stderr).toContain("Error: late");
  });

  itFibers("makes any error an uncaught one when called in a fiber", async () => {
    const program = `
      const { spawn, wrap } = require("runtime");
      process.on("uncaughtException", (error, origin) => console.log(error.message, origin));
      spawn(wrap(() => { throw new Error("at once"); })).then(() => console.log("not the caller's"));`;
    const { stdout } = await run(program);
    expect(stdout.trim().split("\n").sort()).toEqual(["at once uncaughtException", "not the caller's"]);
  });
});

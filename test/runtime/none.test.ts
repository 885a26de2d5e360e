import { describe, expect, it } from "vitest";
import { printing, run } from "../support/run";

const check = (program: string) =>
  run(
    `const { Fiber, info, sleep, spawn, spawnLater, wait, withTimeout, wrap, Timeout } = require("runtime");
    const codeOf = (call) => { try { call(); return "none"; } catch (error) { return error.code; } };
    ${program}`,
    { env: { RUNTIME_SWITCH: "none" } },
  );

describe("under RUNTIME_SWITCH=none", () => {
  it("info() tells so, and why", async () => {
    expect(await check(`console.log(JSON.stringify(info()));`)).toEqual(
      printing(JSON.stringify({ switch: "none", reason: "RUNTIME_SWITCH=none", fibers: 0, stacks: 0, warm: 0 })),
    );
  });

  it("no fiber can be had: ERR_NO_FIBERS, which tells why", async () => {
    const program = `
      console.log(codeOf(() => spawn(() => {})), codeOf(() => spawnLater(1, () => {})), codeOf(() => new Fiber(() => {})));
      try { spawn(() => {}); } catch (error) { console.log(error.message.includes("RUNTIME_SWITCH=none")); }`;
    expect(await check(program)).toEqual(printing("ERR_NO_FIBERS ERR_NO_FIBERS ERR_NO_FIBERS", "true"));
  });

  it("a wrong argument is told first", async () => {
    expect(await check(`console.log(codeOf(() => spawn(1)));`)).toEqual(printing("ERR_INVALID_ARG_TYPE"));
  });

  it("what would suspend a fiber throws ERR_NOT_IN_FIBER", async () => {
    const program = `console.log([() => sleep(1), () => wait(Promise.resolve()), () => withTimeout(1, () => {}), () => Timeout.start(1)].map(codeOf).join());`;
    expect(await check(program)).toEqual(printing(Array(4).fill("ERR_NOT_IN_FIBER").join()));
  });

  it("its message tells that there are no fibers, and why, and not to start one", async () => {
    const program = `
      for (const call of [() => sleep(1), () => wait(Promise.resolve()), () => Timeout.start(1)]) {
        try { call(); } catch ({ message }) { console.log(message.includes("RUNTIME_SWITCH=none"), message.includes("spawn")); }
      }`;
    expect(await check(program)).toEqual(printing("true false", "true false", "true false"));
  });

  it("wait() of what needs no waiting returns it", async () => {
    expect(await check(`console.log(wait(5));`)).toEqual(printing("5"));
  });

  it("no fiber is ever current", async () => {
    expect(await check(`console.log(Fiber.current);`)).toEqual(printing("null"));
  });

  it("wrap() calls the handler itself: its arguments, its value, its error", async () => {
    const program = `
      const self = { handler: wrap(function (...args) { if (args.length === 0) throw new Error("own"); return [this === self, ...args]; }) };
      console.log(self.handler(1, 2).join());
      try { self.handler(); } catch (error) { console.log(error.message); }`;
    expect(await check(program)).toEqual(printing("true,1,2", "own"));
  });

  it("require, vm, JSON, async scopes and process.exit are Node's own", async () => {
    const program = `
      const { AsyncLocalStorage, AsyncResource } = require("node:async_hooks");
      const storage = new AsyncLocalStorage();
      console.log(JSON.stringify({ a: [1] }), require("node:vm").runInThisContext("1 + 1", { timeout: 100 }),
        new AsyncResource("TEST").runInAsyncScope(() => 3), storage.run(4, () => storage.getStore()), [1, [2]].join());
      process.exit(5);`;
    expect(await check(program)).toEqual({ ...printing('{"a":[1]} 2 3 4 1,2'), code: 5 });
  });
});

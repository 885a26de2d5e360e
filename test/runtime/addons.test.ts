import { rmSync } from "node:fs";
import path from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { buildTestAddon } from "../support/addon";
import { describeFibers, hasFibers } from "../support/fibers";
import { printing, run } from "../support/run";

const addon = hasFibers ? buildTestAddon() : null;
afterAll(() => {
  if (addon) rmSync(path.dirname(addon), { recursive: true });
});

// Two fibers cross: the one that entered the native function first leaves it last.
const cross = (load: string, call: string) => `
  ${load}
  const { sleep, spawn } = require("runtime");
  const outcomes = [];
  for (const ms of [20, 5]) {
    spawn(() => {
      ${call}(() => {
        try { sleep(ms); outcomes.push("suspended"); } catch (error) { outcomes.push(error.code); }
      });
    });
  }
  process.on("exit", () => console.log(outcomes.join()));`;

const refused = printing("ERR_CANNOT_SUSPEND,ERR_CANNOT_SUSPEND");
const file = JSON.stringify(addon);

(hasFibers ? describe.runIf(addon !== null) : describeFibers)("a native addon that calls back synchronously", () => {
  it.each([
    ["a function", `require("runtime"); const { call } = require(${file});`, "call"],
    ["a constructor", `require("runtime"); const { Caller } = require(${file});`, "new Caller"],
    ["a method", `require("runtime"); const { Caller } = require(${file});`, "new Caller(() => {}).call"],
    ["an addon that was loaded first", `const addon = require(${file}); require("runtime");`, `require(${file}).call`],
    [
      "process.dlopen",
      `require("runtime"); const holder = { exports: {} }; process.dlopen(holder, ${file});`,
      "holder.exports.call",
    ],
  ])("is not left half-way: %s refuses to suspend, and nothing crashes", async (_, load, call) => {
    expect(await run(cross(load, call))).toEqual(refused);
  });

  it("works as without fibers otherwise", async () => {
    const program = `
      require("runtime");
      const { call, Caller } = require(${file});
      call(() => console.log("called"));
      const caller = new Caller(() => {});
      console.log(caller instanceof Caller, caller.constructor === Caller, Caller.name, call.name);
      try { call(() => { throw new TypeError("passed on"); }); } catch (error) { console.log(error.message); }
      class Own extends Caller {}
      console.log(new Own(() => {}) instanceof Own);`;
    expect(await run(program)).toEqual(printing("called", "true true Caller call", "passed on", "true"));
  });

  it("lets a fiber suspend again after the call", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      const { call } = require(${file});
      spawn(() => { call(() => {}); try { call(() => { throw new Error(); }); } catch {} sleep(1); console.log("suspended"); });`;
    expect(await run(program)).toEqual(printing("suspended"));
  });

  it("may be the caller of a wrapped handler, whose fiber then suspends", async () => {
    const program = `
      const { sleep, wrap } = require("runtime");
      const { call } = require(${file});
      for (const ms of [500, 5]) call(wrap(() => { sleep(ms); console.log("slept", ms); }));`;
    expect(await run(program)).toEqual(printing("slept 5", "slept 500"));
  });
});

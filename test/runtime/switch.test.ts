import { spawnSync } from "node:child_process";
import path from "node:path";
import { info } from "runtime";
import { describe, expect, it } from "vitest";
import { hasFibers, itFibers } from "../support/fibers";
import { printing, run } from "../support/run";

describe("info()", () => {
  const forced = process.env.RUNTIME_SWITCH;
  if (!forced) console.log("a forced switch: skipped, RUNTIME_SWITCH is not set");

  it.runIf(forced)("tells the switch that RUNTIME_SWITCH forces, and that it does", () => {
    expect(info()).toMatchObject({ switch: forced, reason: `RUNTIME_SWITCH=${forced}` });
  });

  it("counts the fibers that have a stack, and the stacks", async () => {
    const program = `
      const { info, spawn, wait } = require("runtime");
      const counts = [];
      const note = () => { const { fibers, stacks } = info(); counts.push([fibers, stacks >= fibers]); };
      if (info().switch === "none") { note(); console.log(JSON.stringify(counts)); }
      else {
        note();
        let begun = 0, open;
        const gate = new Promise((resolve) => { open = resolve; });
        const all = Array.from({ length: 100 }, () => spawn(() => { if (++begun === 100) { note(); open(); } wait(gate); }));
        Promise.all(all).then(() => { note(); console.log(JSON.stringify(counts)); });
      }`;
    const expected = hasFibers ? "[[0,true],[100,true],[0,true]]" : "[[0,true]]";
    expect(await run(program)).toEqual(printing(expected));
  });

  itFibers("tells that stacks of a burst go cold when nobody has used them for a while", async () => {
    const program = `
      const { info, spawn, wait } = require("runtime");
      const burst = () => {
        let begun = 0, open;
        const gate = new Promise((resolve) => { open = resolve; });
        return Promise.all(Array.from({ length: 600 }, () => spawn(() => { if (++begun === 600) open(); wait(gate); })));
      };
      burst().then(burst).then(() => {
        const [before, stacks] = [info().warm, info().stacks];
        const begin = performance.now();
        const look = setInterval(() => {
          if (info().warm > 300 && performance.now() - begin < 20_000) return;
          clearInterval(look);
          burst().then((ended) => console.log(before >= 600, info().stacks === stacks, ended.length, "fibers later"));
        }, 100);
      });`;
    expect(await run(program)).toEqual(printing("true true 600 fibers later"));
  });

  it("tells that there are no fibers where built-in objects are frozen; all else works", async () => {
    const program = `
      require("runtime/patch");
      const { info, spawn } = require("runtime");
      const codeOf = (fn) => { try { fn(); } catch ({ code }) { return code; } };
      const { switch: name, reason } = info();
      require("node:timers").sleepSync(1);
      console.log(name, reason.includes("--frozen-intrinsics"), codeOf(() => spawn(() => {})));`;
    const outcome = await run(program, { flags: ["--no-warnings", "--frozen-intrinsics"] });
    expect(outcome).toEqual(printing("none true ERR_NO_FIBERS"));
  });

  it("tells the best switch of the machine where none is forced", async () => {
    const program = `
      const { info } = require("runtime");
      const { switch: name, reason } = info();
      console.log(["swap", "handoff", "none"].includes(name), name === "swap" ? reason === "" : reason !== "");`;
    expect(await run(program, { env: { RUNTIME_SWITCH: "" } })).toEqual(printing("true true"));
  });
});

// Without random addresses, pointers into libc and stacks begin with 0x7fff: struct pthread is full of a number that is
// this process's id, too, when that is 32767. The swap has to tell the one field from the others.
const lastPid = "/proc/sys/kernel/ns_last_pid";
const asPid = (program: string) =>
  spawnSync("sh", ["-c", `echo 32766 > ${lastPid} && setarch -R "$0" -e "$1"`, process.execPath, program], {
    encoding: "utf8",
    env: { ...process.env, RUNTIME_SWITCH: "" },
  }).stdout.trim();
const choosable = info().switch === "swap" && [1, 2, 3].some(() => asPid("console.log(process.pid)") === "32767");
if (!choosable) console.log("a process id like a pointer: skipped, none can be chosen here, or there is no swap");

it.runIf(choosable)("swap is found to work also where the process id looks like half a pointer", () => {
  const root = path.join(__dirname, "..", "..");
  const program = `console.log(process.pid, require(${JSON.stringify(root)}).info().switch)`;
  const outcomes = Array.from({ length: 20 }, () => asPid(program)); // another process may take the id now and then
  expect(outcomes).toContain("32767 swap");
  expect(outcomes.filter((outcome) => !outcome.endsWith(" swap"))).toEqual([]);
});

describe("two copies of the package in one process", () => {
  it("share one hub, whichever way they are loaded", async () => {
    const program = `
      import { createRequire } from "node:module";
      import { spawn } from "runtime";
      const require = createRequire(import.meta.url);
      const again = await import("runtime?again").catch(() => null);
      console.log(require("runtime").spawn === spawn);`;
    expect(await run(program, { name: "program.mjs" })).toEqual(printing("true"));
  });
});

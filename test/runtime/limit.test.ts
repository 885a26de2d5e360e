import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { info } from "runtime";
import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { type RunOptions, run } from "../support/run";

// Fills the process with suspended fibers until one is refused, then lets all of them end and goes on.
const program = `
  const { execFileSync } = require("node:child_process");
  const { readFileSync } = require("node:fs");
  const { info, sleep, spawn, wait } = require("runtime");
  if (process.argv[2]) {
    execFileSync("true"); // what that takes is taken before it is measured
    const size = Number(/VmSize:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) * 1024;
    execFileSync("prlimit", ["--pid", String(process.pid), "--as=" + (size + Number(process.argv[2]))]);
  }
  let open;
  const gate = new Promise((resolve) => { open = resolve; });
  let ended = 0, wrong = 0;
  function fill() {
    const fibers = [];
    for (;;) {
      try {
        for (let i = 0; i < 50; i++) {
          const number = fibers.length;
          fibers.push(spawn(() => { wait(gate); ended++; return number; }));
        }
      } catch (error) {
        return { fibers, error };
      }
      if (fibers.length > 200_000) return { fibers };
      sleep(0); // they start, and take their stacks
    }
  }
  spawn(() => {
    const { fibers, error } = fill();
    open();
    fibers.forEach((fiber, i) => { if (fiber.get() !== i) wrong++; });
    const again = spawn(() => { sleep(1); return "new fibers run"; }).get();
    console.log(JSON.stringify({
      code: error?.code, message: error?.message, accepted: fibers.length, ended, wrong, again, left: info().fibers,
    }));
  });`;

function hasPrlimit(): boolean {
  try {
    execFileSync("prlimit", ["--version"], { stdio: "ignore" });
    return true;
  } catch {
    console.log("limit of address space: skipped, there is no prlimit here");
    return false;
  }
}

interface Report {
  code: string;
  message: string;
  accepted: number;
  ended: number;
  wrong: number;
  again: string;
  left: number;
}

async function fill(options: RunOptions): Promise<Report> {
  const { code, signal, stdout, stderr } = await run(program, { timeout: 240_000, ...options });
  expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: "" });
  return JSON.parse(stdout);
}

describeFibers("when there is no room for another fiber", () => {
  const addressSpace = () => fill({ args: [`${1200 * 1024 * 1024}`], flags: ["--max-semi-space-size=1"] });

  it.runIf(hasPrlimit())(
    "in the address space, spawn says so, the accepted fibers end, and the program goes on",
    async () => {
      const { accepted, ended, ...rest } = await addressSpace();
      expect(rest).toEqual({
        code: "ERR_FIBER_LIMIT",
        message: expect.stringMatching(/^No room for another fiber: /),
        wrong: 0,
        again: "new fibers run",
        left: 1, // the one that tells
      });
      expect(ended).toBe(accepted);
      expect(accepted).toBeGreaterThan(100);
    },
    300_000,
  );

  const maxMaps = process.platform === "linux" ? Number(readFileSync("/proc/sys/vm/max_map_count", "utf8")) : 0;
  const mappings = info().switch === "swap" && maxMaps > 0 && maxMaps < 150_000;
  if (!mappings) console.log("limit of mappings: skipped, it is not what limits fibers here");

  it.runIf(mappings)(
    "in the table of mappings, spawn says so, the accepted fibers end, and the program goes on",
    async () => {
      const { accepted, ended, ...rest } = await fill({ env: { RUNTIME_STACK_GUARD: "mapping" } });
      expect(rest).toEqual({
        code: "ERR_FIBER_LIMIT",
        message: expect.stringContaining("vm.max_map_count"),
        wrong: 0,
        again: "new fibers run",
        left: 1,
      });
      expect(ended).toBe(accepted);
      expect(accepted).toBeGreaterThan(maxMaps * 0.4);
    },
    300_000,
  );

  it.runIf(hasPrlimit())(
    "a fiber that enters an async scope, for which it needs a stack, is not stuck: it goes on, and cannot suspend there",
    async () => {
      const scopes = program.replace(
        "wait(gate); ended++;",
        `wait(gate);
        new (require("node:async_hooks").AsyncResource)("TEST").runInAsyncScope(() => {
          try { sleep(1); } catch (error) { if (error.code !== "ERR_CANNOT_SUSPEND") throw error; }
        });
        ended++;`,
      );
      const { code, stdout, stderr } = await run(scopes, {
        args: [`${1200 * 1024 * 1024}`],
        flags: ["--max-semi-space-size=1"],
        timeout: 120_000,
      });
      expect({ code, stderr, stdout }).toEqual({ code: 0, stderr: "", stdout: expect.stringContaining("{") });
      const { accepted, ended } = JSON.parse(stdout) as Report;
      expect(ended).toBe(accepted);
    },
    180_000,
  );
});

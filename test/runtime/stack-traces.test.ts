import * as api from "runtime";
import { sleep, spawn, wait } from "runtime";
import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { run } from "../support/run";
import { turn } from "../support/turns";

const framesOf = (error: unknown) => (error as Error).stack ?? "";

describeFibers("the stack trace of an error", () => {
  it("thrown in a fiber shows the fiber's own frames, across suspensions", async () => {
    function innermost() {
      sleep(1);
      throw new Error("thrown");
    }
    const fiber = spawn(function outermost() {
      [1].map(innermost);
    });
    await expect(fiber).rejects.toThrow("thrown");
    expect(framesOf(fiber.exception)).toMatch(/innermost.*\n.*map.*\n.*outermost/);
  });

  it("that a promise was rejected with shows where the fiber waited for it", async () => {
    const rejected = new Promise((_, reject) => setImmediate(() => reject(new Error("rejected"))));
    const fiber = spawn(function waiting() {
      wait(rejected);
    });
    await expect(fiber).rejects.toThrow("rejected");
    expect(framesOf(fiber.exception)).toContain("waiting");
  });

  it("thrown into a fiber shows where it was suspended", async () => {
    const fiber = spawn(function suspended() {
      sleep(1e6);
    });
    await turn();
    fiber.throw(new Error("thrown into"));
    await expect(fiber).rejects.toThrow("thrown into");
    expect(framesOf(fiber.exception)).toContain("suspended");
  });

  it("of another fiber shows the frames of both: where it was thrown, and who asked for it", async () => {
    function failing() {
      throw new Error("failed");
    }
    const fiber = spawn(function asking() {
      spawn(failing).get();
    });
    await expect(fiber).rejects.toThrow("failed");
    expect(framesOf(fiber.exception)).toMatch(/failing/);
  });

  it("that comes a second time to the same place does not grow", async () => {
    const error = new Error("again");
    const lengths = await spawn(() => {
      const lengths: number[] = [];
      for (let i = 0; i < 3; i++) {
        try {
          wait(new Promise((_, reject) => setImmediate(reject, error)));
        } catch {
          lengths.push(framesOf(error).length);
        }
      }
      return lengths;
    });
    expect(lengths[2]).toBe(lengths[0]);
  });

  it("that is frozen, or has no trace, or a trace of its own kind, stays as it is", async () => {
    const frozen = Object.freeze(new Error("frozen"));
    const bare = Object.assign(new Error("bare"), { stack: undefined });
    const hostile = Object.defineProperty(new Error("hostile"), "stack", {
      get() {
        throw new Error("not this one");
      },
    });
    const caught = await spawn(() =>
      [frozen, bare, hostile, "text", null].map((reason) => {
        try {
          return wait(new Promise((_, reject) => setImmediate(reject, reason)));
        } catch (error) {
          return error === reason;
        }
      }),
    );
    expect(caught).toEqual([true, true, true, true, true]);
  });

  it("respects a limit of no frames at all", async () => {
    const before = Error.stackTraceLimit;
    try {
      Error.stackTraceLimit = 0;
      await expect(spawn(() => wait(Promise.reject(new Error("limited"))))).rejects.toThrow("limited");
    } finally {
      Error.stackTraceLimit = before;
    }
  });

  it("is source-mapped under --enable-source-maps, in every part", async () => {
    // Line 1 of the program is line 101 of the source, and so on.
    const mappings = ["AAoGA", ...Array(9).fill("AACA")].join(";");
    const map = { version: 3, file: "program.cjs", sources: ["original.ts"], names: [], mappings };
    const comment = `//# sourceMappingURL=data:application/json;base64,${Buffer.from(JSON.stringify(map)).toString("base64")}`;
    const lines = [
      `const { sleep, spawn, wait } = require("runtime");`,
      `function thrown() { sleep(1); throw new Error("one"); }`,
      `function rejected() {`,
      `  wait(new Promise((_, reject) => setImmediate(() => reject(new Error("two")))));`,
      `}`,
      `for (const f of [thrown, rejected])`,
      `  spawn(f).link((fiber) => console.log(fiber.exception.stack));`,
      comment,
    ];
    const { code, stdout, stderr } = await run(lines.join("\n"), { flags: ["--enable-source-maps"] });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/Error: one\n.*thrown.*original\.ts:102/);
    expect(stdout).toMatch(/Error: two\n.*original\.ts:104(.*\n)+.*rejected.*original\.ts:104/);
    expect(stdout).not.toContain("program.cjs");
  });

  it("is shown by Node's REPL as without the patch: down to the last function that has no name", async () => {
    const { stdout } = await run(
      `const { spawnSync } = require("node:child_process");
      const repl = (...flags) => spawnSync(process.execPath, [...flags, "-i"], { input: 'throw new Error("shown")\\n' });
      const plain = String(repl().stdout);
      const patched = String(repl("--require", "runtime/patch").stdout);
      console.log(patched === plain ? "the same" : patched, plain.includes("Error: shown"));`,
    );
    expect(stdout).toBe("the same true\n");
  });
});

it("names the package's classes as programs know them", () => {
  const classes = Object.entries(api).filter(([, value]) => /^class\b/.test(String(value)));
  expect(classes.length).toBeGreaterThan(20);
  for (const [name, value] of classes) expect((value as { name: string }).name).toBe(name);
});

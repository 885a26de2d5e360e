import { constants } from "node:os";
import { configure } from "runtime";
import { describe, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, type RunOptions, run, start } from "../support/run";

/** Starts a program, sends it SIGUSR2 once it has printed "ready", and lets it end. */
async function signalled(program: string, options?: RunOptions) {
  const { child, outcome, printed } = start(program, options);
  await printed("ready");
  child.kill("SIGUSR2");
  return outcome;
}

// All fibers are suspended when the signal comes. The program ends once it was handled.
const suspended = `
  const { configure, sleep, spawn } = require("runtime");
  const fiber = spawn(function waits() { console.log("ready"); sleep(1e8); });
  const end = () => process.once("SIGUSR2", () => setImmediate(() => fiber.kill()));`;
const info = /^1 fiber: 1 suspended\nwaits \(1\): suspended, [\d.]+ s old\n {4}at waits \(.*program\.cjs:3:.*\)\n$/;

describeFibers("a signal that is asked for by configure({ runInfoSignal })", () => {
  it("prints runInfo() to standard error, and the program goes on", async () => {
    const program = `${suspended} configure({ runInfoSignal: "SIGUSR2" }); end();`;
    expect(await signalled(program)).toEqual({ ...printing("ready"), stderr: expect.stringMatching(info) });
  });

  it("is ignored, as before, by a program that takes the setting back", async () => {
    const program = `${suspended} configure({ runInfoSignal: "SIGUSR2" }); configure({ runInfoSignal: null }); end();`;
    expect(await signalled(program)).toEqual(printing("ready"));
  });

  it("is replaced by another one", async () => {
    const program = `${suspended} configure({ runInfoSignal: "SIGUSR2" }); configure({ runInfoSignal: "SIGHUP" }); end();`;
    expect(await signalled(program)).toEqual(printing("ready"));
  });
});

describeFibers("RUNTIME_INFO_SIGNAL in the environment", () => {
  it("does the same", async () => {
    const outcome = await signalled(`${suspended} end();`, { env: { RUNTIME_INFO_SIGNAL: "SIGUSR2" } });
    expect(outcome).toEqual({ ...printing("ready"), stderr: expect.stringMatching(info) });
  });
});

describe("the signal for runInfo()", () => {
  it("does not keep the process alive", async () => {
    const program = `require("runtime").configure({ runInfoSignal: "SIGUSR2" }); console.log("end");`;
    expect(await run(program)).toEqual(printing("end"));
  });

  it("has no effect in a worker", async () => {
    const program = `
      const { Worker, isMainThread } = require("node:worker_threads");
      require("runtime").configure({ runInfoSignal: "SIGUSR2" });
      if (isMainThread) new Worker(__filename).on("exit", (code) => console.log(code));`;
    expect(await run(program)).toEqual(printing("0"));
  });

  it("must be one that a process can handle, else the environment's name is in the error", async () => {
    const { code, stderr } = await run(`require("runtime");`, { env: { RUNTIME_INFO_SIGNAL: "SIGNONE" } });
    expect(code).toBe(1);
    expect(stderr).toContain('The value of "RUNTIME_INFO_SIGNAL" is out of range');
  });

  it.each([
    ["a number", constants.signals.SIGUSR2, "ERR_INVALID_ARG_TYPE"],
    ["unknown", "SIGNONE", "ERR_OUT_OF_RANGE"],
    ["SIGKILL", "SIGKILL", "ERR_OUT_OF_RANGE"],
    ["of Object's own", "toString", "ERR_OUT_OF_RANGE"],
  ])("is refused when it is %s", (_, signal, code) => {
    expect(() => configure({ runInfoSignal: signal as never })).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining('"options.runInfoSignal"') }),
    );
  });
});

import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run, start } from "../support/run";

describeFibers("a signal", () => {
  it("that is handled while fibers are suspended runs the handler on the hub", async () => {
    const { child, outcome, printed } = start(`
      const { Fiber, sleep, spawn } = require("runtime");
      const fibers = Array.from({ length: 50 }, () => spawn(() => sleep(1e8)));
      process.once("SIGUSR2", () => { console.log("handled", Fiber.current); for (const fiber of fibers) fiber.kill(); });
      setTimeout(() => console.log("ready"), 5);`);
    await printed("ready");
    child.kill("SIGUSR2");
    expect(await outcome).toEqual(printing("ready", "handled null"));
  });

  it("that is handled while a fiber runs is handled when it suspends, and the fiber goes on", async () => {
    const { child, outcome, printed } = start(`
      const { writeSync } = require("node:fs");
      const { sleep, spawn } = require("runtime");
      process.once("SIGUSR2", () => console.log("handled"));
      spawn(() => {
        sleep(1);
        writeSync(1, "running\\n");
        const end = Date.now() + 300;
        while (Date.now() < end);
        console.log("ran");
        for (let i = 0; i < 100; i++) sleep(1);
        console.log("went on");
      });`);
    await printed("running");
    child.kill("SIGUSR2");
    expect(await outcome).toEqual(printing("running", "ran", "handled", "went on"));
  });

  it("in great numbers while fibers take turns does not disturb them", async () => {
    const program = `
      const { sleep, spawn, wait } = require("runtime");
      let handled = 0;
      const count = () => { handled++; };
      process.on("SIGUSR2", count);
      const deep = (n) => n === 0 ? (sleep(0), 0) : deep(n - 1) + 1;
      const fibers = Array.from({ length: 20 }, () => spawn(() => {
        let sum = 0;
        for (let i = 0; i < 100; i++) { process.kill(process.pid, "SIGUSR2"); sum += deep(50); sleep(i % 2); }
        return sum;
      }));
      Promise.all(fibers).then((sums) => {
        process.off("SIGUSR2", count);
        console.log(sums.every((sum) => sum === 5000), handled > 0);
      });`;
    expect(await run(program)).toEqual(printing("true true"));
  });

  it.each(["SIGTERM", "SIGALRM", "SIGHUP"] as const)(
    "%s, unhandled, ends the process while a fiber runs without end",
    async (signal) => {
      const { child, outcome, printed } = start(`
        const { writeSync } = require("node:fs");
        const { sleep, spawn } = require("runtime");
        for (let i = 0; i < 50; i++) spawn(() => sleep(1e8));
        spawn(() => { sleep(1); writeSync(1, "running\\n"); for (;;); });`);
      await printed("running");
      child.kill(signal);
      expect(await outcome).toEqual({ ...printing("running"), code: null, signal });
    },
  );

  it("SIGINT in a fiber's endless loop ends a vm script that breaks on it, and the fiber goes on", async () => {
    const { child, outcome, printed } = start(`
      const vm = require("node:vm");
      const { writeSync } = require("node:fs");
      const { sleep, spawn } = require("runtime");
      globalThis.ready = () => writeSync(1, "running\\n");
      spawn(() => {
        sleep(1);
        try { vm.runInThisContext("ready(); for (;;);", { breakOnSigint: true }); } catch (error) { console.log(error.code); }
        sleep(1);
        console.log("went on");
      });`);
    await printed("running");
    child.kill("SIGINT");
    expect(await outcome).toEqual(printing("running", "ERR_SCRIPT_EXECUTION_INTERRUPTED", "went on"));
  });

  it("may be sent by a fiber to its own process, whose handler may spawn", async () => {
    const program = `
      const { sleep, spawn, wait } = require("runtime");
      const keep = setInterval(() => {}, 1000);
      process.once("SIGUSR2", () => spawn(() => { sleep(1); console.log("in a fiber"); clearInterval(keep); }));
      spawn(() => process.kill(process.pid, "SIGUSR2"));`;
    expect(await run(program)).toEqual(printing("in a fiber"));
  });
});

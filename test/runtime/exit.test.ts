import { describe, expect, it } from "vitest";
import { describeFibers, itFibers } from "../support/fibers";
import { printing, run } from "../support/run";

const suspended = `
  const { sleep, spawn, wait } = require("runtime");
  for (let i = 0; i < 50; i++) spawn(() => { try { [1].map(() => sleep(1e8)); } finally { console.log("not to be seen"); } });`;

describeFibers("process.exit()", () => {
  it("in a fiber ends the process with its code", async () => {
    const program = `${suspended} spawn(() => { sleep(5); process.exit(7); });`;
    expect(await run(program)).toEqual({ ...printing(), code: 7 });
  });

  it("in a fiber, below native frames, does so too", async () => {
    const program = `${suspended} spawn(() => [1].map(() => "x".replace("x", () => { sleep(5); process.exit(7); })));`;
    expect(await run(program)).toEqual({ ...printing(), code: 7 });
  });

  it("on the hub ends the process with its code while fibers are suspended", async () => {
    const program = `${suspended} setTimeout(() => process.exit(7), 5);`;
    expect(await run(program)).toEqual({ ...printing(), code: 7 });
  });

  it("in a fiber that has not been suspended yet ends the process", async () => {
    expect(await run(`${suspended} spawn(() => process.exit(7));`)).toEqual({ ...printing(), code: 7 });
  });

  it("in runInAsyncScope in a fiber ends the process", async () => {
    const program = `${suspended}
      const { AsyncResource } = require("node:async_hooks");
      spawn(() => new AsyncResource("TEST").runInAsyncScope(() => { sleep(1); process.exit(7); }));`;
    expect(await run(program)).toEqual({ ...printing(), code: 7 });
  });

  it("runs the exit listeners, with the code, once", async () => {
    const program = `${suspended}
      process.on("exit", (code) => console.log("listener", code));
      spawn(() => { sleep(5); process.exit(7); });`;
    expect(await run(program)).toEqual({ ...printing("listener 7"), code: 7 });
  });

  it("runs nothing else while its listeners run: they cannot block", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      process.on("exit", () => { try { sleep(5); } catch (error) { console.log(error.code); } });
      spawn(() => { for (;;) { sleep(1); console.log("turn"); } });
      spawn(() => { process.exit(7); });`;
    expect(await run(program)).toEqual({ ...printing("ERR_CANNOT_SUSPEND"), code: 7 });
  });

  it("takes the code of process.exitCode", async () => {
    const program = `${suspended} spawn(() => { process.exitCode = 9; sleep(1); process.exit(); });`;
    expect(await run(program)).toEqual({ ...printing(), code: 9 });
  });

  it("of one of many fibers that all call it ends the process once", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      process.on("exit", () => console.log("listener"));
      for (let i = 0; i < 20; i++) spawn(() => { sleep(5); process.exit(7); });`;
    expect(await run(program)).toEqual({ ...printing("listener"), code: 7 });
  });
});

describe("the end of the process", () => {
  itFibers("by itself, with fibers suspended that nothing will resume, is a success", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      for (let i = 0; i < 50; i++) spawn(() => [1].map(() => sleep(Infinity)));
      spawn(() => { sleep(5); console.log("the last one"); });`;
    expect(await run(program)).toEqual(printing("the last one"));
  });

  itFibers("keeps the exit code that a fiber has set", async () => {
    expect(await run(`require("runtime").spawn(() => { process.exitCode = 3; });`)).toEqual({ ...printing(), code: 3 });
  });

  itFibers("comes after beforeExit, whose listeners may spawn", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      process.once("beforeExit", () => spawn(() => { sleep(1); console.log("spawned at the end"); }));
      spawn(() => sleep(1));`;
    expect(await run(program)).toEqual(printing("spawned at the end"));
  });

  itFibers("with more stacks than it uses, all in the pool, is clean", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      for (let i = 0; i < 500; i++) spawn(() => sleep(1));`;
    expect(await run(program)).toEqual(printing());
  });

  it("is clean when the package is loaded and never used", async () => {
    expect(await run(`require("runtime");`)).toEqual(printing());
  });

  itFibers("is clean when the first thing that fibers do is to end", async () => {
    // The kernel threads that stacks were born with may still be on their way out.
    const outcomes = await Promise.all(Array.from({ length: 30 }, () => run(`require("runtime").spawn(() => {});`)));
    expect(outcomes).toEqual(outcomes.map(() => printing()));
  });
});

describeFibers("an uncaught error", () => {
  it("on the hub ends the process with code 1 while fibers are suspended", async () => {
    const program = `${suspended} setTimeout(() => { throw new Error("on the hub"); }, 5);`;
    const { code, signal, stdout, stderr } = await run(program);
    expect({ code, signal, stdout }).toEqual({ code: 1, signal: null, stdout: "" });
    expect(stderr).toContain("Error: on the hub");
  });

  it("that is to abort the process is not seen in the unwinding of stacks at its end", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      const vm = require("node:vm");
      spawn(() => vm.runInNewContext("[1].map(() => sleep(1e8))", { sleep }));
      spawn(() => console.log("ended"));
      setTimeout(() => process.exit(), 5);`;
    expect(await run(program, { flags: ["--abort-on-uncaught-exception"] })).toEqual(printing("ended"));
  });

  it("that is to abort the process is none that ends a fiber, which others hear of", async () => {
    const program = `
      const { sleep, spawn, wait } = require("runtime");
      const fails = spawn(() => { throw new Error("of its own"); });
      const waits = spawn(() => wait(Promise.reject(new Error("of what it waited for"))));
      const killed = spawn(() => [2, 1].sort(() => { sleep(1e8); }));
      spawn(() => { sleep(5); killed.kill(); });
      const outcomes = [fails, waits, killed].map((fiber) => fiber.then(() => "ended", ({ message }) => message));
      Promise.all(outcomes).then((all) => console.log(all.join()));`;
    const expected = printing("of its own,of what it waited for,ended");
    expect(await run(program, { flags: ["--abort-on-uncaught-exception"] })).toEqual(expected);
  });

  it("that is to abort the process does, also out of a listener that has suspended", async () => {
    const program = `
      const { sleep } = require("runtime");
      require("runtime/patch");
      setTimeout(() => { sleep(1); throw new Error("thrown"); }, 1);`;
    const { signal, stderr } = await run(program, { flags: ["--abort-on-uncaught-exception"] });
    expect(["SIGTRAP", "SIGILL", "SIGABRT"]).toContain(signal);
    expect(stderr).toContain("Uncaught Error: thrown");
  });

  it("on the hub that is handled lets the fibers go on", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      process.on("uncaughtException", (error) => console.log("handled", error.message));
      spawn(() => { sleep(20); console.log("went on"); });
      setTimeout(() => { throw new Error("on the hub"); }, 5);`;
    expect(await run(program)).toEqual(printing("handled on the hub", "went on"));
  });

  it("handled by spawning a fiber, which may block", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      process.on("uncaughtException", () => spawn(() => { sleep(1); console.log("handled in a fiber"); }));
      setTimeout(() => { throw new Error("on the hub"); }, 5);`;
    expect(await run(program)).toEqual(printing("handled in a fiber"));
  });

  it("of a listener that a fiber calls is that fiber's", async () => {
    const program = `
      const { EventEmitter } = require("node:events");
      const { spawn } = require("runtime");
      const emitter = new EventEmitter().on("event", () => { throw new Error("of the listener"); });
      spawn(() => { try { emitter.emit("event"); } catch (error) { console.log("caught", error.message); } });`;
    expect(await run(program)).toEqual(printing("caught of the listener"));
  });

  it("of a nextTick that a fiber asked for goes uncaught, and the fiber goes on", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      process.on("uncaughtException", (error) => console.log(error.message));
      spawn(() => { process.nextTick(() => { throw new Error("of the tick"); }); sleep(5); console.log("went on"); });`;
    expect(await run(program)).toEqual(printing("of the tick", "went on"));
  });
});

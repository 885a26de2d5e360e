import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

const prelude = `
  const { Session } = require("node:inspector");
  const { sleep, spawn, wait } = require("runtime");
  const session = new Session();
  session.connect();
  const post = (method, parameters) => new Promise((resolve, reject) =>
    session.post(method, parameters, (error, result) => error ? reject(error) : resolve(result)));
  const fibers = Array.from({ length: 50 }, (_, i) => spawn(function suspended() { const mine = { i }; sleep(1e8); return mine; }));
  const end = () => { for (const fiber of fibers) fiber.kill(); session.disconnect(); };
  const busy = (ms) => { const end = Date.now() + ms; while (Date.now() < end); };`;

const check = (main: string, options = {}) => run(`${prelude}\nspawn(() => {${main}});`, options);

describeFibers("the inspector, with fibers suspended,", () => {
  it("evaluates in a fiber", async () => {
    const program = `
      sleep(1);
      console.log(wait(post("Runtime.evaluate", { expression: "6 * 7" })).result.value);
      end();`;
    expect(await check(program)).toEqual(printing("42"));
  });

  it("evaluates what suspends, in many fibers, which come back in any order", async () => {
    const program = `
      globalThis.sleep = sleep;
      const evaluating = Array.from({ length: 20 }, (_, i) => spawn(() => {
        const own = new Session();
        own.connect();
        let value;
        own.post("Runtime.evaluate", { expression: "sleep(" + (i * 7) % 5 + "), " + i }, (_, { result }) => { value = result.value; });
        own.disconnect();
        return value;
      }));
      console.log(evaluating.every((fiber, i) => fiber.get() === i));
      end();`;
    expect(await check(program)).toEqual(printing("true"));
  });

  it("takes a heap snapshot from a fiber, which sees what they hold", async () => {
    const program = `
      sleep(1);
      let snapshot = "";
      session.on("HeapProfiler.addHeapSnapshotChunk", ({ params }) => { snapshot += params.chunk; });
      wait(post("HeapProfiler.takeHeapSnapshot"));
      console.log(JSON.parse(snapshot).nodes.length > 10_000);
      end();`;
    expect(await check(program)).toEqual(printing("true"));
  });

  it("takes a heap snapshot on the hub", async () => {
    const program = `
      setTimeout(() => {
        const stream = require("node:v8").getHeapSnapshot();
        let size = 0;
        stream.on("data", (chunk) => { size += chunk.length; }).on("end", () => { console.log(size > 100_000); end(); });
      }, 1);`;
    expect(await check(program)).toEqual(printing("true"));
  });

  it("profiles the processor while fibers take turns", async () => {
    const program = `
      wait(post("Profiler.enable"));
      wait(post("Profiler.start"));
      for (let i = 0; i < 20; i++) { busy(3); sleep(1); }
      const { profile } = wait(post("Profiler.stop"));
      console.log(profile.nodes.length > 0 && profile.endTime > profile.startTime);
      end();`;
    expect(await check(program)).toEqual(printing("true"));
  });

  it("samples the heap while fibers allocate", async () => {
    const program = `
      wait(post("HeapProfiler.startSampling", { samplingInterval: 4096 }));
      let kept = [];
      for (let i = 0; i < 50; i++) { kept.push(Array.from({ length: 1000 }, (_, j) => ({ j }))); sleep(0); }
      const { profile } = wait(post("HeapProfiler.stopSampling"));
      console.log(profile.samples.length > 0);
      end();`;
    expect(await check(program)).toEqual(printing("true"));
  });

  it("counts coverage over suspensions", async () => {
    const program = `
      wait(post("Profiler.enable"));
      wait(post("Profiler.startPreciseCoverage", { callCount: true, detailed: true }));
      const counted = () => sleep(1);
      for (let i = 0; i < 3; i++) counted();
      const { result } = wait(post("Profiler.takePreciseCoverage"));
      const functions = result.flatMap(({ functions }) => functions);
      console.log(functions.find(({ functionName }) => functionName === "counted").ranges[0].count);
      end();`;
    expect(await check(program)).toEqual(printing("3"));
  });

  it("pauses in a fiber, sees its frames, and lets it go on", async () => {
    const program = `
      session.post("Debugger.enable");
      let seen;
      session.on("Debugger.paused", ({ params }) => {
        seen = params.callFrames.map(({ functionName }) => functionName);
        session.post("Debugger.resume");
      });
      const inner = () => { sleep(1); debugger; return "went on"; };
      const outer = () => inner();
      console.log(outer(), seen[0], seen[1]);
      end();`;
    expect(await check(program)).toEqual(printing("went on inner outer"));
  });

  it("pauses on exceptions that are thrown into fibers", async () => {
    const program = `
      session.post("Debugger.enable");
      session.post("Debugger.setPauseOnExceptions", { state: "all" });
      let pauses = 0;
      session.on("Debugger.paused", () => { pauses++; session.post("Debugger.resume"); });
      sleep(1);
      for (const fiber of fibers) fiber.kill();
      console.log(pauses >= fibers.length);
      end();`;
    expect(await check(program)).toEqual(printing("true"));
  });
});

describeFibers("node --cpu-prof", () => {
  it("writes a profile of a program whose fibers take turns", async () => {
    const program = `
      const { readdirSync, readFileSync } = require("node:fs");
      const { sleep, spawn } = require("runtime");
      const busy = () => { const end = Date.now() + 3; while (Date.now() < end); };
      for (let i = 0; i < 10; i++) spawn(() => { for (let k = 0; k < 5; k++) { busy(); sleep(k); } });
      process.on("exit", () => console.log("ended"));`;
    expect(await run(program, { flags: ["--cpu-prof", "--cpu-prof-interval=200"] })).toEqual(printing("ended"));
  });
});

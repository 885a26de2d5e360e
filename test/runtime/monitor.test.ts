import { type MonitorOptions, monitor } from "runtime";
import { describe, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, type RunOptions, run, start } from "../support/run";

// `spin` keeps the thread busy. Its frames are the program's own, on the first line.
const prelude = `const spin = (ms) => { const end = Date.now() + ms; while (Date.now() < end); };
  const { Fiber, monitor, sleep, spawn, wait } = require("runtime");
  const { Worker, isMainThread, parentPort, workerData } = require("node:worker_threads");
  const { AsyncResource } = require("node:async_hooks");`;

// What is reported on a busy machine may be anything that happened to be kept waiting: tests look at what they meant.
const meant = "const isMeant = ({ stack }) => /at (spin|blocks) /.test(stack);";

const check = (program: string, options?: RunOptions) => run(`${prelude}${meant}\n${program}`, options);

/**
 * Runs a program that hogs the thread without end, until standard error has told so. On a busy machine it may be told of
 * others before.
 */
async function told(pattern: RegExp, program: string, options?: RunOptions): Promise<void> {
  const { child, outcome } = start(`${prelude}${meant}\n${program}`, options);
  let text = "";
  child.stderr?.on("data", (chunk) => {
    text += chunk;
    if (pattern.test(text)) child.kill("SIGKILL");
  });
  expect((await outcome).signal).toBe("SIGKILL");
}

describeFibers("a monitor without a report", () => {
  it("names a fiber that runs without end, and the line, on standard error", async () => {
    const program = `
      monitor({ threshold: 20 });
      spawn(() => sleep(1e8));
      spawn(function endless() { sleep(1); for (;;) ; });`;
    await told(
      /^The fiber "endless" \(2\) has run for \d+ ms without a break:\n {4}at endless \(.*program\.cjs:8:\d+\)\n$/m,
      program,
    );
  });

  it("names the hub when an ordinary callback does so", async () => {
    const program = `
      monitor({ threshold: 20 });
      spawn(() => sleep(1e8));
      setTimeout(function endless() { for (;;) ; }, 5);`;
    await told(/^The hub has run for \d+ ms without a break:\n {4}at endless \(.*program\.cjs:8:/m, program);
  });

  it("names a fiber by its present name, also in an async scope", async () => {
    const program = `
      monitor({ threshold: 20 });
      spawn(function before() {
        Fiber.current.name = "after";
        new AsyncResource("TEST").runInAsyncScope(function within() { sleep(1); for (;;) ; });
      });`;
    await told(/^The fiber "after" \(1\) has run for .*\n {4}at within \(.*program\.cjs:9:/m, program);
  });

  it("is asked for by RUNTIME_MONITOR in the environment", async () => {
    const program = "spawn(function endless() { for (;;) ; });";
    await told(/^The fiber "endless" \(1\) has run/m, program, { env: { RUNTIME_MONITOR: "20" } });
  });

  it("tells once of what goes on for long", async () => {
    const { code, stderr } = await check(`
      monitor({ threshold: 10 });
      spawn(function hog() { spin(200); });`);
    expect(code).toBe(0);
    expect(stderr.match(/"hog"/g)).toEqual(['"hog"']);
  });
});

describeFibers("a monitor with a report", () => {
  const reporting = `
    const hogs = [];
    const report = (hog) => { if (isMeant(hog)) hogs.push(hog); };
    process.on("exit", () => console.log(JSON.stringify(hogs)));`;

  const reports = async (program: string, options?: RunOptions) => {
    const { code, stdout, stderr } = await check(reporting + program, options);
    expect([code, stderr]).toEqual([0, ""]);
    return JSON.parse(stdout);
  };

  const hog = (fiber: string | null, id: number | null, frame: string) => ({
    fiber,
    id,
    duration: expect.any(Number),
    stack: expect.stringMatching(new RegExp(`^ {4}at spin \\(.*program\\.cjs:1:\\d+\\)\\n {4}at ${frame} \\(`)),
  });

  it("gives the fiber, its id, and the trace, once for each hog", async () => {
    const program = `
      monitor({ threshold: 20, report });
      spawn(function one() { sleep(1); spin(200); sleep(1); spin(200); });
      spawn(function two() { sleep(1); spin(200); });`;
    const all = await reports(program);
    expect(all).toHaveLength(3);
    expect(all).toEqual(expect.arrayContaining([hog("one", 1, "one"), hog("one", 1, "one"), hog("two", 2, "two")]));
  });

  it("gives how long the hog ran in all, in milliseconds", async () => {
    const [{ duration }] = await reports("monitor({ threshold: 20, report }); spawn(() => spin(200));");
    expect(duration).toBeGreaterThan(150);
  });

  it("is called on the hub's stack, when the hog has ended", async () => {
    const program = `
      let running = false;
      monitor({ threshold: 10, report: (hog) => { if (isMeant(hog)) console.log(Fiber.current, running); } });
      spawn(() => { running = true; spin(200); running = false; });`;
    expect(await check(program)).toEqual(printing("null false"));
  });

  it.each([
    ["a timer", "setTimeout(function hogging() { spin(200); }, 1);"],
    ["an I/O callback", 'require("node:fs").stat(__filename, function hogging() { spin(200); });'],
    ["an immediate", "setImmediate(function hogging() { spin(200); });"],
    ["a promise reaction", "Promise.resolve().then(function hogging() { spin(200); });"],
    [
      "the last callback of all",
      "process.once('beforeExit', function hogging() { monitor({ threshold: 20, report }); spin(200); });",
    ],
  ])("is called for the hub, in %s", async (_, program) => {
    expect(await reports(`monitor({ threshold: 20, report }); ${program}`)).toEqual([hog(null, null, "hogging")]);
  });

  it("is called for each of several callbacks that hog one turn of the event loop", async () => {
    const program = `
      monitor({ threshold: 20, report });
      setTimeout(function first() { spin(400); }, 1);
      setTimeout(function second() { spin(400); }, 1);`;
    expect(await reports(program)).toEqual([hog(null, null, "first"), hog(null, null, "second")]);
  });

  it("is called for time that passes in native code, when JavaScript goes on", async () => {
    const program = `
      monitor({ threshold: 20, report });
      spawn(function blocks() {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
        for (let i = 0; i < 1e6; i++);
      });`;
    expect(await reports(program)).toEqual([
      { fiber: "blocks", id: 1, duration: expect.any(Number), stack: expect.stringContaining("at blocks (") },
    ]);
  });

  it("is not called for fibers that take turns, nor for waiting", async () => {
    const program = `
      monitor({ threshold: 1000, report });
      for (let i = 0; i < 3; i++) spawn(() => { for (let k = 0; k < 80; k++) { spin(5); sleep(0); } });
      spawn(() => sleep(2500));`;
    expect(await reports(program)).toEqual([]);
  });

  it("may throw: that is an uncaught exception, and the monitor goes on", async () => {
    const program = `
      let reports = 0;
      process.on("uncaughtException", (error) => console.log(error.message));
      monitor({ threshold: 10, report: (hog) => { if (isMeant(hog)) throw new Error("report " + ++reports); } });
      spawn(() => { spin(200); sleep(1); spin(200); });`;
    expect((await check(program)).stdout.split("\n").sort()).toEqual(["", "report 1", "report 2"]);
  });

  it("may take long, and is not reported for that", async () => {
    const program = `
      monitor({ threshold: 10, report: (hog) => { report(hog); spin(200); } });
      spawn(function one() { spin(200); });`;
    expect(await reports(program)).toEqual([hog("one", 1, "one")]);
  });

  it("may stop the monitor", async () => {
    const program = `
      const watch = monitor({ threshold: 10, report: (hog) => { report(hog); if (isMeant(hog)) watch.stop(); } });
      spawn(function one() { spin(200); sleep(5); spin(200); });`;
    expect(await reports(program)).toEqual([hog("one", 1, "one")]);
  });
});

describeFibers("a monitor", () => {
  it("that was stopped, in a fiber or out of one, tells nothing more", async () => {
    const program = `
      monitor({ threshold: 1000 }).stop(); // a busy machine may keep the thread for a while before that
      spin(1500);
      spawn(() => { const { stop } = monitor({ threshold: 1000 }); sleep(1); stop(); spin(1500); stop(); });`;
    expect(await check(program)).toEqual(printing());
  });

  it("takes the place of the one before, whose stop() then does nothing", async () => {
    const program = `
      const first = monitor({ threshold: 10, report: () => console.log("first") });
      monitor({ threshold: 10, report: () => console.log("second") });
      first.stop();
      spin(200);`;
    expect(new Set((await check(program)).stdout.split("\n"))).toEqual(new Set(["second", ""]));
  });

  it("can be started and stopped many times", async () => {
    const program = `
      for (let i = 0; i < 200; i++) monitor({ threshold: 1 });
      spawn(() => { for (let i = 0; i < 200; i++) { const { stop } = monitor({ threshold: 1, report() {} }); if (i % 10 === 0) sleep(0); stop(); } console.log("done"); });`;
    expect((await check(program)).stdout).toBe("done\n");
  });

  it("does not keep the process alive", async () => {
    expect(await check("monitor({ threshold: 1000 });")).toEqual(printing());
  });

  it.each([
    ["process.exit", "process.exit(7)", 7],
    ["process.exit in a fiber", "spawn(() => { spin(20); process.exit(7); })", 7],
    ["an uncaught error", "spin(20), process.on('uncaughtException', () => process.exit(7)), fail()", 7],
  ])("does not disturb the end of the process, by %s", async (_, end, code) => {
    const program = `
      for (let i = 0; i < 10; i++) spawn(() => { for (;;) { spin(3); sleep(1); } });
      monitor({ threshold: 1, report() {} });
      setTimeout(() => ${end}, 20);`;
    expect(await check(program)).toEqual({ ...printing(), code });
  });
});

describeFibers("a monitor in a worker", () => {
  const work = (worker: string, main: string) =>
    check(`if (!isMainThread) { ${worker} } else { const worker = new Worker(__filename); ${main} }`);

  it("names the worker's own fibers, whatever the main thread does", async () => {
    const { stdout } = await work(
      `monitor({ threshold: 20, report: (hog) => { if (isMeant(hog)) parentPort.postMessage([hog.fiber, hog.id]); } });
       spawn(function hog() { spin(200); });`,
      `monitor({ threshold: 1e6 });
       worker.on("message", (message) => console.log(JSON.stringify(message)));
       worker.on("exit", (code) => console.log(code));`,
    );
    expect(stdout).toBe('["hog",1]\n0\n');
  });

  it("ends with the worker that is terminated in the middle of a hog", async () => {
    const { stdout } = await work(
      `monitor({ threshold: 5, report() {} });
       for (let i = 0; i < 20; i++) spawn(() => sleep(1e8));
       spawn(function endless() { sleep(1); parentPort.postMessage("go"); for (;;) spin(1); });`,
      `worker.on("message", () => setTimeout(() => worker.terminate(), 30));
       worker.on("exit", (code) => console.log(code));`,
    );
    expect(stdout).toBe("1\n");
  });

  it("ends with the worker that exits, or comes to its end, many times over", async () => {
    const program = `
      if (!isMainThread) {
        monitor({ threshold: 1, report() {} });
        for (let i = 0; i < 5; i++) spawn(() => { for (let k = 0; k < 5; k++) { spin(2); sleep(1); } });
        if (workerData === "exit") setTimeout(() => process.exit(3), 10);
      } else {
        const one = (workerData) => new Promise((resolve) => new Worker(__filename, { workerData }).on("exit", resolve));
        const lane = async (how) => { const codes = new Set(); for (let i = 0; i < 10; i++) codes.add(await one(how)); return [...codes]; };
        Promise.all([lane("exit"), lane("end")]).then((codes) => console.log(JSON.stringify(codes)));
      }`;
    expect(await check(program)).toEqual(printing("[[3],[0]]"));
  });
});

describe("monitor()", () => {
  it.each([
    ["options", null, "ERR_INVALID_ARG_TYPE"],
    ["options.threshold", { threshold: "1" }, "ERR_INVALID_ARG_TYPE"],
    ["options.threshold", { threshold: 0.5 }, "ERR_OUT_OF_RANGE"],
    ["options.threshold", { threshold: Number.NaN }, "ERR_OUT_OF_RANGE"],
    ["options.threshold", { threshold: Number.POSITIVE_INFINITY }, "ERR_OUT_OF_RANGE"],
    ["options.report", { report: 1 }, "ERR_INVALID_ARG_TYPE"],
  ])("refuses wrong %s: %j", (name, options, code) => {
    expect(() => monitor(options as MonitorOptions)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(`"${name}"`) }),
    );
  });

  it("throws ERR_NO_FIBERS under RUNTIME_SWITCH=none, for it is a part of the addon", async () => {
    const program = `try { monitor(); } catch (error) { console.log(error.code, error.message); }`;
    expect(await check(program, { env: { RUNTIME_SWITCH: "none" } })).toEqual(
      printing("ERR_NO_FIBERS There is no monitor in this process: RUNTIME_SWITCH=none"),
    );
  });
});

describe("RUNTIME_MONITOR in the environment", () => {
  it("is only warned of where there is no monitor, and the program runs", async () => {
    const env = { RUNTIME_SWITCH: "none", RUNTIME_MONITOR: "100" };
    const { code, stdout, stderr } = await check('console.log("ran");', { env });
    expect([code, stdout]).toEqual([0, "ran\n"]);
    expect(stderr).toContain("RUNTIME_MONITOR has no effect. There is no monitor in this process: RUNTIME_SWITCH=none");
  });

  it("must be a number of milliseconds", async () => {
    const { code, stderr } = await check("", { env: { RUNTIME_MONITOR: "often" } });
    expect(code).toBe(1);
    expect(stderr).toContain('The value of "RUNTIME_MONITOR" is out of range');
  });
});

import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

// The program is its own worker; what that does comes as its workerData, as text.
const prelude = `
  const { Worker, isMainThread, parentPort, workerData } = require("node:worker_threads");
  const { readFileSync } = require("node:fs");
  const { AsyncLocalStorage, AsyncResource } = require("node:async_hooks");
  const { info, sleep, spawn, wait } = require("runtime");
  const many = () => {
    for (let i = 0; i < 50; i++) spawn(() => { try { [1].map(() => sleep(1e8)); } finally { parentPort.postMessage("not to be seen"); } });
  };
  /** Runs a worker to its end: [exit code, messages...]; terminated at its first message, if it is to be. */
  const work = (text, terminate) => new Promise((resolve) => {
    const messages = [];
    const worker = new Worker(__filename, { workerData: text });
    worker.on("message", (message) => { messages.push(message); if (terminate) worker.terminate(); });
    worker.on("error", (error) => messages.push(error.message));
    worker.on("exit", (code) => resolve([code, ...messages]));
  });`;

const check = (main: string, options = {}) =>
  run(`${prelude}\nif (isMainThread) (async () => {${main}})(); else eval(workerData);`, options);

describeFibers("a worker", () => {
  it("has fibers of its own, at the same time as the main thread and others", async () => {
    const program = `
      const counting = 'spawn(() => { let turns = 0; for (let i = 0; i < 200; i++) { sleep(i % 2); turns++; } return turns; }).then((turns) => parentPort.postMessage(turns))';
      const own = Array.from({ length: 20 }, (_, i) => spawn(() => { for (let k = 0; k < 20; k++) sleep(i % 3); return i; }));
      const others = await Promise.all([work(counting), work(counting), work(counting)]);
      const sum = (await Promise.all(own)).reduce((a, b) => a + b);
      console.log(JSON.stringify(others), sum);`;
    expect(await check(program)).toEqual(printing("[[0,200],[0,200],[0,200]] 190"));
  });

  it("is terminated with 50 fibers suspended", async () => {
    const program = `console.log(JSON.stringify(await work('many(); setTimeout(() => parentPort.postMessage("go"), 5)', true)));`;
    expect(await check(program)).toEqual(printing('[1,"go"]'));
  });

  it("is terminated while a fiber runs without end", async () => {
    const program = `console.log(JSON.stringify(await work('many(); spawn(() => { sleep(1); parentPort.postMessage("go"); for (;;); })', true)));`;
    expect(await check(program)).toEqual(printing('[1,"go"]'));
  });

  it("is terminated while a fiber runs without end, in a scope in a fiber", async () => {
    const program = `
      const text = 'many(); spawn(() => new AsyncResource("TEST").runInAsyncScope(() => { sleep(1); parentPort.postMessage("go"); for (;;); }))';
      console.log(JSON.stringify(await work(text, true)));`;
    expect(await check(program)).toEqual(printing('[1,"go"]'));
  });

  it("is terminated while fibers take turns without end, again and again", async () => {
    // Compiled code need not notice the termination where it is unwound.
    const program = `
      const text = 'for (let i = 0; i < 5; i++) spawn(() => { for (;;) sleep(0); }); setTimeout(() => parentPort.postMessage("go"), 10)';
      const codes = new Set();
      for (let i = 0; i < 60; i++) codes.add((await work(text, true))[0]);
      console.log([...codes].join());`;
    expect(await check(program, { timeout: 120_000 })).toEqual(printing("1"));
  }, 150_000);

  it("is terminated while fibers take what is settled already, again and again", async () => {
    const program = `
      const text = 'for (let i = 0; i < 5; i++) spawn(() => { for (;;) { for (let k = 0; k < 5000; k++) wait(Promise.resolve(k)); sleep(0); } }); setTimeout(() => parentPort.postMessage("go"), 3)';
      const codes = new Set();
      for (let i = 0; i < 40; i++) codes.add((await work(text, true))[0]);
      console.log([...codes].join());`;
    expect(await check(program, { timeout: 120_000 })).toEqual(printing("1"));
  }, 150_000);

  it("is terminated with fibers suspended below native frames and in scopes", async () => {
    const program = `
      const text = 'many();' +
        'for (let i = 0; i < 20; i++) spawn(() => new AsyncResource("TEST").runInAsyncScope(() => [2, 1].sort(() => "x".replace("x", () => sleep(1e8)))));' +
        'setTimeout(() => parentPort.postMessage("go"), 5)';
      console.log(JSON.stringify(await work(text, true)));`;
    expect(await check(program)).toEqual(printing('[1,"go"]'));
  });

  it("ends by process.exit in a fiber, with its code, after its exit listeners", async () => {
    const program = `
      const text = 'many(); process.on("exit", (code) => parentPort.postMessage("listener " + code)); spawn(() => { sleep(1); process.exit(7); })';
      console.log(JSON.stringify(await work(text)));`;
    expect(await check(program)).toEqual(printing('[7,"listener 7"]'));
  });

  it("ends by process.exit on its hub with 50 fibers suspended", async () => {
    const program = `console.log(JSON.stringify(await work('many(); setTimeout(() => process.exit(7), 5)')));`;
    expect(await check(program)).toEqual(printing("[7]"));
  });

  it("ends by itself with fibers suspended that nothing will resume", async () => {
    const program = `console.log(JSON.stringify(await work('for (let i = 0; i < 50; i++) spawn(() => [1].map(() => sleep(Infinity)));')));`;
    expect(await check(program)).toEqual(printing("[0]"));
  });

  it("reports a failed fiber as an error of its own", async () => {
    const program = `console.log(JSON.stringify(await work('many(); spawn(() => { sleep(1); throw new Error("of a fiber"); })')));`;
    expect(await check(program)).toEqual(printing('[1,"of a fiber"]'));
  });

  it("can be started, and waited for, in a fiber", async () => {
    const program = `
      const code = await spawn(() => wait(work('spawn(() => sleep(1))'))[0]);
      console.log(code);`;
    expect(await check(program)).toEqual(printing("0"));
  });

  it("exchanges messages with fibers on both sides", async () => {
    const program = `
      const { once } = require("node:events");
      const worker = new Worker(__filename, { workerData: 'parentPort.once("message", (n) => spawn(() => { sleep(1); parentPort.postMessage(n + 1); }))' });
      const answer = await spawn(() => { worker.postMessage(41); return wait(once(worker, "message"))[0]; });
      console.log(answer);`;
    expect(await check(program)).toEqual(printing("42"));
  });
});

describeFibers("many workers that come and go", () => {
  it("end cleanly, also when they end as soon as their stacks are there", async () => {
    const program = `
      let ended = 0;
      const lane = async () => { for (let i = 0; i < 25; i++) { const [code] = await work('for (let i = 0; i < 3; i++) spawn(() => {})'); if (code === 0) ended++; } };
      await Promise.all(Array.from({ length: 8 }, lane));
      console.log(ended);`;
    expect(await check(program, { timeout: 150_000 })).toEqual(printing("200"));
  }, 180_000);

  it.runIf(process.platform === "linux")(
    "leave no threads, mappings or memory behind",
    async () => {
      const program = `
        const status = () => {
          const text = readFileSync("/proc/self/status", "utf8");
          const number = (name) => Number(new RegExp(name + ":\\\\s+(\\\\d+)").exec(text)[1]);
          const mappings = readFileSync("/proc/self/maps", "utf8").split("\\n").length;
          return { threads: number("Threads"), rss: number("VmRSS") / 1024, mappings };
        };
        const round = () => Promise.all([
          work('for (let i = 0; i < 50; i++) spawn(() => [1].map(() => sleep(Infinity))); spawn(() => sleep(1))'),
          work('many(); spawn(() => { sleep(1); process.exit(0); })'),
          work('many(); setTimeout(() => parentPort.postMessage("go"), 1)', true),
        ]);
        for (let i = 0; i < 10; i++) await round();
        gc();
        const before = status();
        for (let i = 0; i < 30; i++) await round();
        gc();
        const after = status();
        console.log(JSON.stringify([before, after]));`;
      const { code, signal, stdout, stderr } = await check(program, { flags: ["--expose-gc"], timeout: 150_000 });
      expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: "" });
      const [before, after] = JSON.parse(stdout) as Record<"threads" | "rss" | "mappings", number>[];
      // 90 workers with 50 stacks each: what is left of one stack each would be 4,500 mappings and 70 MiB.
      expect(after?.threads).toBe(before?.threads);
      expect(after?.mappings).toBeLessThan((before?.mappings ?? 0) + 200);
      expect(after?.rss).toBeLessThan((before?.rss ?? 0) + 30);
    },
    180_000,
  );
});

import path from "node:path";
import { type AsyncResult, Full, ShutDown, spawn, ThreadPool, wait } from "runtime";
import { describe, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";
import { until } from "../support/turns";

const math = path.join(__dirname, "..", "support", "tasks", "math.mjs");

type Coded = NodeJS.ErrnoException;
const outcome = (result: PromiseLike<unknown>): Promise<Coded> =>
  Promise.resolve(result).then(
    (value) => {
      throw new Error(`it succeeded: ${value}`);
    },
    (error: Coded) => error,
  );

const gate = () => new Int32Array(new SharedArrayBuffer(8));
const begun = (memory: Int32Array, count = 1) => until(() => Atomics.load(memory, 0) >= count);
const hold = (memory: Int32Array, value: unknown = "let go") => {
  Atomics.add(memory, 0, 1);
  Atomics.wait(memory, 1, 0);
  return value;
};
const letGo = (memory: Int32Array) => {
  Atomics.store(memory, 1, 1);
  Atomics.notify(memory, 1);
};
const threadId = () => require("node:worker_threads").threadId as number;

describe("a thread pool", () => {
  it("has no threads before its first task, and no more than max", async () => {
    const pool = new ThreadPool({ max: 2 });
    expect([pool.threads, pool.max]).toEqual([0, 2]);
    const memory = gate();
    const results = [1, 2, 3].map((i) => pool.spawn(hold, memory, i));
    await begun(memory, 2);
    expect([pool.threads, pool.running, pool.queueSize]).toEqual([2, 2, 1]);
    letGo(memory);
    expect(await Promise.all(results)).toEqual([1, 2, 3]);
    expect([pool.running, pool.queueSize]).toEqual([0, 0]);
    pool.kill();
  });

  it("has min threads from the start, and keeps them", async () => {
    const pool = new ThreadPool({ min: 2, max: 3, idleTimeout: 1 });
    expect(pool.threads).toBe(2);
    const memory = gate();
    const results = [1, 2, 3].map(() => pool.spawn(hold, memory));
    await begun(memory, 3);
    expect(pool.threads).toBe(3);
    letGo(memory);
    await Promise.all(results);
    await until(() => pool.threads === 2);
    pool.kill();
  });

  it("lets threads go that have nothing to do", async () => {
    const pool = new ThreadPool({ idleTimeout: 1 });
    await pool.spawn(() => 1);
    await until(() => pool.threads === 0);
    expect(await pool.spawn(() => 2)).toBe(2);
    pool.kill();
  });

  it("does tasks in the order in which they came", async () => {
    const pool = new ThreadPool({ max: 1 });
    const memory = gate();
    const order = (memory: Int32Array) => Atomics.add(memory, 0, 1);
    const places = await Promise.all(Array.from({ length: 20 }, () => pool.spawn(order, memory)));
    expect(places).toEqual(Array.from({ length: 20 }, (_, i) => i));
    pool.kill();
  });

  it("tells how much it is used", async () => {
    const pool = new ThreadPool({ max: 1 });
    expect(pool.utilization).toBe(0);
    const memory = gate();
    const result = pool.spawn(hold, memory);
    await begun(memory);
    const before = pool.utilization;
    await until(() => pool.utilization > before);
    letGo(memory);
    await result;
    const { utilization } = pool;
    expect(utilization).toBeGreaterThan(0);
    expect(utilization).toBeLessThanOrEqual(1);
    await until(() => pool.utilization < utilization);
    pool.kill();
  });

  it("throws Full when the queue is, and nobody can wait", async () => {
    const pool = new ThreadPool({ max: 1, maxQueue: 1 });
    const memory = gate();
    const results = [pool.spawn(hold, memory), pool.spawn(hold, memory)];
    expect(() => pool.spawn(hold, memory)).toThrow(Full);
    letGo(memory);
    await Promise.all(results);
    expect(await pool.spawn(() => "room")).toBe("room");
    pool.kill();
  });

  it.each([
    ["options", 1, 'The "options" argument must be of type object'],
    ["options.min", { min: -1 }, 'The value of "options.min" is out of range'],
    ["options.max", { max: 0 }, 'The value of "options.max" is out of range'],
    ["options.max below min", { min: 2, max: 1 }, 'The value of "options.max" is out of range'],
    ["options.idleTimeout", { idleTimeout: "1" }, 'The "options.idleTimeout" argument must be of type number'],
    ["options.maxQueue", { maxQueue: 0.5 }, 'The value of "options.maxQueue" is out of range'],
    ["options.resourceLimits", { resourceLimits: 1 }, 'The "options.resourceLimits" argument must be of type object'],
  ])("refuses bad arguments by name: %s", (_, options, message) => {
    expect(() => new ThreadPool(options as never)).toThrow(message);
  });
});

describe("a thread that dies", () => {
  it("by process.exit fails its own task, is replaced, and no task that waits is lost", async () => {
    const pool = new ThreadPool({ max: 1 });
    const doomed = pool.spawn(() => process.exit(3));
    const others = Array.from({ length: 5 }, (_, i) => pool.spawn((i: number) => i, i));
    expect(await outcome(doomed)).toMatchObject({
      code: "ERR_THREAD_LOST",
      message: "The thread that ran this has ended: process.exit(3) was called in it",
    });
    expect(await Promise.all(others)).toEqual([0, 1, 2, 3, 4]);
    pool.kill();
  });

  it("of an uncaught error fails its own task, with that as the cause; others go on", async () => {
    const pool = new ThreadPool({ max: 2 });
    const memory = gate();
    const other = pool.spawn(hold, memory);
    await begun(memory);
    const doomed = pool.spawn(
      () =>
        new Promise(() => {
          setImmediate(() => {
            throw new RangeError("nobody catches");
          });
        }),
    );
    const error = await outcome(doomed);
    expect(error).toMatchObject({ code: "ERR_THREAD_LOST", cause: { message: "nobody catches" } });
    letGo(memory);
    expect(await other).toBe("let go");
    expect(await pool.spawn(() => "next")).toBe("next");
    pool.kill();
  });

  it("of too little memory fails its own task, and says so", async () => {
    const pool = new ThreadPool({ max: 1, resourceLimits: { maxOldGenerationSizeMb: 16 } });
    const doomed = pool.spawn(() => {
      let last: unknown;
      for (;;) last = { last };
    });
    const next = pool.spawn(() => "next");
    expect(await outcome(doomed)).toMatchObject({
      code: "ERR_THREAD_LOST",
      message: expect.stringContaining("reaching memory limit"),
      cause: { code: "ERR_WORKER_OUT_OF_MEMORY" },
    });
    expect(await next).toBe("next");
    pool.kill();
  });

  it("before it could start fails the tasks that have waited for it", async () => {
    const program = `
      const { ThreadPool } = require("runtime");
      const pool = new ThreadPool({ max: 2 });
      Promise.allSettled([1, 2, 3].map((i) => pool.spawn((i) => i, i))).then((all) => console.log(all.map(({ reason }) => reason?.code).join()));`;
    expect(
      await run(program, { flags: ["--require", path.join(__dirname, "..", "support", "exit-in-threads.cjs")] }),
    ).toEqual(printing("ERR_THREAD_LOST,ERR_THREAD_LOST,ERR_THREAD_LOST"));
  });
});

describe("a thread pool's end", () => {
  it("kill ends all tasks, those that run and those that wait, and the pool can be used on", async () => {
    const pool = new ThreadPool({ max: 1 });
    const memory = gate();
    const results = [pool.spawn(hold, memory), pool.spawn(hold, memory)];
    await begun(memory);
    pool.kill();
    const errors = await Promise.all(results.map(outcome));
    expect(errors.map(({ code }) => code)).toEqual(["ERR_THREAD_ENDED", "ERR_THREAD_ENDED"]);
    expect([pool.threads, pool.running, pool.queueSize, Atomics.load(memory, 0)]).toEqual([0, 0, 0, 1]);
    expect(await pool.spawn(() => "on")).toBe("on");
    pool.kill();
  });

  it("close takes no further tasks, does those that there are, and ends the threads", async () => {
    const pool = new ThreadPool({ max: 1 });
    const memory = gate();
    const results = [pool.spawn(hold, memory, 1), pool.spawn(hold, memory, 2)];
    pool.close();
    expect(() => pool.spawn(() => 3)).toThrow(ShutDown);
    letGo(memory);
    expect(await Promise.all(results)).toEqual([1, 2]);
    expect(pool.threads).toBe(0);
  });

  it("close of an idle pool ends its threads", async () => {
    const pool = new ThreadPool({ min: 1 });
    await pool.spawn(() => 1);
    pool.close();
    expect(pool.threads).toBe(0);
  });

  it("of the shared one is the beginning of another", async () => {
    const first = ThreadPool.shared;
    first.close();
    expect(ThreadPool.shared).not.toBe(first);
    expect(await ThreadPool.shared.spawn(() => 1)).toBe(1);
    ThreadPool.shared.kill();
  });
});

describeFibers("a thread pool in fibers", () => {
  it("has a fiber wait while the queue is full, and others go on", async () => {
    const pool = new ThreadPool({ max: 1, maxQueue: 0 });
    const memory = gate();
    const first = spawn(() => pool.apply(hold, memory, 1));
    await begun(memory);
    const second = spawn(() => pool.apply((x: number) => x, 2));
    const third = spawn(() => pool.spawn((x: number) => x, 3).get());
    await spawn(() => {}); // both have had their turn
    expect([second.dead, third.dead, pool.queueSize]).toEqual([false, false, 0]);
    letGo(memory);
    expect(await Promise.all([first, second, third])).toEqual([1, 2, 3]);
    pool.kill();
  });

  it("lets nobody overtake whoever waits for room, and a killed one leaves the line", async () => {
    const pool = new ThreadPool({ max: 1, maxQueue: 0 });
    const memory = gate();
    const first = spawn(() => pool.apply(hold, memory));
    await begun(memory);
    const killed = spawn(() => pool.apply(() => "never"));
    const order: number[] = [];
    const others = [1, 2, 3].map((i) => spawn(() => order.push(pool.apply((i: number) => i, i))));
    await spawn(() => {});
    killed.kill(undefined, { block: false });
    letGo(memory);
    await Promise.all([first, ...others]);
    expect(order).toEqual([1, 2, 3]);
    expect(await spawn(() => pool.apply(() => "room"))).toBe("room");
    pool.kill();
  });

  it("wait() takes the result of spawn", async () => {
    const pool = new ThreadPool();
    expect(await spawn(() => wait(pool.spawn(math, [1, 2])))).toBe(3);
    pool.kill();
  });

  it("join waits for all tasks", async () => {
    const pool = new ThreadPool({ max: 1 });
    const memory = gate();
    const results = [pool.spawn(hold, memory), pool.spawn(hold, memory)] as AsyncResult[];
    const joined = spawn(() => [pool.join(1), pool.join(), results.every(({ ready }) => ready)]);
    await begun(memory);
    await until(() => pool.queueSize === 1);
    spawn(() => pool.join(5)).then(() => letGo(memory));
    expect(await joined).toEqual([false, true, true]);
    pool.kill();
  });

  it("map gives the results in the order of the items", async () => {
    const pool = new ThreadPool({ max: 2 });
    const items = Array.from({ length: 20 }, (_, i) => i);
    expect(await spawn(() => pool.map((i: number) => i * i, items))).toEqual(items.map((i) => i * i));
    expect(await spawn(() => pool.map(math, [1, 2]))).toEqual([1, 2]);
    pool.kill();
  });

  it("map throws what the first of them failed with; the others go on", async () => {
    const pool = new ThreadPool({ max: 1 });
    const memory = gate();
    const task = (item: Int32Array | string) => {
      if (typeof item === "string") throw new Error(item);
      Atomics.add(item, 0, 1);
    };
    const failed = outcome(spawn(() => pool.map(task, ["first", "second", memory])));
    expect((await failed).message).toBe("first");
    await begun(memory);
    pool.kill();
  });

  it("map's error shows who called it, and what the task was doing", async () => {
    const pool = new ThreadPool();
    const asksForIt = () => pool.map((text: string) => JSON.parse(text), ["{"]);
    const { stack = "" } = await outcome(spawn(asksForIt));
    expect(stack).toMatch(/^SyntaxError: .*\n(.*\n)* {4}at asksForIt /);
    expect(stack).toContain("offloaded");
  });

  it("map, interrupted, ends all of its tasks", async () => {
    const pool = new ThreadPool({ max: 1 });
    const memory = gate();
    const fiber = spawn(() => pool.map(hold, [memory, memory, memory]));
    await begun(memory);
    fiber.kill(undefined, { block: false });
    await until(() => fiber.dead);
    expect([pool.running, pool.queueSize]).toEqual([0, 0]);
    pool.kill();
  });

  it("imap yields in the order of the items, imapUnordered as results come", async () => {
    const pool = new ThreadPool({ max: 2 });
    const memory = gate();
    const task = ([memory, i]: [Int32Array, number]) => {
      if (i === 0) Atomics.wait(memory, 1, 0);
      return i;
    };
    const items = (memory: Int32Array) => [0, 1, 2].map((i) => [memory, i] as [Int32Array, number]);
    const unordered = await spawn(() => {
      const seen: unknown[] = [];
      for (const i of pool.imapUnordered(task, items(memory))) if (seen.push(i) === 2) letGo(memory);
      return seen;
    });
    expect(unordered).toEqual([1, 2, 0]);
    expect(await spawn(() => [...pool.imap(task, items(memory))])).toEqual([0, 1, 2]);
    pool.kill();
  });

  it("imap starts no further tasks when its loop is left", async () => {
    const pool = new ThreadPool({ max: 1 });
    const memory = gate();
    const count = (memory: Int32Array) => Atomics.add(memory, 0, 1);
    const first = await spawn(() => {
      for (const value of pool.imap(count, new Array(100).fill(memory), { maxSize: 1 })) return value;
    });
    await spawn(() => pool.join());
    expect(first).toBe(0);
    expect(Atomics.load(memory, 0)).toBeLessThan(5);
    pool.kill();
  });

  it("an endless iterable is taken from as tasks are done", async () => {
    const pool = new ThreadPool({ max: 2 });
    let taken = 0;
    function* endless() {
      for (;;) yield taken++;
    }
    const sum = await spawn(() => {
      let sum = 0;
      for (const i of pool.imap((i: number) => i, endless(), { maxSize: 4 })) {
        sum += i;
        if (i === 20) return sum;
      }
    });
    expect(sum).toBe(210);
    expect(taken).toBeLessThan(40);
    pool.kill();
  });

  it("many tasks of many fibers, some killed, some failing, all end", async () => {
    const pool = new ThreadPool({ max: 2, maxQueue: 3 });
    const task = (i: number) => {
      if (i % 5 === 0) throw new Error(String(i));
      if (i % 17 === 0) process.exit(1);
      return i;
    };
    const fibers = Array.from({ length: 60 }, (_, i) => spawn(() => pool.apply(task, i)));
    await spawn(() => {});
    const killed = fibers.filter((_, i) => i % 7 === 3);
    for (const fiber of killed) fiber.kill(undefined, { block: false });
    const ends = await Promise.allSettled(fibers);
    const count = (status: string) => ends.filter((end) => end.status === status).length;
    expect(count("fulfilled") + count("rejected")).toBe(60);
    for (const [i, end] of ends.entries()) {
      if (i % 7 === 3) continue;
      if (i % 5 === 0) expect(end).toMatchObject({ reason: { message: String(i) } });
      else if (i % 17 === 0) expect(end).toMatchObject({ reason: { code: "ERR_THREAD_LOST" } });
      else expect(end).toMatchObject({ value: i });
    }
    expect([pool.running, pool.queueSize]).toEqual([0, 0]);
    pool.kill();
  });

  it("a thread keeps what a task leaves there, and another pool has other threads", async () => {
    const [one, two] = [new ThreadPool({ max: 1 }), new ThreadPool({ max: 1 })];
    const ids = await spawn(() => [one.apply(threadId), one.apply(threadId), two.apply(threadId)]);
    expect(ids[0]).toBe(ids[1]);
    expect(ids[0]).not.toBe(ids[2]);
    one.kill();
    two.kill();
  });
});

describe("a process with thread pools", () => {
  it("ends by itself with idle threads, and not before the last task", async () => {
    const program = `
      const { ThreadPool } = require("runtime");
      const pool = new ThreadPool({ min: 1, max: 2, idleTimeout: 1e9 });
      const slow = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
      pool.spawn(slow).then(console.log);
      pool.spawn(slow).then(console.log);`;
    expect(await run(program)).toEqual(printing("timed-out", "timed-out"));
  });

  it("ends with threads that were terminated", async () => {
    const program = `
      const { ThreadPool } = require("runtime");
      const pool = new ThreadPool({ max: 1 });
      const controller = new AbortController();
      const memory = new Int32Array(new SharedArrayBuffer(4));
      const task = "data:text/javascript,export default (memory) => { Atomics.store(memory, 0, 1); for (;;); }";
      pool.spawn(task, [memory], { signal: controller.signal }).then(console.log, (error) => console.log(error.code));
      setImmediate(function look() { Atomics.load(memory, 0) ? controller.abort() : setImmediate(look); });`;
    expect(await run(program)).toEqual(printing("ABORT_ERR"));
  });

  it("ends by process.exit while tasks run", async () => {
    const program = `
      const { ThreadPool } = require("runtime");
      const memory = new Int32Array(new SharedArrayBuffer(4));
      new ThreadPool().spawn((memory) => { Atomics.store(memory, 0, 1); for (;;); }, memory);
      setImmediate(function look() { Atomics.load(memory, 0) ? process.exit(5) : setImmediate(look); });`;
    expect(await run(program)).toEqual({ ...printing(), code: 5 });
  });

  it("loads piscina, and worker_threads, for the first task", async () => {
    const program = `
      const { ThreadPool } = require("runtime");
      const loaded = () => Object.keys(require.cache).some((file) => file.includes("piscina"));
      const before = [loaded(), (new ThreadPool(), loaded())];
      new ThreadPool().spawn(() => 1).then(() => console.log(...before, loaded()));`;
    expect(await run(program)).toEqual(printing("false false true"));
  });

  it.each(["--require", "--import"])(
    "does not have its threads patched by %s runtime/patch, and keeps other preloads",
    async (flag) => {
      const program = `
      const { isPatched, ThreadPool } = require("runtime");
      const task = () => [require("node:events")[Symbol.for("runtime.instance")] === undefined, globalThis.preloaded];
      new ThreadPool().spawn(task).then((seen) => console.log(isPatched("fs"), ...seen));`;
      const preload = path.join(__dirname, "..", "support", "preload.cjs");
      const own = path.join(__dirname, "..", "..", "dist", "patch.js");
      const flags = ["--require", preload, "--max-semi-space-size=16", flag, own];
      expect(await run(program, { flags })).toEqual(printing("true true true"));
      const env = { NODE_OPTIONS: `${flag}=${own} --max-semi-space-size=16` };
      expect(await run(program, { flags: ["--require", preload], env })).toEqual(printing("true true true"));
    },
  );

  it("functions require as the main module does", async () => {
    const program = `
      const { ThreadPool } = require("runtime");
      new ThreadPool().spawn(() => require("./own.cjs")).then(console.log);`;
    expect(await run(program, { files: { "own.cjs": "module.exports = 'its own';" } })).toEqual(printing("its own"));
  });

  it("can have pools in its workers, and in tasks", async () => {
    const program = `
      const { isMainThread, parentPort, Worker } = require("node:worker_threads");
      const { ThreadPool } = require("runtime");
      if (isMainThread) new Worker(__filename).on("message", console.log);
      else {
        const inner = () => { const { ThreadPool } = require("runtime"); return new ThreadPool().spawn((x) => x + 1, 1); };
        new ThreadPool().spawn((x) => x + 1, 1).then(async (value) => {
          parentPort.postMessage(value + " " + (await new ThreadPool().spawn(inner)));
        });
      }`;
    expect(await run(program)).toEqual(printing("2 2"));
  });
});

describeFibers("a worker with fibers", () => {
  it("offloads as the main thread does", async () => {
    const program = `
      const { isMainThread, parentPort, Worker } = require("node:worker_threads");
      const { offload, sleep, spawn } = require("runtime");
      if (isMainThread) new Worker(__filename).on("message", console.log);
      else spawn(() => parentPort.postMessage(offload((a, b) => a + b, 1, 2)));`;
    expect(await run(program)).toEqual(printing("3"));
  });
});

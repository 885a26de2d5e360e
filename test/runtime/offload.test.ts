import { AsyncLocalStorage } from "node:async_hooks";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { AbortError, AsyncResult, FiberExit, offload, sleep, spawn, ThreadPool, Timeout, withTimeout } from "runtime";
import { afterAll, describe, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { until } from "../support/turns";

const tasks = path.join(__dirname, "..", "support", "tasks");
const math = path.join(tasks, "math.mjs");
const common = path.join(tasks, "common.cjs");

afterAll(() => ThreadPool.shared.kill());

/** What a call in a fiber throws. */
const failure = (call: () => unknown): Promise<NodeJS.ErrnoException> =>
  spawn(call).then(
    (value) => {
      throw new Error(`it returned ${value}`);
    },
    (error: NodeJS.ErrnoException) => error,
  );

/** Shared memory for tasks that say when they have begun, and that wait until they are let go. */
const gate = () => new Int32Array(new SharedArrayBuffer(8));
const begunAt = (memory: Int32Array) => until(() => Atomics.load(memory, 0) > 0);
const hold = (memory: Int32Array) => {
  Atomics.add(memory, 0, 1);
  Atomics.wait(memory, 1, 0);
  return "let go";
};
const letGo = (memory: Int32Array) => {
  Atomics.store(memory, 1, 1);
  Atomics.notify(memory, 1);
};

describeFibers("offload: a function", () => {
  it("runs in another thread, with its arguments, and its value is returned", async () => {
    const task = (a: number, b: number) => [a + b, require("node:worker_threads").isMainThread];
    expect(await spawn(() => offload(task, 1, 2))).toEqual([3, false]);
  });

  it("suspends its own fiber only", async () => {
    const memory = gate();
    const waiting = spawn(() => offload(hold, memory));
    await begunAt(memory);
    expect(waiting.dead).toBe(false);
    letGo(memory);
    expect(await waiting).toBe("let go");
  });

  it("may be async: what its promise brings is returned", async () => {
    expect(await spawn(() => offload(async (x: number) => (await Promise.resolve(x)) + 1, 1))).toBe(2);
  });

  it("may be an ordinary function, a method, an async method, or have a name that tsx gives it", async () => {
    const object = {
      twice(x: number) {
        return 2 * x;
      },
      async thrice(x: number) {
        return 3 * x;
      },
      "four times"(x: number) {
        return 4 * x;
      },
    };
    function half(x: number) {
      return x / 2;
    }
    const all = [half, object.twice, object.thrice, object["four times"]];
    expect(await spawn(() => all.map((fn) => offload(fn, 2)))).toEqual([1, 4, 6, 8]);
  });

  it("is strict if it was, and sloppy if it was", async () => {
    const strict = new Function('"use strict"; return function () { return typeof this; }')() as () => string;
    const sloppy = new Function("return function () { return typeof this; }")() as () => string;
    expect(await spawn(() => [offload(strict), offload(sloppy)])).toEqual(["undefined", "object"]);
  });

  it("that uses a variable around it fails with a ReferenceError that names it, and says why", async () => {
    const around = 1;
    const error = await failure(() => offload(() => around + 1));
    expect(error).toBeInstanceOf(ReferenceError);
    expect(error.message).toMatch(/^around is not defined \(this function runs in another thread/);
  });

  it.each([
    ["a bound one", ((x: number) => x).bind(null), /bound, or native/],
    ["a native one", Math.max, /bound, or native/],
    ["a class", class Task {}, /is a class/],
    [
      "a generator function",
      function* () {
        yield 1;
      },
      /generator function/,
    ],
  ])("that cannot be sent as text is refused at once: %s", async (_, fn, message) => {
    const error = await failure(() => offload(fn as never));
    expect(error).toMatchObject({ name: "TypeError", code: "ERR_INVALID_ARG_VALUE" });
    expect(error.message).toMatch(message);
  });
});

describeFibers("offload: a module", () => {
  it("is given as a URL, as a URL's text, or as an absolute path", async () => {
    const url = pathToFileURL(math);
    expect(await spawn(() => [url, url.href, math].map((module) => offload(module, [1, 2, 3])))).toEqual([6, 6, 6]);
  });

  it("has the function of that name called, in another thread", async () => {
    expect(await spawn(() => offload(math, [], { name: "where" }))).toEqual(["math.mjs", false]);
  });

  it("may be CommonJS: module.exports, or a property of it", async () => {
    const both = spawn(() => [offload(common, ["abc"]), offload(common, ["abc"], { name: "reverse" })]);
    expect(await both).toEqual(["ABC", "cba"]);
  });

  it("may be TypeScript", async () => {
    const typed = path.join(tasks, "typed.mts");
    const points = [
      { x: 0, y: 0 },
      { x: 3, y: 4 },
    ];
    expect(await spawn(() => offload(typed, points, { name: "distance" }))).toBe(5);
  });

  it("may be a data: URL", async () => {
    expect(await spawn(() => offload("data:text/javascript,export default (x) => x + 1", [1]))).toBe(2);
  });

  it("that does not export the function is told, with what it does export", async () => {
    const error = await failure(() => offload(math, [], { name: "notAFunction" }));
    expect(error.code).toBe("ERR_NO_SUCH_EXPORT");
    expect(error.message).toContain('does not export a function "notAFunction". It exports default, fail, half');
  });

  it("that is not there is told as Node tells it", async () => {
    expect((await failure(() => offload(path.join(tasks, "none.mjs")))).code).toBe("ERR_MODULE_NOT_FOUND");
  });

  it("cannot be relative, there is nothing that it could be relative to", async () => {
    const error = await failure(() => offload("./math.mjs"));
    expect(error.code).toBe("ERR_INVALID_ARG_VALUE");
    expect(error.message).toContain('new URL("./task.js", import.meta.url)');
  });
});

describeFibers("offload: values", () => {
  const there = <T>(value: T): T => spawn(() => offload((x: T) => x, value)) as T;

  it("arrive as structuredClone has them", async () => {
    const cyclic: unknown[] = [new Map([[1, new Set([2])]]), new Date(5), /x/g, 10n, undefined, null, Number.NaN];
    cyclic.push({ deep: [cyclic] });
    expect(await there(cyclic)).toEqual(cyclic);
  });

  it("that are Buffers stay Buffers, wherever they are, on both ways", async () => {
    const task = (value: { list: Buffer[] }) => ({ text: value.list[1]?.toString(), bytes: Buffer.from("back") });
    const { text, bytes } = await spawn(() => offload(task, { list: [Buffer.from("a"), Buffer.from("b")] }));
    expect([text, Buffer.isBuffer(bytes), bytes.toString()]).toEqual(["b", true, "back"]);
  });

  it("that are small Buffers do not take their pool along", async () => {
    const size = spawn(() => offload((bytes: Buffer) => bytes.buffer.byteLength, Buffer.from("abc")));
    expect(await size).toBe(3);
  });

  it("that are Uint8Arrays stay that", async () => {
    const kind = spawn(() => offload((bytes: Uint8Array) => bytes.constructor.name, new Uint8Array(2)));
    expect([await kind, (await there(new Uint8Array(2))).constructor]).toEqual(["Uint8Array", Uint8Array]);
  });

  it("that are errors keep class, code, cause and name, also within others", async () => {
    const error = Object.assign(new TypeError("outer", { cause: new RangeError("inner") }), {
      code: "E_OUTER",
      name: "Own",
    });
    const [same] = await there([error]);
    expect(same).toBeInstanceOf(TypeError);
    expect(same).toMatchObject({ message: "outer", code: "E_OUTER", name: "Own" });
    expect(same?.cause).toBeInstanceOf(RangeError);
  });

  it("that are moved are gone here", async () => {
    const bytes = new Uint8Array(1000).fill(1);
    const half = spawn(() => offload(math, [bytes], { name: "half", transfer: [bytes.buffer] }));
    expect([(await half).length, bytes.length]).toEqual([500, 0]);
  });

  it("that a task moves are gone there", async () => {
    const pool = new ThreadPool({ max: 1 });
    const [moved, left] = await spawn(() => [
      pool.apply(math, [1000], { name: "moved" }) as Uint8Array,
      pool.apply(math, [], { name: "lengthOfMoved" }) as number,
    ]);
    pool.kill();
    expect([moved[999], left]).toEqual([7, 0]);
  });

  it.each([
    [
      "a function",
      { list: [0, { call: () => {} }] },
      "args[0].list[1].call cannot be sent to another thread: it is a function",
    ],
    ["a symbol", [Symbol("x")], "args[0][0] cannot be sent to another thread: it is a symbol"],
    [
      "a promise",
      { later: Promise.resolve() },
      "args[0].later cannot be sent to another thread: #<Promise> could not be cloned",
    ],
    ["a Map of functions", { map: new Map([[1, () => {}]]) }, "args[0].map cannot be sent to another thread"],
  ])("that cannot be sent are named: %s", async (_, value, message) => {
    const error = await failure(() => offload((x: unknown) => typeof x, value));
    expect(error.name).toBe("DataCloneError");
    expect(error.message).toContain(message);
  });

  it("that cannot be sent back are named, and the thread goes on", async () => {
    const pool = new ThreadPool({ max: 1 });
    const thread = () => require("node:worker_threads").threadId;
    const before = await spawn(() => pool.apply(thread));
    const error = await failure(() => pool.apply(() => ({ rows: [{ get: () => 1 }] })));
    expect([error.name, error.message]).toEqual([
      "DataCloneError",
      "the result.rows[0].get cannot be sent to another thread: it is a function",
    ]);
    expect((await failure(() => pool.apply(() => new Map([[1, () => {}]])))).name).toBe("DataCloneError");
    expect((await failure(() => pool.apply(() => Promise.reject({ f() {} })))).name).toBe("DataCloneError");
    expect(await spawn(() => pool.apply(thread))).toBe(before);
    pool.kill();
  });
});

describeFibers("offload: errors", () => {
  it("are of the same class, with code, message, cause and other properties", async () => {
    const error = await failure(() =>
      offload(() => {
        const cause = new TypeError("the cause");
        throw Object.assign(new RangeError("too far", { cause }), { code: "E_FAR", details: { at: [1, 2] } });
      }),
    );
    expect(error).toBeInstanceOf(RangeError);
    expect(error).toMatchObject({ message: "too far", code: "E_FAR", details: { at: [1, 2] } });
    expect(error.cause).toBeInstanceOf(TypeError);
  });

  it("of Node have its code and properties", async () => {
    const error = await failure(() => offload(() => require("node:fs").readFileSync("/nowhere/at/all")));
    expect(error).toMatchObject({ code: "ENOENT", syscall: "open", path: "/nowhere/at/all", errno: -2 });
  });

  it("show the frames of both sides", async () => {
    function asksForIt() {
      return offload(math, ["far"], { name: "fail" });
    }
    const { stack = "" } = await failure(asksForIt);
    expect(stack).toMatch(/^RangeError: far\n {4}at fail \(.*math\.mjs:/);
    expect(stack).toContain("at asksForIt ");
    expect(stack).not.toContain("thread.js");
  });

  it("of the Web's kind have their name and code", async () => {
    const error = await failure(() => offload(() => structuredClone(Promise.resolve())));
    expect(error).toMatchObject({ name: "DataCloneError", code: 25 });
  });

  it("with a cause that leads back to them arrive", async () => {
    const error = await failure(() =>
      offload(() => {
        const error = new Error("round");
        error.cause = error;
        throw error;
      }),
    );
    expect(error.message).toBe("round");
  });

  it("may be other values than errors", async () => {
    const thrown = spawn(() => {
      try {
        return offload(() => {
          throw { reason: "own", bytes: Buffer.from("x") };
        });
      } catch (value) {
        return value;
      }
    });
    expect(await thrown).toEqual({ reason: "own", bytes: Buffer.from("x") });
  });
});

describeFibers("offload: the waiting fiber", () => {
  it("that is killed has the thread terminated, and its place taken by another", async () => {
    const pool = new ThreadPool({ max: 1 });
    const memory = gate();
    const fiber = spawn(() => pool.apply(hold, memory));
    await begunAt(memory);
    const next = spawn(() => pool.apply(() => "next"));
    fiber.kill(undefined, { block: false });
    expect(await next).toBe("next");
    expect(fiber.value).toBeInstanceOf(FiberExit);
    expect([pool.running, pool.threads]).toEqual([0, 1]);
    pool.kill();
  });

  it("that is killed while its task waits for a thread has it never begun", async () => {
    const pool = new ThreadPool({ max: 1 });
    const memory = gate();
    const other = gate();
    const first = spawn(() => pool.apply(hold, memory));
    await begunAt(memory);
    const second = spawn(() => pool.apply(hold, other));
    await until(() => pool.queueSize === 1);
    second.kill(undefined, { block: false });
    await until(() => second.dead);
    expect(pool.queueSize).toBe(0);
    letGo(memory);
    expect([await first, Atomics.load(other, 0)]).toEqual(["let go", 0]);
    pool.kill();
  });

  it("that times out ends a task that computes without end", async () => {
    const pool = new ThreadPool({ max: 1 });
    const memory = gate();
    const endless = (memory: Int32Array) => {
      for (;;) Atomics.add(memory, 0, 1);
    };
    const timedOut = await failure(() => withTimeout(100, () => pool.apply(endless, memory)));
    expect(timedOut).toBeInstanceOf(Timeout);
    expect(pool.running).toBe(0);
    pool.kill();
  });

  it("has an AbortError when the signal is aborted, with its reason; and the thread is terminated", async () => {
    const pool = new ThreadPool({ max: 1 });
    const memory = gate();
    const controller = new AbortController();
    const hold = "data:text/javascript,export default (memory) => { Atomics.add(memory, 0, 1); for (;;); }";
    const error = failure(() => pool.apply(hold, [memory], { signal: controller.signal }));
    await begunAt(memory);
    controller.abort("enough");
    expect(await error).toBeInstanceOf(AbortError);
    expect((await error).cause).toBe("enough");
    expect(pool.running).toBe(0);
    pool.kill();
  });

  it("has an AbortError at once for a signal that was aborted before", async () => {
    const error = await failure(() => offload(math, [1], { signal: AbortSignal.abort() }));
    expect(error).toBeInstanceOf(AbortError);
  });

  it("has its async context afterwards", async () => {
    const storage = new AsyncLocalStorage<string>();
    const fiber = storage.run("own", () =>
      spawn(() => {
        offload(() => 1);
        return storage.getStore();
      }),
    );
    expect(await fiber).toBe("own");
  });
});

describeFibers("offload: progress", () => {
  it("reaches the callback, in order, before the call returns", async () => {
    const steps: unknown[] = [];
    const onProgress = ({ step, bytes }: { step: number; bytes: Buffer }) => steps.push(step, Buffer.isBuffer(bytes));
    const result = await spawn(() => [offload(math, [3], { name: "stepwise", onProgress }), steps.length]);
    expect([result, steps]).toEqual([
      ["done", 6],
      [1, true, 2, true, 3, true],
    ]);
  });

  it("may block in the callback, which is not called again meanwhile; the call waits for it", async () => {
    const log: string[] = [];
    const onProgress = ({ step }: { step: number }) => {
      log.push(`begin ${step}`);
      sleep(1);
      log.push(`end ${step}`);
    };
    await spawn(() => offload(math, [3], { name: "stepwise", onProgress }));
    expect(log).toEqual(["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"]);
  });

  it("has its caller's async context", async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen: unknown[] = [];
    const onProgress = () => seen.push(storage.getStore());
    await storage.run("own", () => spawn(() => offload(math, [2], { name: "stepwise", onProgress })));
    expect(seen).toEqual(["own", "own"]);
  });

  it("that the callback fails at ends the call with its error", async () => {
    const own = new Error("own");
    const onProgress = () => {
      throw own;
    };
    expect(await failure(() => offload(math, [3], { name: "stepwise", onProgress }))).toBe(own);
  });

  it("that nobody asked for is dropped", async () => {
    expect(await spawn(() => offload(math, [3], { name: "stepwise" }))).toBe("done");
  });
});

describeFibers("offload: in vain", () => {
  it.each<[string, () => unknown, string]>([
    [
      "no task",
      () => offload(undefined as never),
      'The "task" argument must be a function, or a module\'s URL or absolute path',
    ],
    ["arguments that are no array", () => offload(math, 1 as never), 'The "args" argument must be an array'],
    ["options that are none", () => offload(math, [], 1 as never), 'The "options" argument must be of type object'],
    [
      "a name that is none",
      () => offload(math, [], { name: 1 as never }),
      'The "options.name" argument must be of type string',
    ],
    [
      "a signal that is none",
      () => offload(math, [], { signal: 1 as never }),
      'The "options.signal" argument must be an AbortSignal',
    ],
    [
      "a callback that is none",
      () => offload(math, [], { onProgress: 1 as never }),
      'The "options.onProgress" argument',
    ],
    [
      "a list that is none",
      () => offload(math, [], { transfer: 1 as never }),
      'The "options.transfer" argument must be an array',
    ],
  ])("%s: a TypeError that names the argument", async (_, call, message) => {
    const error = await failure(call);
    expect([error.name, error.code]).toEqual(["TypeError", "ERR_INVALID_ARG_TYPE"]);
    expect(error.message).toContain(message);
  });
});

describe("offload out of a fiber", () => {
  it("throws ERR_NOT_IN_FIBER, and begins nothing", () => {
    const pool = new ThreadPool();
    let code: unknown;
    try {
      pool.apply(() => 1);
    } catch (error) {
      code = (error as NodeJS.ErrnoException).code;
    }
    expect([code, pool.running, pool.threads]).toEqual(["ERR_NOT_IN_FIBER", 0, 0]);
  });

  it("is ThreadPool.shared.spawn, whose result can be awaited", async () => {
    const result = ThreadPool.shared.spawn(math, [1, 2]);
    expect(result).toBeInstanceOf(AsyncResult);
    expect(await result).toBe(3);
    expect(await ThreadPool.shared.spawn((a: number, b: number) => a * b, 3, 4)).toBe(12);
  });

  it("rejects with the error, which shows both sides' frames", async () => {
    function asksForIt() {
      return ThreadPool.shared.spawn(math, ["far"], { name: "fail" });
    }
    const error = await asksForIt().then(String, (error: Error) => error.stack);
    expect(error).toMatch(/^RangeError: far\n {4}at fail \(.*math\.mjs:/);
    expect(error).toContain("at asksForIt ");
  });

  it("reports progress to a callback", async () => {
    const steps: number[] = [];
    const onProgress = ({ step }: { step: number }) => steps.push(step);
    expect(await ThreadPool.shared.spawn(math, [3], { name: "stepwise", onProgress })).toBe("done");
    expect(steps).toEqual([1, 2, 3]);
  });

  it("can be aborted by a signal", async () => {
    const memory = gate();
    const controller = new AbortController();
    const pool = new ThreadPool({ max: 1 });
    const endless = "data:text/javascript,export default (memory) => { Atomics.add(memory, 0, 1); for (;;); }";
    const result = pool.spawn(endless, [memory], { signal: controller.signal });
    await begunAt(memory);
    controller.abort("enough");
    const error = await result.then(String, (error: Error) => error);
    expect(error).toMatchObject({ code: "ABORT_ERR", cause: "enough" });
    expect(pool.running).toBe(0);
    pool.kill();
  });
});

import path from "node:path";
import { pathToFileURL } from "node:url";
import { inspect } from "node:util";
import { sleep, spawn, Timeout, threaded, withTimeout } from "runtime";
import { afterAll, describe, expect, it } from "vitest";
import { describeFibers, hasFibers } from "../support/fibers";
import { printing, run } from "../support/run";
import { turn, until } from "../support/turns";

const file = path.join(__dirname, "..", "support", "threaded", "library.cjs");
const math = path.join(__dirname, "..", "support", "tasks", "math.mjs");

const library = threaded(file);
afterAll(() => library[Symbol.dispose]());

/** Here, with fibers: in one. Else right away, and the thread sleeps. */
const inFiber = async <T>(fn: () => T): Promise<Awaited<T>> => (hasFibers ? await spawn(fn) : await fn());

const failure = async (fn: () => unknown): Promise<NodeJS.ErrnoException> => {
  try {
    await inFiber(fn);
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
  throw new Error("it did not fail");
};

const gate = () => new Int32Array(new SharedArrayBuffer(8));
const letGo = (memory: Int32Array) => {
  Atomics.store(memory, 1, 1);
  Atomics.notify(memory, 1);
};

for (const [where, call] of [
  ["in a fiber", inFiber],
  ["on the hub's stack", async <T>(fn: () => T) => fn()],
] as const) {
  describe(`threaded, ${where}`, () => {
    it("has functions called in another thread, the same one each time", async () => {
      const ids = await call(() => [library.threadId(), library.threadId()]);
      expect(ids[0]).toBe(ids[1]);
      expect(ids[0]).not.toBe(require("node:worker_threads").threadId);
    });

    it("constructs objects, which stay there, calls their methods and reads their getters", async () => {
      const seen = await call(() => {
        const store = new library.Store(1, 2);
        return [store.size, store.first().value, store.name, store.add(3) === store, store.size];
      });
      expect(seen).toEqual([2, 1, "store", true, 3]);
    });

    it("sets properties, and deletes them", async () => {
      const seen = await call(() => {
        const store = new library.Store();
        store.name = "other";
        const before = [store.name, "name" in store, Object.keys(store).includes("name")];
        delete store.name;
        return [...before, store.name, "name" in store];
      });
      expect(seen).toEqual(["other", true, true, undefined, false]);
    });

    it("gives data as copies: Buffers stay Buffers", async () => {
      const all = await call(() => new library.Store(1).all());
      expect(all).toEqual([{ value: 1, bytes: Buffer.from([1]) }]);
      expect(Buffer.isBuffer(all[0].bytes)).toBe(true);
    });

    it("takes proxies as arguments for what they are, and gives the same ones back", async () => {
      const seen = await call(() => {
        const store = new library.Store(1, 1);
        const [first, last] = [store.first(), store.last()];
        return [
          first === last,
          first === store.first(),
          first.equals(last),
          store.same({ deep: [first] }).deep[0] === first,
        ];
      });
      expect(seen).toEqual([false, true, true, true]);
    });

    it("tells classes: instanceof, statics, constructor", async () => {
      const seen = await call(() => {
        const store = new library.Store(1);
        return [
          store instanceof library.Store,
          store.first() instanceof library.Store,
          store.constructor === library.Store,
          library.Store.count > 0,
        ];
      });
      expect(seen).toEqual([true, false, true, true]);
    });

    it("iterates, and closes the iterator when the loop is left", async () => {
      const seen = await call(() => {
        const store = new library.Store(1, 2, 3);
        const before = library.log.length;
        for (const value of store.iterate()) if (value === 2) break;
        return [[...store.iterate()], [...store.later()], library.log.length - before];
      });
      expect(seen).toEqual([[1, 2, 3], [1, 2, 3], 2]);
    });

    it("waits for promises, and throws what they are rejected with", async () => {
      expect(await call(() => new library.Store().asynchronous(1))).toEqual({ value: 1 });
      const error = await call(() => {
        try {
          return new library.Store().asynchronous(new TypeError("rejected"));
        } catch (error) {
          return error;
        }
      });
      expect(error).toBeInstanceOf(TypeError);
    });

    it("calls functions that are passed, and has what they return", async () => {
      expect(await call(() => new library.Store(1, 2).map((value: number) => value * 10))).toEqual([10, 20]);
    });

    it("lets such functions use the thread's objects", async () => {
      const seen = await call(() => {
        const store = new library.Store(1);
        const inner = store.transaction((value: number) => {
          store.add(value);
          return store.map((each: number) => each + store.size);
        });
        return [inner(2), store.size];
      });
      expect(seen).toEqual([[3, 4], 2]);
    });

    it("lets their errors through the library, and back as what they are", async () => {
      const own = new Error("own");
      const seen = await call(() => {
        const store = new library.Store(1);
        try {
          store.transaction(() => {
            store.add(2);
            throw own;
          })();
        } catch (error) {
          return [error === own, store.size];
        }
      });
      expect(seen).toEqual([true, 1]);
    });

    it("takes its own functions back as what they are", async () => {
      const seen = await call(() => {
        const fn = () => 1;
        const { plus } = library.Store.prototype.handlers();
        return [library.Store.prototype.same(fn) === fn, plus(1, 2)];
      });
      expect(seen).toEqual([true, 3]);
    });

    it("throws errors with class, code and the frames of both sides", async () => {
      const error = (await call(function asksForIt() {
        try {
          return new library.Store().fail("far");
        } catch (error) {
          return error;
        }
      })) as NodeJS.ErrnoException;
      expect(error).toBeInstanceOf(RangeError);
      expect(error).toMatchObject({ message: "far", code: "E_STORE" });
      expect(error.stack).toMatch(/^RangeError: far\n {4}at Store\.fail \(.*library\.cjs/);
      expect(error.stack).toContain("asksForIt");
      expect(error.stack).not.toContain("object-thread.js");
    });

    it("names what cannot be sent, on either way", async () => {
      const names = await call(() => {
        const store = new library.Store();
        const message = (fn: () => unknown) => {
          try {
            return fn();
          } catch (error) {
            return `${(error as Error).name}: ${(error as Error).message}`;
          }
        };
        return [message(() => store.same({ key: Symbol("x") })), message(() => store.uncloneable()), store.size];
      });
      expect(names[0]).toBe("DataCloneError: args[0].key cannot be sent to another thread: it is a symbol");
      expect(names[1]).toContain("DataCloneError: the result.weak cannot be sent to another thread");
      expect(names[2]).toBe(0);
    });
  });
}

describe("threaded: a module", () => {
  it("is given as a URL or a path: an ES module's exports, or what module.exports is", () => {
    const one = threaded(pathToFileURL(math));
    const two = threaded(pathToFileURL(file).href);
    expect([one.default(1, 2), Object.keys(one).includes("half"), two.settings, two.default === two]).toEqual([
      3,
      true,
      { depth: 1 },
      true,
    ]);
    one[Symbol.dispose]();
    two[Symbol.dispose]();
  });

  it("may be a function", () => {
    const upper = threaded(path.join(__dirname, "..", "support", "tasks", "common.cjs"));
    expect([upper("abc"), upper.reverse("abc"), upper.call(null, "x"), typeof upper]).toEqual([
      "ABC",
      "cba",
      "X",
      "function",
    ]);
    upper[Symbol.dispose]();
  });

  it("that cannot be loaded is told at once, as by import", () => {
    expect(() => threaded("/nowhere.mjs")).toThrow(expect.objectContaining({ code: "ERR_MODULE_NOT_FOUND" }));
    expect(() => threaded("data:text/javascript,throw new RangeError('at the top')")).toThrow("at the top");
  });

  it.each([
    ["nothing", undefined, "ERR_INVALID_ARG_TYPE"],
    ["a relative path", "./library.cjs", "ERR_INVALID_ARG_VALUE"],
    ["an address", new URL("http://localhost/x.js"), "ERR_INVALID_ARG_VALUE"],
  ])("is refused if it is %s", (_, module, code) => {
    expect(() => threaded(module as never)).toThrow(expect.objectContaining({ code }));
  });

  it("is shown by inspect without a trip, and is no promise", async () => {
    expect([inspect(library), inspect(library.Store), (await library) === library]).toEqual([
      "[Threaded Object]",
      "[Threaded class Store]",
      true,
    ]);
  });
});

describeFibers("threaded, with fibers", () => {
  it("suspends the fiber that waits, others go on", async () => {
    const memory = gate();
    const waiting = spawn(() => new library.Store().block(memory));
    await until(() => Atomics.load(memory, 0) === 1);
    expect(waiting.dead).toBe(false);
    letGo(memory);
    expect(await waiting).toBe("let go");
  });

  it("does what fibers ask for in order", async () => {
    const store = await spawn(() => new library.Store());
    await Promise.all([1, 2, 3, 4].map((i) => spawn(() => store.add(i))));
    expect(await spawn(() => store.map((i: number) => i))).toEqual([1, 2, 3, 4]);
  });

  it("keeps other fibers out while a function that was passed is suspended", async () => {
    const store = await spawn(() => new library.Store());
    let inside = () => {};
    const entered = new Promise<void>((resolve) => {
      inside = resolve;
    });
    const first = spawn(() =>
      store.transaction(() => {
        store.add(1);
        inside();
        sleep(5);
        store.add(2);
      })(),
    );
    await entered;
    await Promise.all([first, spawn(() => store.add(3))]);
    expect(await spawn(() => store.map((i: number) => i))).toEqual([1, 2, 3]);
  });

  it("a fiber that is killed while it waits leaves at once; what it asked for is done", async () => {
    const memory = gate();
    const store = await spawn(() => new library.Store());
    const holder = spawn(() => store.block(memory));
    await until(() => Atomics.load(memory, 0) === 1);
    const late = spawn(() => store.add(1));
    await turn();
    late.kill(undefined, { block: false });
    await until(() => late.dead);
    letGo(memory);
    await holder;
    expect(await spawn(() => store.size)).toBe(1);
  });

  it("a fiber that is killed within a function that was passed has the library see the failure", async () => {
    const store = await spawn(() => new library.Store());
    let inside = () => {};
    const entered = new Promise<void>((resolve) => {
      inside = resolve;
    });
    const fiber = spawn(() =>
      store.transaction(() => {
        store.add(1);
        inside();
        sleep(1e6);
      })(),
    );
    await entered;
    fiber.kill(undefined, { block: false });
    await until(() => fiber.dead);
    expect([fiber.successful, await spawn(() => store.size)]).toEqual([true, 0]);
  });

  it("a fiber that times out has its Timeout", async () => {
    const memory = gate();
    const error = await failure(() => withTimeout(20, () => new library.Store().block(memory)));
    expect(error).toBeInstanceOf(Timeout);
    letGo(memory);
    expect(await spawn(() => library.settings)).toEqual({ depth: 1 });
  });

  it("calls listeners in fibers of their own, where they may block, in order of their events", async () => {
    const store = await spawn(() => new library.Store());
    const seen: unknown[] = [];
    const listener = (...args: unknown[]) => {
      sleep(1);
      seen.push(args, store.size);
    };
    await spawn(() => {
      store.on("event", listener);
      store.emitLater("a", { b: Buffer.from("c") });
    });
    await until(() => seen.length > 0);
    expect(seen).toEqual([["a", { b: Buffer.from("c") }], 0]);
    await spawn(() => store.off("event", listener));
    expect(await spawn(() => store.listenerCount("event"))).toBe(0);
  });
});

describe("threaded: the end", () => {
  it("disposed of, it fails whoever waits, and whoever uses it then", async () => {
    const own = threaded(file);
    const store = new own.Store();
    if (hasFibers) {
      const memory = gate();
      const waiting = failure(() => store.block(memory));
      await until(() => Atomics.load(memory, 0) === 1);
      own[Symbol.dispose]();
      expect((await waiting).code).toBe("ERR_THREAD_ENDED");
    } else own[Symbol.dispose]();
    expect(() => store.size).toThrow(expect.objectContaining({ code: "ERR_THREAD_ENDED" }));
    own[Symbol.dispose](); // once more does nothing
  });

  for (const [where, call] of [
    ["in a fiber", inFiber],
    ["on the hub's stack", async <T>(fn: () => T) => fn()],
  ] as const) {
    it.each([
      ["process.exit", (store: { exit(): void }) => store.exit(), /process\.exit\(3\) was called in it/],
      ["an uncaught error", (store: { throwLater(): void }) => store.throwLater(), /an uncaught error, nobody catches/],
    ])(`by %s fails the call, and those that follow, ${where}`, async (_, end, message) => {
      const own = threaded(file);
      const store = new own.Store();
      const error = (await call(() => {
        try {
          return end(store);
        } catch (error) {
          return error;
        }
      })) as NodeJS.ErrnoException;
      expect(error.code).toBe("ERR_THREAD_LOST");
      expect(error.message).toMatch(message);
      expect(() => store.size).toThrow(expect.objectContaining({ code: "ERR_THREAD_LOST" }));
    });
  }

  it.runIf(process.platform === "linux")(
    "for want of memory fails the call, also of a thread that sleeps",
    async () => {
      const program = `
      const { spawn, threaded } = require("runtime");
      const code = (fn) => { try { fn(); } catch (error) { return error.code; } };
      const library = threaded(${JSON.stringify(file)});
      const store = new library.Store();
      console.log(code(() => store.exhaust()), code(() => store.size));`;
      const { code, stdout, stderr } = await run(program, { flags: ["--max-old-space-size=40"] });
      expect([code, stdout]).toEqual([0, "ERR_THREAD_LOST ERR_THREAD_LOST\n"]);
      expect(stderr).not.toContain("FATAL");
    },
  );

  it("does not keep the process alive, but whoever waits does", async () => {
    const program = `
      const { info, spawn, threaded } = require("runtime");
      const library = threaded(${JSON.stringify(file)});
      const store = new library.Store();
      store.on("event", () => {});
      const wait = () => console.log(store.pause(200));
      if (info().switch === "none") wait(); else spawn(wait);`;
    expect(await run(program)).toEqual(printing("timed-out"));
  });

  it("an object that nobody has any more is let go in the thread, and the thread with the last one", async () => {
    const program = `
      const { readdirSync } = require("node:fs");
      const { threaded } = require("runtime");
      const threads = () => readdirSync("/proc/self/task").length;
      let library = threaded(process.cwd() + "/counted.cjs");
      const before = threads();
      for (let i = 0; i < 100; i++) library.make();
      let held = library.make();
      const turn = () => new Promise((resolve) => setImmediate(resolve));
      (async () => {
        while (library.alive() > 1) { gc(); await turn(); library.collect(); }
        console.log(library.alive(), held.id);
        library = undefined;
        for (let i = 0; i < 20; i++) { gc(); await turn(); }
        console.log(held.id, threads() === before);
        held = undefined;
      })().then(async () => { while (threads() === before) { gc(); await turn(); } console.log("ended"); });`;
    const counted = `
      let alive = 0;
      const registry = new FinalizationRegistry(() => alive--);
      class Thing { constructor() { alive++; this.id = alive; registry.register(this); } touch() {} }
      exports.make = () => new Thing();
      exports.alive = () => alive;
      exports.collect = () => { gc(); return new Promise((resolve) => setImmediate(resolve)); };`;
    const outcome = await run(program, { flags: ["--expose-gc"], files: { "counted.cjs": counted } });
    expect(outcome).toEqual(printing("1 101", "101 true", "ended"));
  });
});

import crypto from "node:crypto";
import dns from "node:dns";
import { EventEmitter } from "node:events";
import fs from "node:fs";
import { patch, spawn } from "runtime";
import deasync from "runtime/deasync";
import { beforeAll, describe, expect, it } from "vitest";
import { printing, run } from "../../support/run";
import { active, describeFibers, inFiber, progress, thrown } from "../support";

beforeAll(() => patch());

type Callback = (error?: unknown, value?: unknown) => void;

describe("deasync", () => {
  it("wants functions", () => {
    const any = deasync as unknown as (value: unknown) => unknown;
    for (const value of [undefined, "f", {}]) {
      expect(thrown(() => any(value))).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
      expect(thrown(() => deasync.loopWhile(value as never))).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
    }
    expect(thrown(() => deasync.sleep(-1)).code).toBe("ERR_OUT_OF_RANGE");
  });
});

describeFibers("deasync, in a fiber", () => {
  it("returns what the callback gets, with the function's own this and arguments", async () => {
    const object = {
      base: 1,
      add(a: number, b: number, callback: Callback) {
        setImmediate(() => callback(null, this.base + a + b));
      },
      addSync: deasync((..._: unknown[]) => {}),
    };
    object.addSync = deasync(object.add);
    expect(await inFiber(() => object.addSync(2, 3))).toBe(6);
  });

  it("throws what the callback gets, and what the function throws", async () => {
    const error = new Error("no");
    const later = deasync((callback: Callback) => setImmediate(() => callback(error)));
    const now = deasync(() => {
      throw error;
    });
    expect(await inFiber(() => [thrown(() => later()), thrown(() => now())])).toEqual([error, error]);
  });

  it("takes a callback that is called at once", async () => {
    expect(await inFiber(() => deasync((callback: Callback) => callback(null, "now"))())).toBe("now");
  });

  it("lets others run", async () => {
    let done: Callback = () => {};
    const wait = deasync((callback: Callback) => {
      done = callback;
    });
    expect(
      await progress(
        () => wait(),
        () => done(),
      ),
    ).toBeGreaterThanOrEqual(5);
  });

  it("has no nested event loops: the first to be done goes on first", async () => {
    const order: string[] = [];
    const callbacks: Record<string, Callback> = {};
    const wait = deasync((name: string, callback: Callback) => {
      callbacks[name] = callback;
    });
    const fibers = ["first", "second"].map((name) =>
      spawn(() => {
        wait(name);
        order.push(name);
      }),
    );
    await spawn(() => {
      callbacks.first?.();
    });
    await Promise.all([fibers[0], spawn(() => callbacks.second?.()), fibers[1]]);
    expect(order).toEqual(["first", "second"]);
  });

  it("ignores a callback that comes after a kill", async () => {
    let done: Callback = () => {};
    const fiber = spawn(() =>
      deasync((callback: Callback) => {
        done = callback;
      })(),
    );
    await spawn(() => fiber.kill());
    done(new Error("late"));
    expect(fiber.successful).toBe(true);
  });

  it("loops while a condition holds", async () => {
    const emitter = new EventEmitter();
    let over = false;
    emitter.on("end", () => {
      over = true;
    });
    expect(
      await progress(
        () => deasync.loopWhile(() => !over),
        () => emitter.emit("end"),
      ),
    ).toBeGreaterThanOrEqual(5);
  });

  it("goes on looping when that takes long, and throws what the condition throws", async () => {
    let asked = 0;
    await inFiber(() => deasync.loopWhile(() => ++asked < 150));
    expect(asked).toBe(150);
    const error = new Error("asked too much");
    const failing = () => {
      throw error;
    };
    expect(await inFiber(() => thrown(() => deasync.loopWhile(failing)))).toBe(error);
  });

  it("stops looping when it is killed", async () => {
    const timers = active("Timeout");
    let asked = 0;
    const fiber = spawn(() => deasync.loopWhile(() => ++asked));
    await spawn(() => {
      deasync.loopWhile(() => asked < 120);
      fiber.kill();
    });
    const before = asked;
    await inFiber(() => deasync.runLoopOnce());
    expect(asked).toBe(before);
    expect(active("Timeout")).toBeLessThanOrEqual(timers);
  });

  it("lets the event loop go round once", async () => {
    const order: string[] = [];
    await inFiber(() => {
      setImmediate(() => order.push("immediate"));
      deasync.runLoopOnce();
      order.push("went round");
    });
    expect(order).toEqual(["immediate", "went round"]);
  });

  it("sleeps, and lets others run", async () => {
    expect(await progress(() => deasync.sleep(20))).toBeGreaterThan(0);
  });

  it("sleeps until a callback has come, as in a loop of deasync's own guide", async () => {
    const read = () => {
      let text: string | undefined;
      fs.readFile(__filename, "utf8", (_, contents) => {
        text = contents;
      });
      while (text === undefined) deasync.sleep(1);
      return text;
    };
    expect(await inFiber(read)).toBe(fs.readFileSync(__filename, "utf8"));
  });
});

describe("deasync, out of a fiber", () => {
  it("sleeps", () => {
    const before = performance.now();
    deasync.sleep(20);
    expect(performance.now() - before).toBeGreaterThanOrEqual(19);
  });

  it("says after many sleeps that no callback can come, once", async () => {
    const program = `
      const deasync = require("runtime/deasync");
      setTimeout(() => console.log("late"), 1);
      for (let i = 0; i < 250; i++) deasync.sleep(0);
      console.log("slept");`;
    const { stdout, stderr } = await run(program);
    expect(stdout).toBe("slept\nlate\n");
    expect(stderr.match(/^Warning: deasync\.sleep\(\) .*`runtime run`\.$/gm)).toHaveLength(1);
    const fewer =
      "const deasync = require('runtime/deasync'); const some = (n) => { for (let i = 0; i < 60; i++) deasync.sleep(0); if (n) setTimeout(some, 1, n - 1); }; some(3);";
    expect(await run(fewer)).toEqual(printing());
  });

  it("blocks in functions of Node's that can", () => {
    expect(deasync(fs.readFile)(__filename, "utf8")).toBe(fs.readFileSync(__filename, "utf8"));
    expect(thrown(() => deasync(fs.readFile)("/does/not/exist")).code).toBe("ENOENT");
    expect(deasync(crypto.pbkdf2)("a", "b", 1, 8, "sha1")).toEqual(crypto.pbkdf2Sync("a", "b", 1, 8, "sha1"));
  });

  it("parks for names of hosts", () => {
    expect(deasync(dns.lookup)("127.0.0.1")).toBe("127.0.0.1");
  });

  it("does not call what it could not wait for, and says so", () => {
    let called = false;
    const fn = deasync(function work() {
      called = true;
    });
    expect(thrown(() => fn())).toMatchObject({
      code: "ERR_NOT_IN_FIBER",
      message: expect.stringMatching(/^deasync\(work\)\(\) .*`runtime run`/),
    });
    expect(called).toBe(false);
    expect(thrown(() => deasync.loopWhile(() => true)).code).toBe("ERR_NOT_IN_FIBER");
    expect(thrown(() => deasync.runLoopOnce()).code).toBe("ERR_NOT_IN_FIBER");
    deasync.loopWhile(() => false);
  });

  it("is there for import, too, as it is for require", async () => {
    const program = `
      import deasync from "runtime/deasync";
      import { createRequire } from "node:module";
      deasync.sleep(1);
      console.log(createRequire(import.meta.url)("runtime/deasync") === deasync);`;
    expect(await run(program, { name: "program.mjs" })).toEqual(printing("true"));
  });
});

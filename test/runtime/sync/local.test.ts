import { AsyncResource } from "node:async_hooks";
import { FiberLocal, sleep, spawn } from "runtime";
import { describe, expect, it } from "vitest";
import { describeFibers } from "../../support/fibers";
import { printing, run } from "../../support/run";

describe("a FiberLocal on the hub's stack", () => {
  it("is undefined, and has no value, at first", () => {
    const local = new FiberLocal();
    expect([local.has(), local.get()]).toEqual([false, undefined]);
  });

  it("has the value that was set", () => {
    const local = new FiberLocal<string>();
    local.set("value");
    expect([local.has(), local.get()]).toEqual([true, "value"]);
  });

  it("makes its initial value once, when it is first asked for", () => {
    let made = 0;
    const local = new FiberLocal(() => ++made);
    expect(made).toBe(0);
    expect([local.get(), local.get(), made]).toEqual([1, 1, 1]);
  });

  it("that was set first makes no initial value", () => {
    let made = 0;
    const local = new FiberLocal(() => ++made);
    local.set(5);
    expect([local.get(), made]).toEqual([5, 0]);
  });

  it("may hold undefined", () => {
    const local = new FiberLocal<string | undefined>(() => "initial");
    local.set(undefined);
    expect([local.has(), local.get()]).toEqual([true, undefined]);
  });

  it("that was deleted makes its value anew", () => {
    let made = 0;
    const local = new FiberLocal(() => ++made);
    local.get();
    expect([local.delete(), local.has(), local.delete(), local.get()]).toEqual([true, false, false, 2]);
  });

  it("is the same in all async code", async () => {
    const local = new FiberLocal<string>();
    local.set("hub");
    await null;
    expect(local.get()).toBe("hub");
    expect(await new Promise((resolve) => setImmediate(() => resolve(local.get())))).toBe("hub");
  });

  it("is told from others", () => {
    const [first, second] = [new FiberLocal<number>(), new FiberLocal<number>()];
    first.set(1);
    second.set(2);
    expect([first.get(), second.get()]).toEqual([1, 2]);
  });
});

describeFibers("a FiberLocal in fibers", () => {
  it("is each fiber's own, over suspensions, and the hub's", async () => {
    const local = new FiberLocal<string>();
    local.set("hub");
    const fibers = ["a", "b", "c"].map((name) =>
      spawn(() => {
        const before = local.has();
        local.set(name);
        sleep(1);
        return [before, local.get()];
      }),
    );
    expect(await Promise.all(fibers)).toEqual([
      [false, "a"],
      [false, "b"],
      [false, "c"],
    ]);
    expect(local.get()).toBe("hub");
  });

  it("makes an initial value for each", async () => {
    let made = 0;
    const local = new FiberLocal(() => ++made);
    const fibers = [0, 1].map(() => spawn(() => [local.get(), local.get()]));
    expect(await Promise.all(fibers)).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });

  it("may block to make its initial value", async () => {
    const local = new FiberLocal(() => {
      sleep(1);
      return "made";
    });
    expect(await spawn(() => local.get())).toBe("made");
  });

  it("is not passed on to fibers that a fiber spawns", async () => {
    const local = new FiberLocal<string>();
    const has = await spawn(() => {
      local.set("parent");
      return spawn(() => local.has()).get();
    });
    expect(has).toBe(false);
  });

  it("is deleted for the running fiber alone", async () => {
    const local = new FiberLocal<string>();
    local.set("hub");
    await spawn(() => {
      local.set("fiber");
      local.delete();
    });
    expect(local.get()).toBe("hub");
  });

  it("is the fiber's own also inside runInAsyncScope, and after", async () => {
    const local = new FiberLocal<string>();
    const seen = await spawn(() => {
      local.set("outside");
      const inside = new AsyncResource("TEST").runInAsyncScope(() => {
        const before = local.get();
        sleep(0);
        local.set("inside");
        return before;
      });
      return [inside, local.get()];
    });
    expect(seen).toEqual(["outside", "inside"]);
  });

  it("does not outlive its fiber", async () => {
    const program = `
      const { setImmediate: turn } = require("node:timers/promises");
      const { FiberLocal, sleep, spawn } = require("runtime");
      const local = new FiberLocal();
      (async () => {
        let value;
        await (() => spawn(() => {
          const object = { big: new Array(1000) };
          value = new WeakRef(object);
          local.set(object);
          sleep(0);
        }))();
        for (let i = 0; i < 100; i++) {
          await turn();
          gc(); // before deref, which keeps its object for the rest of the turn
          if (!value.deref()) break;
        }
        console.log(value.deref() === undefined, local.has());
      })();`;
    expect(await run(program, { flags: ["--expose-gc"] })).toEqual(printing("true false"));
  });

  it("is there still when an abandoned fiber is unwound", async () => {
    const program = `
      const { setImmediate: turn } = require("node:timers/promises");
      const { FiberLocal, spawn, wait } = require("runtime");
      const local = new FiberLocal();
      (async () => {
        let seen;
        (() => { spawn(() => { local.set("value"); try { wait({ then() {} }); } finally { seen = local.get(); } }); })();
        await turn();
        while (!seen) { gc(); await turn(); }
        console.log(seen);
      })();`;
    expect(await run(program, { flags: ["--expose-gc"] })).toEqual(printing("value"));
  });
});

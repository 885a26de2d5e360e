import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

// Hooks are the process's, and see whatever runs in it: each program here has one of its own.
const prelude = `
  const { AsyncResource, createHook, executionAsyncId } = require("node:async_hooks");
  const { sleep, spawn, wait } = require("runtime");
  const events = [], types = new Map(), open = [];
  let unbalanced = 0;
  createHook({
    init(id, type, trigger) { types.set(id, type); if (type === "FIBER" || type === "TEST") events.push("init " + type); },
    before(id) { open.push(id); },
    after(id) { if (open.pop() !== id) unbalanced++; },
  }).enable();`;

describeFibers("async hooks", () => {
  it("see each fiber come into being as a resource of type FIBER", async () => {
    const program = `${prelude}
      spawn(() => {}); spawn(() => {});
      process.on("exit", () => console.log(events.join()));`;
    expect(await run(program)).toEqual(printing("init FIBER,init FIBER"));
  });

  it("see before and after in balance, however fibers take turns", async () => {
    const program = `${prelude}
      for (let i = 0; i < 50; i++) {
        spawn(() => {
          for (let k = 0; k < 5; k++) {
            sleep((i + k) % 4);
            wait(Promise.resolve());
            wait(new Promise((resolve) => setImmediate(resolve)));
            new AsyncResource("TEST").runInAsyncScope(() => sleep(k % 2));
          }
        });
      }
      process.on("exit", () => console.log(unbalanced, open.length));`;
    expect(await run(program)).toEqual(printing("0 0"));
  });

  it("see before and after in balance when fibers are killed, fail and overflow their stack", async () => {
    const program = `${prelude}
      process.on("unhandledRejection", () => {});
      for (let i = 0; i < 30; i++) {
        const fiber = spawn(() => new AsyncResource("TEST").runInAsyncScope(() => {
          sleep(i % 3);
          if (i % 3 === 0) throw new Error("fails");
          if (i % 3 === 1) (function deeper() { deeper(); })();
          sleep(1e6);
        }));
        setTimeout(() => fiber.kill(), 20);
      }
      process.on("exit", () => console.log(unbalanced, open.length));`;
    expect(await run(program)).toEqual(printing("0 0"));
  });

  it("see before and after around each time that a fiber runs", async () => {
    const program = `${prelude}
      let runs = 0;
      const { asyncId } = new Proxy({}, { get: () => 0 });
      let id;
      createHook({ before(which) { if (which === id) runs++; } }).enable();
      spawn(() => { id = executionAsyncId(); sleep(1); sleep(1); sleep(0); });
      process.on("exit", () => console.log(runs));`;
    expect(await run(program)).toEqual(printing("3"));
  });

  it("see a fiber destroyed when it is collected", async () => {
    const program = `
      const { createHook } = require("node:async_hooks");
      const { spawn } = require("runtime");
      const living = new Set();
      createHook({
        init(id, type) { if (type === "FIBER") living.add(id); },
        destroy(id) { living.delete(id); },
      }).enable();
      for (let i = 0; i < 100; i++) spawn(() => {});
      let turns = 0;
      (function look() {
        gc();
        if (turns++ > 5 && living.size < 10) console.log("destroyed");
        else if (turns < 1000) setImmediate(look);
      })();`;
    expect(await run(program, { flags: ["--expose-gc"] })).toEqual(printing("destroyed"));
  });

  it("may be switched on and off while fibers are suspended", async () => {
    const program = `
      const { createHook } = require("node:async_hooks");
      const { sleep, spawn } = require("runtime");
      const hook = createHook({ init() {}, before() {}, after() {}, promiseResolve() {} });
      for (let i = 0; i < 20; i++) {
        spawn(() => { for (let k = 0; k < 10; k++) { (k + i) % 2 ? hook.enable() : hook.disable(); sleep(i % 3); } });
      }
      process.on("exit", () => console.log("ok"));`;
    expect(await run(program)).toEqual(printing("ok"));
  });
});

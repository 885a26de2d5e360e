import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

const collect = `
  const { setImmediate: turn } = require("node:timers/promises");
  const { AsyncLocalStorage, AsyncResource } = require("node:async_hooks");
  const { Fiber, FiberExit, info, sleep, spawn, wait } = require("runtime");
  const drop = { then() {} };
  async function until(condition) {
    for (let i = 0; i < 2000; i++) {
      if (condition()) return;
      gc();
      await turn();
    }
    console.log("not so:", String(condition));
    process.exit(1);
  }`;

const check = (program: string) => run(`${collect}\n(async () => {${program}})();`, { flags: ["--expose-gc"] });

describeFibers("a fiber that nothing can resume any more", () => {
  it("is unwound when it is garbage, so that its finally blocks run", async () => {
    expect(
      await check(`
        let unwound = false;
        (() => { spawn(() => { try { wait(drop); } finally { unwound = true; } }); })();
        await turn();
        await until(() => unwound);
        console.log("unwound");`),
    ).toEqual(printing("unwound"));
  });

  it("is told by a FiberExit", async () => {
    expect(
      await check(`
        let error;
        (() => { spawn(() => { try { wait(drop); } catch (caught) { error = caught; } }); })();
        await turn();
        await until(() => error);
        console.log(error instanceof FiberExit, error.code);`),
    ).toEqual(printing("true ERR_FIBER_EXIT"));
  });

  it("gives its stack back", async () => {
    expect(
      await check(`
        let begun = 0;
        (() => { for (let i = 0; i < 100; i++) spawn(() => { begun++; wait(drop); }); })();
        while (begun < 100) await turn();
        await until(() => info().fibers === 0);
        const { stacks } = info();
        await Promise.all(Array.from({ length: 100 }, () => spawn(() => sleep(1))));
        console.log(info().stacks === stacks);`),
    ).toEqual(printing("true"));
  });

  it("may block while it unwinds", async () => {
    expect(
      await check(`
        const log = [];
        (() => { spawn(() => { try { wait(drop); } finally { sleep(5); log.push("slept"); } }); })();
        await turn();
        await until(() => log.length);
        console.log(log.join());`),
    ).toEqual(printing("slept"));
  });

  it("may catch that and wait in vain again, and is unwound again", async () => {
    expect(
      await check(`
        let times = 0;
        (() => { spawn(() => { while (times < 3) try { wait(drop); } catch { times++; } }); })();
        await turn();
        await until(() => times === 3);
        await until(() => info().fibers === 0);
        console.log("gone");`),
    ).toEqual(printing("gone"));
  });

  it("is unwound from deep below native frames", async () => {
    expect(
      await check(`
        const log = [];
        (() => {
          spawn(() => [1].map(() => "x".replace(/x/, () => { try { return wait(drop); } finally { log.push("deep"); } })));
        })();
        await turn();
        await until(() => log.length);
        console.log(log.join());`),
    ).toEqual(printing("deep"));
  });

  it("unwinds in its own async context", async () => {
    expect(
      await check(`
        const storage = new AsyncLocalStorage();
        let seen;
        (() => { storage.run("own", () => spawn(() => { try { wait(drop); } finally { seen = storage.getStore(); } })); })();
        await turn();
        await until(() => seen);
        console.log(seen);`),
    ).toEqual(printing("own"));
  });

  it("whose finally block fails is an unhandled rejection", async () => {
    expect(
      await check(`
        let message;
        process.on("unhandledRejection", (error) => { message = error.message; });
        (() => { spawn(() => { try { wait(drop); } finally { throw new Error("while unwinding"); } }); })();
        await turn();
        await until(() => message);
        console.log(message);`),
    ).toEqual(printing("while unwinding"));
  });

  it("counts also when it waits for another such fiber", async () => {
    expect(
      await check(`
        let unwound = 0;
        (() => {
          const inner = () => spawn(() => { try { wait(drop); } finally { unwound++; } });
          spawn(() => { inner(); try { wait(drop); } finally { unwound++; } });
        })();
        await turn();
        await until(() => unwound === 2);
        console.log("both");`),
    ).toEqual(printing("both"));
  });

  it("gives its place among a server's fibers, and its turn among an emitter's listeners, to the next", async () => {
    expect(
      await check(`
        const { PassThrough } = require("node:stream");
        const http = require("node:http");
        const { configure, patch } = require("runtime");
        patch();
        configure({ maxServerFibers: 1 });
        let requests = 0;
        const server = http.createServer((req, res) => {
          try { if (++requests === 1) wait(drop); } finally { res.end("answered"); }
        });
        await new Promise((listening) => server.listen(0, listening));
        const { port } = server.address();
        const get = () => fetch("http://localhost:" + port).then((res) => res.text());
        const answers = [];
        for (let i = 0; i < 2; i++) get().then((text) => answers.push(text));
        await until(() => answers.length === 2);
        console.log(answers.join());
        server.close();
        server.closeAllConnections();

        const emitter = new PassThrough();
        const heard = [];
        emitter.on("news", (text) => { if (text === "first") wait(drop); heard.push(text); });
        emitter.emit("news", "first");
        emitter.emit("news", "second");
        await until(() => heard.length === 1);
        console.log(heard.join());`),
    ).toEqual(printing("answered,answered", "second"));
  });
});

describeFibers("a fiber that something can still resume", () => {
  it.each([
    ["by its object", "const fiber = spawn(() => wait(drop)); resume = () => fiber.kill();"],
    [
      "by a promise",
      "let settle; const promise = new Promise((r) => { settle = r; }); spawn(() => wait(promise)); resume = settle;",
    ],
    ["by a timer", "spawn(() => sleep(1e8)); resume = () => process.exit();"],
    ["by a join", "const fiber = spawn(() => wait(drop)); spawn(() => fiber.join()); resume = () => fiber.kill();"],
  ])("%s is not unwound", async (_, program) => {
    expect(
      await check(`
        let resume;
        (() => { ${program} })();
        await turn();
        const { fibers } = info();
        for (let i = 0; i < 20; i++) { gc(); await turn(); }
        console.log(info().fibers === fibers);
        resume();
        await until(() => info().fibers === 0);`),
    ).toEqual(printing("true"));
  });
});

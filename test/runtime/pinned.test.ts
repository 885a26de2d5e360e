import { describe, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

describeFibers("inside JSON.stringify", () => {
  it("fibers that cross do not crash the process: they suspend, or are refused where V8 cannot", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      const seen = new Set();
      for (let i = 0; i < 20; i++) {
        spawn(() => {
          for (let k = 0; k < 5; k++) {
            try {
              const text = JSON.stringify({ get a() { sleep((i * 7 + k) % 5); return [{ toJSON: () => i }]; } });
              seen.add(text === '{"a":[' + i + "]}" ? "right" : text);
            } catch (error) { seen.add(error.code); }
          }
        });
      }
      process.on("exit", () => console.log([...seen].join()));`;
    const expected = process.versions.v8.startsWith("12.") ? "ERR_CANNOT_SUSPEND" : "right";
    expect(await run(program)).toEqual(printing(expected));
  });
});

describeFibers("inside the %j of a format", () => {
  it.each([
    ["util.format", `require("node:util").format("%j", value)`],
    ["util.formatWithOptions", `require("node:util").formatWithOptions({}, "%j", value)`],
    ["console.log", `console.log("%j", value)`],
  ])("fibers that cross do not crash the process: %s", async (_, call) => {
    const program = `
      const { sleep, spawn } = require("runtime");
      process.stdout.write = () => true;
      for (let i = 0; i < 20; i++) {
        spawn(() => {
          for (let k = 0; k < 5; k++) {
            const value = { toJSON() { try { sleep((i * 7 + k) % 5); } catch (error) { process.exitCode = error.code === "ERR_CANNOT_SUSPEND" ? 5 : 6; } } };
            ${call};
          }
        });
      }`;
    const code = process.versions.v8.startsWith("12.") ? 5 : 0;
    expect(await run(program)).toEqual({ code, signal: null, stdout: "", stderr: "" });
  });
});

describeFibers("inside Error.prepareStackTrace", () => {
  it("nothing suspends: it is called for every error, in other fibers, too", async () => {
    const program = `
      require("runtime/patch");
      const { sleep, spawn } = require("runtime");
      const word = new Int32Array(new SharedArrayBuffer(4));
      Error.prepareStackTrace = ({ message }) => {
        let refusal;
        try { sleep(1); } catch (error) { refusal = error; }
        return [message, Atomics.wait(word, 0, 0, 20), refusal?.code, refusal?.message.match(/inside [\\w.]+/)?.[0]].join();
      };
      const stackOf = (message) => new Error(message).stack;
      const fibers = ["a", "b"].map((name) => spawn(stackOf, name));
      Promise.all(fibers).then((stacks) => console.log(stacks.join(" ")));`;
    const both = ["a", "b"].map((name) => `${name},timed-out,ERR_CANNOT_SUSPEND,inside Error.prepareStackTrace`);
    expect(await run(program)).toEqual(printing(both.join(" ")));
  });

  it("a fiber of its own may suspend, and so may whoever has one but is not in it", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      const seen = [];
      Error.prepareStackTrace = ({ message }, sites) => {
        spawn(() => { sleep(1); seen.push(message); });
        return sites.length;
      };
      const fibers = ["a", "b"].map((name) => spawn(() => {
        const frames = new Error(name).stack;
        sleep(2);
        return frames;
      }));
      process.on("exit", () => console.log(fibers.every(({ value }) => value > 0), seen.join()));`;
    expect(await run(program)).toEqual(printing("true a,b"));
  });
});

describeFibers("inside a vm script with a timeout", () => {
  const crossing = (call: string) => `
    const vm = require("node:vm");
    const { sleep, spawn } = require("runtime");
    const outcomes = [];
    const f = () => { try { sleep(5); outcomes.push("suspended"); } catch (error) { outcomes.push(error.code); } };
    globalThis.f = f;
    for (let i = 0; i < 2; i++) spawn(() => { ${call}; });
    process.on("exit", () => console.log(outcomes.join()));`;

  it.each([
    ["vm.runInThisContext", `vm.runInThisContext("f()", { timeout: 1000 })`],
    ["vm.runInNewContext", `vm.runInNewContext("f()", { f }, { timeout: 1000 })`],
    ["vm.runInContext", `vm.runInContext("f()", vm.createContext({ f }), { timeout: 1000 })`],
    ["Script#runInThisContext", `new vm.Script("f()").runInThisContext({ timeout: 1000 })`],
    ["Script#runInNewContext", `new vm.Script("f()").runInNewContext({ f }, { timeout: 1000 })`],
    ["breakOnSigint", `new vm.Script("f()").runInThisContext({ breakOnSigint: true })`],
  ])("a blocking call does not suspend: %s", async (_, call) => {
    expect(await run(crossing(call))).toEqual(printing("ERR_CANNOT_SUSPEND,ERR_CANNOT_SUSPEND"));
  });

  it("the time that it has is its own: it ends the script, not another fiber", async () => {
    const program = `
      const vm = require("node:vm");
      const { sleep, spawn } = require("runtime");
      spawn(() => { for (let i = 0; i < 20; i++) sleep(5); console.log("the other fiber ended"); });
      spawn(() => {
        try { vm.runInThisContext("for (;;);", { timeout: 20 }); } catch (error) { console.log(error.code); }
        sleep(1);
      });`;
    expect(await run(program)).toEqual(printing("ERR_SCRIPT_EXECUTION_TIMEOUT", "the other fiber ended"));
  });
});

describeFibers("inside a module of vm", () => {
  it("a blocking call does not suspend: V8 would abort when somebody else evaluates what imports it", async () => {
    const program = `
      const vm = require("node:vm");
      const { sleep, spawn, wait } = require("runtime");
      const outcomes = [];
      const f = () => { try { sleep(5); outcomes.push("suspended"); } catch (error) { outcomes.push(error.code); } };
      const context = vm.createContext({ f });
      (async () => {
        const made = new vm.SyntheticModule(["x"], function () { f(); this.setExport("x", 1); }, { context });
        await made.link(() => {});
        for (let i = 0; i < 2; i++) {
          const module = new vm.SourceTextModule("import { x } from 'made'; f(); export default x", { context });
          await module.link(() => made);
          spawn(() => { wait(module.evaluate()); outcomes.push(module.namespace.default); });
        }
      })();
      process.on("exit", () => console.log(outcomes.join()));`;
    const refused = "ERR_CANNOT_SUSPEND";
    const flags = ["--experimental-vm-modules", "--no-warnings"];
    expect(await run(program, { flags })).toEqual(printing([refused, refused, refused, 1, 1].join()));
  });
});

describeFibers("inside a parser that calls back synchronously", () => {
  // An HTTP parser is fed from within a fiber, through a socket of the program's own: its callbacks run on this stack.
  it("fibers that cross do not crash the process: the handler is refused to suspend, and can answer", async () => {
    const program = `
      const http = require("node:http");
      const { Duplex } = require("node:stream");
      const { sleep, spawn } = require("runtime");
      const codes = [];
      const server = http.createServer((request, response) => {
        try { sleep(request.url === "/slow" ? 20 : 5); codes.push("suspended"); } catch (error) { codes.push(error.code); }
        response.end("answer");
      });
      let answers = 0;
      class Socket extends Duplex {
        _read() {}
        _write(chunk, encoding, done) { if (String(chunk).includes("200 OK")) answers++; done(); }
        setTimeout() { return this; } setNoDelay() { return this; } setKeepAlive() { return this; } ref() {} unref() {}
      }
      for (const path of ["/slow", "/fast"]) {
        spawn(() => {
          const socket = new Socket();
          server.emit("connection", socket);
          socket.emit("data", Buffer.from("GET " + path + " HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n"));
          sleep(1);
          socket.push("GET " + path + " HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n");
          sleep(30);
          socket.destroy();
        });
      }
      process.on("exit", (code) => console.log(code, codes.length, answers > 0));`;
    const { code, signal, stdout, stderr } = await run(program);
    expect({ code, signal, stderr, stdout }).toEqual({ code: 0, signal: null, stderr: "", stdout: "0 4 true\n" });
  });
});

describe("the functions that are guarded", () => {
  it("keep their names, lengths and properties", async () => {
    const program = `
      const vm = require("node:vm");
      const Module = require("node:module");
      const { AsyncResource } = require("node:async_hooks");
      const look = () => JSON.stringify(
        [JSON.stringify, process.exit, process.dlopen, Module._load, Module.prototype.load, vm.Script.prototype.runInContext,
         AsyncResource.prototype.runInAsyncScope, Array.prototype.join].map((f) => [f.name, f.length, Object.keys(f)]));
      const before = look();
      require("runtime");
      console.log(look() === before || [before, look()].join("\\n"));`;
    expect(await run(program)).toEqual(printing("true"));
  });
});

import { spawnSync } from "node:child_process";
import { sleep, spawn } from "runtime";
import { describe, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";
import { bytes, source } from "../support/wasm";

// The types of Node lack WebAssembly.
// biome-ignore lint/suspicious/noExplicitAny: see above
const { Instance, Module, RuntimeError } = (globalThis as any).WebAssembly;
const module = new Module(bytes);

/** What WebAssembly.promising takes here: flags for node, or null where there is no such thing. */
const jspi = (() => {
  const run = (...flags: string[]) =>
    spawnSync(process.execPath, [...flags, "-p", "typeof WebAssembly.promising"], { encoding: "utf8" }).stdout?.trim();
  return [[], ["--experimental-wasm-jspi"]].find((flags) => run(...flags) === "function") ?? null;
})();
if (jspi === null) console.log("WebAssembly.promising: skipped, this Node has none");

const instance = (call: (value: number) => number) => new Instance(module, { host: { call } }).exports;

const slowly = (i: number) => (value: number) => {
  sleep((i * 7) % 5);
  return value;
};

describeFibers("WebAssembly in a fiber", () => {
  it("may suspend in a function that it imports", async () => {
    expect(await spawn(() => instance(slowly(1)).pass(5))).toBe(5);
  });

  it("may be suspended in many fibers, which come back in any order", async () => {
    const fibers = Array.from({ length: 30 }, (_, i) => spawn(() => instance(slowly(i)).pass(i)));
    expect(await Promise.all(fibers)).toEqual(fibers.map((_, i) => i));
  });

  it("traps, before and after a suspension, with an error that can be caught", async () => {
    const traps = await spawn(() =>
      [(x: number) => x, slowly(1)].map((call) => {
        try {
          return instance(call).load(-8);
        } catch (error) {
          return error instanceof RuntimeError;
        }
      }),
    );
    expect(traps).toEqual([true, true]);
  });

  it("overflows the fiber's stack with a RangeError, and the fiber goes on", async () => {
    const outcome = await spawn(() => {
      const { deeper, pass } = instance(slowly(1));
      try {
        deeper(1);
      } catch (error) {
        return [(error as Error).name, pass(7)];
      }
    });
    expect(outcome).toEqual(["RangeError", 7]);
  });

  const load = `
    const { setImmediate: turn } = require("node:timers/promises");
    const { sleep, spawn, wait } = require("runtime");
    const bytes = ${source};`;

  it("survives the collection of its code while fibers are suspended", async () => {
    const program = `${load}
      const use = (call) => new WebAssembly.Instance(new WebAssembly.Module(bytes), { host: { call } }).exports.pass(1);
      for (let i = 0; i < 20; i++) {
        spawn(() => {
          for (let k = 0; k < 20; k++) {
            use((x) => { sleep((i + k) % 3); return x; });
            gc();
          }
        });
      }
      process.on("exit", (code) => console.log("ended", code));`;
    const flags = ["--expose-gc", "--stress-wasm-code-gc"];
    expect(await run(program, { flags })).toEqual(printing("ended 0"));
  });

  // V8 would visit the stacks of such exports once for each fiber, at every collection.
  describe.runIf(jspi !== null)("and exports that V8 gives stacks of their own, WebAssembly.promising,", () => {
    const promising = `${load}
      const { pass } = new WebAssembly.Instance(new WebAssembly.Module(bytes), { host: { call: (x) => x } }).exports;
      const later = new WebAssembly.Suspending(async (x) => { await turn(); return x; });
      const waiting = new WebAssembly.Instance(new WebAssembly.Module(bytes), { host: { call: later } }).exports.pass;
      const promised = WebAssembly.promising(pass);`;
    const flags = jspi ?? [];

    it("exclude each other: after the first fiber such a call is refused", async () => {
      const program = `${promising}
        spawn(() => {
          sleep(1);
          try { promised(1); } catch (error) { console.log(error.code); }
        }).then(() => { try { promised(1); } catch (error) { console.log(error.message); } });`;
      expect(await run(program, { flags })).toEqual({
        ...printing(""),
        stdout: expect.stringMatching(/^ERR_PROMISING_AND_FIBERS\nAn export of WebAssembly.promising cannot run.*\n$/),
      });
    });

    it("exclude each other: after the first such call there are no fibers, and info() tells why", async () => {
      const program = `${promising}
        const { info } = require("runtime");
        (async () => {
          const all = Array.from({ length: 50 }, (_, i) => WebAssembly.promising(waiting)(i));
          let garbage = [];
          for (let i = 0; i < 200_000; i++) garbage.push({ i });
          const sum = (await Promise.all(all)).reduce((a, b) => a + b);
          try { spawn(() => {}); } catch (error) { console.log(error.code, sum, info().switch, info().reason); }
        })();`;
      expect(await run(program, { flags })).toEqual(
        printing("ERR_NO_FIBERS 1225 none the program has called an export of WebAssembly.promising"),
      );
    });
  });
});

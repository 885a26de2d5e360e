import { sleep, spawn } from "runtime";
import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";
import { bytes, source } from "../support/wasm";

// The types of Node lack WebAssembly.
// biome-ignore lint/suspicious/noExplicitAny: see above
const { Instance, Module, RuntimeError } = (globalThis as any).WebAssembly;
const module = new Module(bytes);
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

  it("survives a fiber that blocks below a promising export, which refuses to suspend", async () => {
    const program = `${load}
      if (!WebAssembly.promising) { console.log("refused"); process.exit(); }
      const compiled = new WebAssembly.Module(bytes);
      const codes = new Set();
      for (let i = 0; i < 20; i++) {
        spawn(() => {
          const call = (x) => { try { sleep((i * 7) % 5); } catch (error) { codes.add(error.code); } return x; };
          const { pass } = new WebAssembly.Instance(compiled, { host: { call } }).exports;
          for (let k = 0; k < 5; k++) if (wait(WebAssembly.promising(pass)(i + k)) !== i + k) console.log("wrong");
        });
      }
      process.on("exit", () => console.log(codes.has("ERR_CANNOT_SUSPEND") && codes.size === 1 ? "refused" : [...codes]));`;
    const flags = process.allowedNodeEnvironmentFlags.has("--experimental-wasm-jspi")
      ? ["--experimental-wasm-jspi"]
      : [];
    expect(await run(program, { flags })).toEqual(printing("refused"));
  });

  it("may itself be suspended by a promise that an import returns, while fibers are", async () => {
    const program = `${load}
      if (!WebAssembly.promising) { console.log("ok"); process.exit(); }
      const compiled = new WebAssembly.Module(bytes);
      let left = 20;
      for (let i = 0; i < 20; i++) {
        spawn(() => {
          const later = new WebAssembly.Suspending(async (x) => { await turn(); return x; });
          const { pass } = new WebAssembly.Instance(compiled, { host: { call: later } }).exports;
          for (let k = 0; k < 5; k++) {
            const promise = WebAssembly.promising(pass)(i + k);
            sleep(i % 3);
            if (wait(promise) !== i + k) console.log("wrong");
          }
          if (--left === 0) console.log("ok");
        });
      }`;
    expect(await run(program)).toEqual(printing("ok"));
  });
});

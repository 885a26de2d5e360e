// Worker threads of the runtime's own, in a patched process.
import path from "node:path";
import { offload, patch, sleep, spawn, ThreadPool, threaded } from "runtime";
import { afterAll, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

const library = path.join(__dirname, "..", "support", "threaded", "library.cjs");

describeFibers("worker threads under the patch", () => {
  patch();
  afterAll(() => ThreadPool.shared.kill());

  it("offload starts no fibers for messages", async () => {
    const program = `
      const { offload, spawn, stats, threaded } = require("runtime");
      const sums = spawn(() => [1, 2, 3].map((i) => offload((i) => 2 * i, i) + threaded(${JSON.stringify(library)}).settings.depth));
      sums.then((sums) => console.log(sums.join(), stats().spawned));`;
    expect(await run(program, { flags: ["--require", "runtime/patch"] })).toEqual(printing("3,5,7 1"));
  });

  it("many fibers offload, and use threaded objects, at once", async () => {
    const Store = threaded(library).Store;
    const store = await spawn(() => new Store());
    const fibers = Array.from({ length: 50 }, (_, i) => spawn(() => [offload((i: number) => i, i), store.same(i)]));
    expect(await Promise.all(fibers)).toEqual(fibers.map((_, i) => [i, i]));
  });

  it("a fiber that has offloaded something can sleep in shared memory for something else", async () => {
    const memory = new Int32Array(new SharedArrayBuffer(4));
    let asleep = false;
    const first = spawn(() => {
      offload(() => 1);
      asleep = true;
      return Atomics.wait(memory, 0, 0);
    });
    const second = spawn(() => {
      offload(() => 1);
      while (!asleep) sleep(0);
      Atomics.store(memory, 0, 1);
      return Atomics.notify(memory, 0);
    });
    expect([await second, await first]).toEqual([1, "ok"]);
  });

  it("listeners of threaded emitters, and functions that are passed, may block", async () => {
    const { readFileSync } = await import("node:fs");
    const store = await spawn(() => new (threaded(library).Store)(1, 2));
    const heard = new Promise((resolve) => {
      spawn(() => store.on("event", (value: number) => resolve([value, readFileSync(library, "utf8").length])));
    });
    const lengths = spawn(() => store.map(() => readFileSync(library, "utf8").length));
    expect((await lengths)[0]).toBeGreaterThan(1000);
    await spawn(() => store.emitLater(7));
    expect(await heard).toEqual([7, (await lengths)[0]]);
  });
});

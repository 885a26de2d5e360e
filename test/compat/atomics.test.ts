import "runtime/patch";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { Worker } from "node:worker_threads";
import { sleep, spawn, withTimeout } from "runtime";
import { createSyncFn } from "synckit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { active, describeBoth, describeFibers, inFiber, progress, settle, thrown } from "./support";

function cells(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(16));
}

/** Notifies from another thread: stores 1 in the cell first. */
const notifier = `
const { parentPort } = require("node:worker_threads");
parentPort.on("message", ({ array, index, count, ms }) => setTimeout(() => {
  Atomics.store(array, index, 1);
  Atomics.notify(array, index, count);
}, ms));
`;

let other: Worker;

beforeAll(async () => {
  other = new Worker(notifier, { eval: true, env: {} });
  await new Promise((resolve) => other.once("online", resolve));
  other.unref();
});

afterAll(async () => {
  await other.terminate();
});

function notifyLater(array: Int32Array, index: number, ms: number, count?: number): void {
  other.postMessage({ array, index, count, ms });
}

describeBoth("Atomics.wait", (run) => {
  test("returns as soon as another thread notifies", async () => {
    const array = cells();
    expect(
      await run(() => {
        notifyLater(array, 1, 10);
        return Atomics.wait(array, 1, 0);
      }),
    ).toBe("ok");
  });

  test("does not wait for another value, or after its time", async () => {
    await run(() => {
      expect(Atomics.wait(cells(), 0, 1)).toBe("not-equal");
      expect(Atomics.wait(cells(), 0, 0, 0)).toBe("timed-out");
      expect(Atomics.wait(cells(), 0, 0, -5)).toBe("timed-out");
      const before = performance.now();
      expect(Atomics.wait(cells(), 0, 0, 20)).toBe("timed-out");
      expect(performance.now() - before).toBeGreaterThanOrEqual(19);
    });
  });

  test("takes BigInt64Arrays, and views into a buffer", async () => {
    await run(() => {
      const big = new BigInt64Array(new SharedArrayBuffer(16));
      expect(Atomics.wait(big, 1, 1n)).toBe("not-equal");
      expect(Atomics.wait(big, 1, 0n, 1)).toBe("timed-out");
      const view = new Int32Array(new SharedArrayBuffer(16), 8);
      expect(Atomics.wait(view, 1, 0, 1)).toBe("timed-out");
    });
  });

  test.each([
    [new Int32Array(4), 0, 0],
    [cells(), 4, 0],
    [cells(), -1, 0],
    [new Uint8Array(new SharedArrayBuffer(4)), 0, 0],
    [null, 0, 0],
    [{}, 0, 0],
  ])("refuses %o, %d", async (array, index, value) => {
    const { wait } = Atomics;
    const errors = await run(() => thrown(() => wait(array as Int32Array, index, value, 0)));
    expect(errors.constructor.name).toBe(index === 0 ? "TypeError" : "RangeError");
  });
});

describeFibers("Atomics.wait in fibers", () => {
  test("lets others go on", async () => {
    const array = cells();
    const wait = () => void Atomics.wait(array, 0, 0);
    expect(await progress(wait, () => void Atomics.notify(array, 0))).toBeGreaterThanOrEqual(5);
  });

  test("one fiber wakes another", async () => {
    const array = cells();
    const waiting = spawn(() => Atomics.wait(array, 0, 0));
    expect(await inFiber(() => Atomics.notify(array, 0))).toBe(1);
    expect(await waiting).toBe("ok");
  });

  test("notifications wake as many as they say, who came first first", async () => {
    const array = cells();
    const woken: number[] = [];
    const fibers = Array.from({ length: 5 }, (_, number) =>
      spawn(() => {
        Atomics.wait(array, 0, 0);
        woken.push(number);
      }),
    );
    await settle();
    Atomics.notify(array, 0, 2);
    await settle();
    expect(woken).toEqual([0, 1]);
    Atomics.notify(array, 0, 1);
    await settle();
    expect(woken).toEqual([0, 1, 2]);
    Atomics.notify(array, 0);
    for (const fiber of fibers) await fiber;
    expect(woken).toEqual([0, 1, 2, 3, 4]);
  });

  test.each([0, 1, 2])("fiber %d of three is killed: no notification is lost", async (victim) => {
    const array = cells();
    const fibers = [0, 1, 2].map(() => spawn(() => Atomics.wait(array, 0, 0)));
    await settle();
    await inFiber(() => fibers[victim]?.kill());
    const alive = fibers.toSpliced(victim, 1);
    for (const fiber of alive) {
      notifyLater(array, 0, 0, 1);
      expect(await fiber).toBe("ok");
    }
  });

  test("one is killed when it has just been notified: the next gets it", async () => {
    const array = cells();
    const [first, second] = [spawn(() => Atomics.wait(array, 0, 0)), spawn(() => Atomics.wait(array, 0, 0))];
    await settle();
    await inFiber(() => {
      expect(Atomics.notify(array, 0, 1)).toBe(1);
      first?.kill();
    });
    expect(await second).toBe("ok");
  });

  test("one is timed out, and notified before it runs: the next gets it", async () => {
    const array = cells();
    const first = spawn(() => thrown(() => withTimeout(5, () => Atomics.wait(array, 0, 0))));
    await settle();
    const second = spawn(() => Atomics.wait(array, 0, 0));
    expect(await first).toMatchObject({ code: "ERR_TIMEOUT" });
    Atomics.notify(array, 0, 1);
    expect(await second).toBe("ok");
  });

  test("killed, or timed out, nothing keeps the process busy", async () => {
    const before = active("Timeout"); // the test runner's own come and go
    const fibers = Array.from({ length: 50 }, () => spawn(() => Atomics.wait(cells(), 0, 0)));
    await settle();
    expect(active("Timeout")).toBeGreaterThanOrEqual(before + 40);
    await inFiber(() => {
      for (const fiber of fibers) fiber.kill();
    });
    expect(active("Timeout")).toBeLessThan(before + 10);
  });

  test("a timeout appears with the fiber's frames", async () => {
    const error = await inFiber(function waiting() {
      return thrown(() => withTimeout(5, () => Atomics.wait(cells(), 0, 0)));
    });
    expect(error).toMatchObject({ code: "ERR_TIMEOUT" });
    expect(error.stack).toContain("waiting");
  });

  test("200 fibers wait, each for its own", async () => {
    const array = new Int32Array(new SharedArrayBuffer(800));
    const fibers = Array.from({ length: 200 }, (_, index) =>
      spawn(() => {
        notifyLater(array, index, index % 10);
        return Atomics.wait(array, index, 0);
      }),
    );
    for (const fiber of fibers) expect(await fiber).toMatch(/^(ok|not-equal)$/);
  });
});

describeFibers("a worker that answers each message in a buffer of its own", () => {
  const worker = new Worker(
    `require("node:worker_threads").parentPort.on("message", ({ cells, release }) => {
       const answer = () => { cells[0] = 1; Atomics.notify(cells, 0); };
       if (!globalThis.held) globalThis.held = [];
       held.push(answer);
       if (held.length === release) for (const one of held.splice(0)) one();
     });`,
    { eval: true },
  );
  afterAll(() => worker.terminate());

  test("is asked by any number of fibers at once", async () => {
    const ask = (release: number) => {
      const array = cells();
      worker.postMessage({ cells: array, release });
      return Atomics.wait(array, 0, 0, 20_000);
    };
    expect(await inFiber(() => [ask(1), ask(1)])).not.toContain("timed-out");
    // It answers none before it has been asked by all.
    const fibers = Array.from({ length: 50 }, () => spawn(() => ask(50)));
    for (const fiber of fibers) expect(await fiber).not.toBe("timed-out");
  });
});

describe("synckit", () => {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "synckit-"));
  const worker = path.join(directory, "worker.cjs");
  fs.writeFileSync(
    worker,
    `const { runAsWorker } = require(${JSON.stringify(require.resolve("synckit"))});
    runAsWorker(async (ms, value) => {
      await new Promise((resolve) => setTimeout(resolve, ms));
      if (value === "fail") throw Object.assign(new TypeError("failed"), { code: "EFAILED" });
      return value;
    });`,
  );
  const call = createSyncFn<(ms: number, value: unknown) => Promise<unknown>>(worker);

  afterAll(() => fs.rmSync(directory, { recursive: true }));

  test("works out of a fiber as it does without the patch", () => {
    expect(call(1, { a: [1] })).toEqual({ a: [1] });
    expect(thrown(() => call(0, "fail"))).toMatchObject({ name: "TypeError", code: "EFAILED" });
    expect(call(0, "again")).toBe("again");
  });

  describeFibers("in fibers", () => {
    test("it is cooperative", async () => {
      let value: unknown;
      const turns = await progress(() => {
        value = call(50, "answer");
      });
      expect(value).toBe("answer");
      expect(turns).toBeGreaterThan(1);
    });

    test("each of many fibers gets its own answer", async () => {
      const fibers = Array.from({ length: 50 }, (_, number) =>
        spawn(() => [call(number % 3, number), call(0, -number), thrown(() => call(0, "fail")).code]),
      );
      for (const [number, fiber] of fibers.entries()) expect(await fiber).toEqual([number, -number, "EFAILED"]);
    });

    test("killed and timed out calls leave the others and the next ones right", async () => {
      const fibers = Array.from({ length: 20 }, (_, number) => spawn(() => call(5, number)));
      const timed = spawn(() => thrown(() => withTimeout(8, () => call(50, "late"))));
      await inFiber(() => {
        sleep(12);
        for (const number of [1, 2, 3, 10]) fibers[number]?.kill();
      });
      expect(await timed).toMatchObject({ code: "ERR_TIMEOUT" });
      for (const [number, fiber] of fibers.entries()) {
        const value = await fiber;
        if (![1, 2, 3, 10].includes(number)) expect(value).toBe(number);
      }
      expect(await inFiber(() => call(0, "next"))).toBe("next");
      expect(call(0, "next, out of a fiber")).toBe("next, out of a fiber");
    });
  });
});

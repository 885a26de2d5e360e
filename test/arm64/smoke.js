// What the switches must do on any processor, with nothing but node:assert: it also has to run under an emulator.
//   node --expose-gc test/arm64/smoke.js
const assert = require("node:assert");
const { AsyncLocalStorage } = require("node:async_hooks");
const { Worker, isMainThread, parentPort } = require("node:worker_threads");
const { Fiber, FiberExit, info, sleep, spawn, wait } = require("../..");

const collect = globalThis.gc ?? (() => {});

function depth() {
  try {
    return 1 + depth();
  } catch (error) {
    assert(error instanceof RangeError);
    return 1;
  }
}

function descend(levels, atTheBottom) {
  const kept = [levels, `level ${levels}`, levels / 3];
  const below = levels === 0 ? atTheBottom() : descend(levels - 1, atTheBottom);
  assert.deepStrictEqual(kept, [levels, `level ${levels}`, levels / 3]);
  return below + 1;
}

const checks = {
  "a fiber suspends and goes on": () => {
    const seen = [];
    const one = spawn(() => {
      seen.push("one");
      sleep(5);
      seen.push("one again");
      return 1;
    });
    const two = spawn(() => {
      seen.push("two");
      return 2;
    });
    assert.strictEqual(one.get() + two.get(), 3);
    assert.deepStrictEqual(seen, ["one", "two", "one again"]);
  },

  "it suspends under native frames": () => {
    const turn = (value) => {
      sleep(0);
      return value;
    };
    assert.deepStrictEqual(
      [3, 1, 2].sort((a, b) => turn(a - b)),
      [1, 2, 3],
    );
    assert.strictEqual(
      "abc".replace(/./g, (letter) => turn(letter.toUpperCase())),
      "ABC",
    );
    assert.deepStrictEqual(Array.from(new Set([1, 2]), turn), [1, 2]);
    assert.strictEqual(new Proxy({}, { get: () => turn(7) }).anything, 7);
  },

  "numbers outlive a switch": () => {
    const rotate = (seed) => {
      let a = seed;
      let b = seed / 3;
      let c = Math.sqrt(seed);
      for (let i = 0; i < 200; i++) {
        [a, b, c] = [b + 1e-9, c * 1.0000001, a];
        if (i % 10 === 0) sleep(0);
      }
      return [a, b, c];
    };
    const straight = [11, 12, 13, 14].map((seed) => spawn(rotate, seed).get());
    const crossed = [11, 12, 13, 14].map((seed) => spawn(rotate, seed)).map((fiber) => fiber.get());
    assert.deepStrictEqual(crossed, straight);
  },

  "a killed fiber runs its finally blocks": () => {
    let cleaned = 0;
    const fiber = spawn(() => {
      try {
        sleep(1e6);
      } finally {
        sleep(0);
        cleaned++;
      }
    });
    sleep(0);
    fiber.kill();
    assert(fiber.dead && fiber.value instanceof FiberExit);
    assert.strictEqual(cleaned, 1);
  },

  "errors cross the switch": () => {
    const fiber = spawn(() => {
      sleep(0);
      throw new TypeError("mine");
    });
    assert.throws(() => fiber.get(), { name: "TypeError", message: "mine" });
    assert.throws(() => wait(Promise.reject(new Error("rejected"))), /rejected/);
  },

  "deep recursion suspends at its bottom": () => {
    const suspendAndCollect = () => {
      collect();
      sleep(1);
      collect();
      return 0;
    };
    const fibers = Array.from({ length: 5 }, () => spawn(descend, 1000, suspendAndCollect));
    for (const fiber of fibers) assert.strictEqual(fiber.get(), 1001);
  },

  "a stack overflow is a RangeError, and the fiber goes on": () => {
    for (let i = 0; i < 3; i++) {
      const levels = depth();
      assert(levels > 1000, `only ${levels} levels`);
      sleep(0);
    }
    assert(spawn(() => depth()).get() > 1000);
  },

  "a small stack overflows earlier": () => {
    const small = new Fiber(() => depth(), { stackSize: 64 * 1024 }).start();
    assert(small.get() < depth());
  },

  "a thousand fibers at once": () => {
    const fibers = [];
    for (let i = 0; i < 1000; i++) {
      fibers.push(
        spawn(() => {
          const mine = { i, text: `fiber ${i}` };
          sleep(i % 7);
          if (i % 250 === 0) collect();
          sleep(i % 5);
          assert.deepStrictEqual(mine, { i, text: `fiber ${i}` });
          return i;
        }),
      );
    }
    assert.strictEqual(
      fibers.reduce((sum, fiber) => sum + fiber.get(), 0),
      (999 * 1000) / 2,
    );
    assert(info().stacks >= 1000);
  },

  "collections see suspended stacks": () => {
    const fibers = Array.from({ length: 50 }, (_, i) =>
      spawn(() => {
        const kept = Array.from({ length: 100 }, (_, j) => ({ value: i * j }));
        for (let round = 0; round < 5; round++) {
          sleep(0);
          for (let garbage = 0; garbage < 100; garbage++) new Array(100).fill({});
        }
        return kept.reduce((sum, { value }) => sum + value, 0);
      }),
    );
    for (let i = 0; i < 10; i++) {
      collect();
      sleep(0);
    }
    for (const [i, fiber] of fibers.entries()) assert.strictEqual(fiber.get(), i * 4950);
  },

  "async context stays with its fiber": () => {
    const storage = new AsyncLocalStorage();
    const body = () => {
      const before = storage.getStore();
      sleep(1);
      return [before, storage.getStore()];
    };
    const fibers = ["a", "b"].map((name) => storage.run(name, () => spawn(body)));
    assert.deepStrictEqual(
      fibers.map((fiber) => fiber.get()),
      [
        ["a", "a"],
        ["b", "b"],
      ],
    );
  },

  // A worker gives its stacks back: each gets a kernel thread once more, and is joined.
  "a worker ends with fibers suspended and at rest": () => {
    for (const how of ["terminate", "exit"]) {
      const worker = new Worker(__filename, { argv: [how] });
      const ended = new Promise((resolve, reject) => worker.once("exit", resolve).once("error", reject));
      assert.strictEqual(wait(new Promise((resolve) => worker.once("message", resolve))), "suspended");
      if (how === "terminate") worker.terminate();
      else worker.postMessage("exit");
      assert.strictEqual(wait(ended), how === "exit" ? 7 : 1);
    }
  },
};

function inWorker() {
  for (let i = 0; i < 10; i++) spawn(() => i);
  for (let i = 0; i < 20; i++) spawn(() => sleep(1e6));
  spawn(() => {
    sleep(5);
    parentPort.postMessage("suspended");
  });
  parentPort.once("message", () => process.exit(7));
}

async function inMainThread() {
  const forced = process.env.RUNTIME_SWITCH;
  if (forced) assert.strictEqual(info().switch, forced);
  const only = process.argv[2];
  let passed = 0;
  for (const [name, check] of Object.entries(checks)) {
    if (only && !name.includes(only)) continue;
    await spawn(check);
    collect();
    console.log(`ok - ${name}`);
    passed++;
  }
  console.log(`${passed} checks passed on ${process.arch}, Node ${process.versions.node}, switch ${info().switch}`);
}

if (isMainThread) inMainThread();
else inWorker();

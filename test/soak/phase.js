// One phase of the soak test: node phase.js SECONDS SEED
"use strict";
require("runtime/patch");
const { AsyncLocalStorage, AsyncResource } = require("node:async_hooks");
const fs = require("node:fs");
const http = require("node:http");
const os = require("node:os");
const path = require("node:path");
const { sleepSync } = require("node:timers");
const { Worker, isMainThread, workerData } = require("node:worker_threads");
const {
  Condition,
  Event,
  Fiber,
  FiberExit,
  info,
  joinAll,
  monitor,
  Pool,
  Queue,
  Semaphore,
  sleep,
  spawn,
  stats,
  Timeout,
  wait,
  waitAll,
  withTimeout,
  fibers,
} = require("runtime");

const [seconds, seed] = isMainThread ? process.argv.slice(2).map(Number) : [workerData.seconds, workerData.seed];

// A small generator of its own, so that a seed gives the same choices again (mulberry32).
let state = seed;
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const below = (n) => Math.floor(random() * n);
const check = (ok, what) => {
  if (!ok) throw new Error(`wrong: ${what}`);
};
const storage = new AsyncLocalStorage();
const dir = fs.mkdtempSync(path.join(os.tmpdir(), "runtime-soak-"));
let server;

function descend(depth, carried) {
  const mine = { sum: carried.sum + 1, text: "x".repeat(depth % 50) };
  const result = depth === 0 ? (sleep(below(5)), mine.sum) : [depth].map((d) => descend(d - 1, mine))[0];
  check(mine.text.length === depth % 50, "a frame's object");
  return result;
}

function overflow() {
  return overflow() + 1;
}

/** Each kind of work checks its own result. */
const works = {
  sleep: () => sleep(below(10)),
  turn: () => sleep(0),
  descend: () => check(descend(below(200), { sum: 0 }) > 0, "descend"),
  overflow() {
    try {
      overflow();
    } catch (error) {
      check(error instanceof RangeError, "overflow");
      sleep(1);
      return;
    }
    check(false, "no overflow");
  },
  wait: () => check(wait(new Promise((resolve) => setImmediate(resolve, 7))) === 7, "wait"),
  reject() {
    try {
      wait(Promise.reject(new TypeError("expected")));
    } catch (error) {
      return check(error instanceof TypeError, "reject");
    }
    check(false, "no rejection");
  },
  join() {
    const value = below(1000);
    check(spawn((n) => (sleep(below(3)), n + 1), value).get() === value + 1, "join");
  },
  fail() {
    const fiber = spawn(() => {
      sleep(below(3));
      throw new RangeError("expected");
    });
    try {
      fiber.get();
    } catch (error) {
      return check(error instanceof RangeError, "fail");
    }
    check(false, "no failure");
  },
  kill() {
    let begun = false;
    let unwound = false;
    const fiber = spawn(() => {
      begun = true;
      try {
        for (;;) sleep(1000);
      } finally {
        sleep(below(2));
        unwound = true;
      }
    });
    sleep(below(3));
    fiber.kill();
    check(fiber.dead && fiber.value instanceof FiberExit, "kill");
    check(unwound || !begun, "unwound");
  },
  throwInto() {
    let begun = false;
    const fiber = spawn(() => {
      begun = true;
      try {
        sleep(1000);
      } catch (error) {
        return error.message;
      }
    });
    while (!begun) sleep(0);
    fiber.throw(new Error("thrown"));
    check(fiber.get() === "thrown", "throw");
  },
  timeout: () => check(withTimeout(1, () => sleep(1000), "late") === "late", "timeout"),
  timeouts() {
    const outer = Timeout.start(3);
    try {
      withTimeout(500, () => sleep(1000));
    } catch (error) {
      check(error === outer, "the outer timeout");
    } finally {
      outer.cancel();
    }
  },
  queue() {
    const queue = new Queue(1 + below(3));
    const got = [];
    const readers = [0, 1, 2].map(() =>
      spawn(() => {
        for (const item of queue) got.push(item);
      }),
    );
    const lost = spawn(() => queue.get(below(3)));
    lost.link(() => {});
    for (let item = 0; item < 20; item++) queue.put(item);
    lost.kill();
    queue.shutdown();
    joinAll(readers);
    if (typeof lost.value === "number") got.push(lost.value);
    check(got.sort((a, b) => a - b).join() === Array.from({ length: 20 }, (_, i) => i).join(), "queue");
  },
  semaphore() {
    const semaphore = new Semaphore(2);
    const users = Array.from({ length: 10 }, () =>
      spawn(() =>
        semaphore.runExclusive(() => {
          check(semaphore.counter < 2, "permits");
          sleep(below(2));
        }),
      ),
    );
    users[below(10)].kill();
    waitAll(users);
    check(semaphore.counter === 2, "permits are back");
  },
  pool() {
    const pool = new Pool(1 + below(4));
    const doubled = pool.map(
      (n) => {
        sleep(below(2));
        return n * 2;
      },
      [1, 2, 3, 4, 5],
    );
    check(doubled.join() === "2,4,6,8,10", "pool");
    const values = new Set(pool.imapUnordered((n) => (sleep(below(2)), n), [1, 2, 3], { maxSize: 2 }));
    check(values.size === 3 && pool.freeCount === pool.size, "imapUnordered");
  },
  signals() {
    const event = new Event();
    const condition = new Condition();
    let ready = false;
    const waiters = [
      spawn(() => event.wait()),
      spawn(() => condition.runExclusive(() => condition.waitFor(() => ready))),
      spawn(() => event.wait(AbortSignal.timeout(1))),
    ];
    for (const waiter of waiters) waiter.link(() => {});
    sleep(below(3));
    condition.runExclusive(() => {
      ready = true;
      condition.notifyAll();
    });
    event.set();
    check(joinAll(waiters).length === 3 && waiters[0].value === true && waiters[1].value === true, "signals");
  },
  look() {
    if (below(20) > 0) return; // every stack is asked where it is
    const { id } = Fiber.current;
    check(
      fibers().some((fiber) => fiber.id === id && fiber.state === "running"),
      "fibers",
    );
    check(stats().running === 1, "stats");
  },
  watch: () => (below(2) ? monitor({ threshold: 1 + below(20), report() {} }) : monitor().stop()),
  context() {
    const id = below(1e6);
    storage.run(id, () => {
      sleep(below(3));
      check(storage.getStore() === id, "context");
      const inner = new AsyncResource("SOAK").runInAsyncScope(() => (sleep(below(3)), storage.getStore()));
      check(inner === id, "context in a scope");
    });
  },
  sort: () =>
    check([3, 1, 2].sort((a, b) => (sleep(0), a - b)).join() === "1,2,3", "sort") ||
    check("aXb".replace("X", () => (sleep(0), "-")) === "a-b", "replace"),
  file() {
    const file = path.join(dir, `${process.pid}-${below(50)}-${Fiber.current.id}`);
    const text = "t".repeat(below(5000));
    fs.writeFileSync(file, text);
    check(fs.readFileSync(file, "utf8") === text, "file");
    fs.unlinkSync(file);
    check(!fs.existsSync(file), "unlinked");
  },
  request() {
    if (!server) return sleep(1);
    const n = below(1e6);
    const res = http.getSync({ port: server.address().port, path: `/${n}` });
    check(res.textSync() === `answer ${n}`, "request");
  },
  abandonedRequest() {
    if (!server) return sleep(1);
    withTimeout(1, () => http.getSync({ port: server.address().port, path: "/slow" }).textSync(), null);
  },
  // V8 12 and later have a compiler that keeps values alive on the stack which the code no longer uses: there an
  // abandoned fiber may stay.
  abandon: () => Number.parseInt(process.versions.v8, 10) < 12 && spawn(() => wait({ then() {} })),
  wasm() {
    // (module (func (export "f") (result i32) i32.const 42)): compiled code for the collector to find dead.
    const bytes = [
      0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 127, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0, 10, 6, 1, 4, 0, 65, 42,
      11,
    ];
    check(new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes))).exports.f() === 42, "wasm");
    sleep(0);
  },
  parse: () => check(JSON.parse('{"a":1}', (_, value) => (sleep(0), value)).a === 1, "parse"),
};
const names = Object.keys(works);

async function workers() {
  const worker = new Worker(__filename, { workerData: { seconds: 0.3, seed: below(1e6) } });
  let error;
  worker.on("error", (caught) => {
    error = caught;
  });
  if (below(2)) setTimeout(() => worker.terminate(), below(300));
  await new Promise((resolve) => worker.on("exit", resolve));
  if (error) throw error;
}

const megabytes = () => {
  gc();
  return Math.round(process.memoryUsage().rss / 2 ** 20);
};

async function main() {
  if (isMainThread) {
    server = http.createServer((req, res) => {
      sleepSync(req.url === "/slow" ? 50 : below(3));
      res.end(`answer ${req.url.slice(1)}`);
    });
    await new Promise((resolve) => server.listen(0, resolve));
  }
  const end = Date.now() + seconds * 1000;
  let done = 0;
  let failure;
  const lane = () => {
    while (Date.now() < end && failure === undefined) {
      const name = names[below(names.length)];
      try {
        works[name]();
        done++;
      } catch (error) {
        failure ??= Object.assign(error, { message: `${name}: ${error.message}` });
      }
    }
  };
  const lanes = Array.from({ length: isMainThread ? 40 : 10 }, () => spawn(lane));
  const sizes = [];
  const watch = isMainThread && setInterval(() => sizes.push(megabytes()), Math.max(100, seconds * 10));
  const threads = isMainThread
    ? (async () => {
        while (Date.now() < end && failure === undefined) await workers();
      })()
    : Promise.resolve();
  for (const fiber of lanes) await fiber;
  await threads;
  clearInterval(watch);
  if (failure) throw failure;
  if (!isMainThread) return;

  server.close();
  server.closeAllConnections();
  await new Promise((resolve) => setTimeout(resolve, 200));
  for (let i = 0; i < 5; i++) {
    gc(); // abandoned fibers are unwound when they are garbage
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  fs.rmSync(dir, { recursive: true });
  const middle = (from, to) =>
    sizes.slice(sizes.length * from, sizes.length * to).sort((a, b) => a - b)[
      Math.floor((sizes.length * (to - from)) / 2)
    ];
  const before = middle(0.25, 0.5);
  const after = middle(0.75, 1);
  const left = info().fibers;
  console.log(
    `       ${done} pieces of work, ${left} fibers left, ${before} MiB in the second quarter, ${after} MiB in the last`,
  );
  check(left === 0, `${left} fibers were left behind`);
  check(after < before * 1.15 + 10, "memory grew");
}

main().then(
  () => isMainThread && process.exit(0),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);

// trips SHARE: trips to a thread and back with offload's pool, in a fiber; and objects that live in a thread.
// compute SHARE THREADS: tasks that compute.
const path = require("node:path");
const { spawn, ThreadPool, threaded } = require("runtime");

const tasks = path.join(__dirname, "../tasks/tasks.cjs");
const mover = path.join(__dirname, "../tasks/move.cjs");
const mebibyte = 1024 * 1024;
const [, , what, share, threads = 1] = process.argv;
const nothing = { name: "nothing" };

const now = () => Number(process.hrtime.bigint()) / 1000; // microseconds

const times = (run) => (count) => {
  for (let i = 0; i < count; i++) run(i);
};

function least(batches, count, run) {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < batches * share; i++) {
    const start = now();
    run(count);
    least = Math.min(least, (now() - start) / count);
  }
  return least;
}

function map(pool, count, name) {
  const items = Array.from({ length: count }, (_, i) => i);
  return () => pool.map(tasks, items, { name });
}

function measureTrips(pool, counter) {
  let bytes = new Uint8Array(mebibyte);
  const move = () => {
    bytes = pool.apply(mover, [bytes], { name: "ours", transfer: [bytes.buffer] });
  };
  return {
    module: least(
      200,
      100,
      times((i) => pool.apply(tasks, [i], nothing)),
    ),
    function: least(
      200,
      100,
      times((i) => pool.apply((value) => value, i)),
    ),
    bytes: least(100, 50, times(move)),
    burst: least(50, 200, map(pool, 200, "nothing")),
    method: least(
      200,
      100,
      times((i) => counter.add(i)),
    ),
  };
}

/** In async code. */
async function measurePromises(pool) {
  let least = Number.POSITIVE_INFINITY;
  for (let batch = 0; batch < 200 * share; batch++) {
    const start = now();
    for (let i = 0; i < 100; i++) await pool.spawn(tasks, [i], nothing);
    least = Math.min(least, (now() - start) / 100);
  }
  return least;
}

async function trips(pool) {
  const counter = new (threaded(tasks).Counter)();
  const figures = await spawn(measureTrips, pool, counter);
  figures.promise = await measurePromises(pool);
  figures.parked = least(
    200,
    100,
    times((i) => counter.add(i)),
  );
  return figures;
}

function compute(pool) {
  return spawn(() => ({ compute: least(12, 8, map(pool, 8, "compute")) / 1000 }));
}

async function main() {
  const pool = new ThreadPool({ min: Number(threads), max: Number(threads) });
  const figures = await (what === "trips" ? trips : compute)(pool);
  pool.kill();
  console.log(JSON.stringify(figures));
}

main();

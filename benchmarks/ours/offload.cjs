// THREADS SHARE: the same with offload's pool, in a fiber; and objects that live in a thread.
const path = require("node:path");
const { spawn, ThreadPool, threaded } = require("runtime");

const tasks = path.join(__dirname, "../tasks/tasks.cjs");
const mover = path.join(__dirname, "../tasks/move.cjs");
const mebibyte = 1024 * 1024;
const share = Number(process.argv[3]); // of the batches
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

function measure(pool, counter) {
  let bytes = new Uint8Array(mebibyte);
  const move = () => {
    bytes = pool.apply(mover, [bytes], { name: "ours", transfer: [bytes.buffer] });
  };
  const items = Array.from({ length: 200 }, (_, i) => i);
  const map = (name) => (count) => pool.map(tasks, items.slice(0, count), { name });
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
    burst: least(50, 200, map("nothing")),
    compute: least(12, 8, map("compute")) / 1000,
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

async function main(threads) {
  const pool = new ThreadPool({ min: threads, max: threads });
  const counter = new (threaded(tasks).Counter)();
  const figures = await spawn(measure, pool, counter);
  figures.promise = await measurePromises(pool);
  figures.parked = least(
    200,
    100,
    times((i) => counter.add(i)),
  );
  pool.kill();
  console.log(JSON.stringify(figures));
}

main(Number(process.argv[2]));

// The same with offload's pool, in a fiber; and objects that live in a thread.
const path = require("node:path");
const { spawn, ThreadPool, threaded } = require("runtime");

const tasks = path.join(__dirname, "../tasks/tasks.cjs");
const mover = path.join(__dirname, "../tasks/move.cjs");
const TRIPS = 5000;
const MOVES = 1000;

const now = () => Number(process.hrtime.bigint()) / 1000; // microseconds
const figures = {};
const times = (count, run) => () => {
  for (let i = 0; i < count; i++) run(i);
};
const time = (key, count, run, unit = 1) => {
  run();
  const start = now();
  run();
  figures[key] = (now() - start) / count / unit;
};

function measure(threads) {
  const pool = new ThreadPool({ min: threads, max: threads });
  const nothing = { name: "nothing" };
  time(
    "module",
    TRIPS,
    times(TRIPS, (i) => pool.apply(tasks, [i], nothing)),
  );
  time(
    "function",
    TRIPS,
    times(TRIPS, (i) => pool.apply((value) => value, i)),
  );
  let bytes = new Uint8Array(1024 * 1024);
  const move = () => {
    bytes = pool.apply(mover, [bytes], { name: "ours", transfer: [bytes.buffer] });
  };
  time("bytes", MOVES, times(MOVES, move));
  const items = Array.from({ length: 1000 }, (_, i) => i);
  time(
    "burst",
    5000,
    times(5, () => pool.map(tasks, items, nothing)),
  );
  time("compute", 16, () => pool.map(tasks, items.slice(0, 16), { name: "compute" }), 1000);
  const library = threaded(tasks);
  const counter = new library.Counter();
  time(
    "method",
    TRIPS,
    times(TRIPS, (i) => counter.add(i)),
  );
  return [pool, counter];
}

async function measureOut(pool, counter) {
  const start = now();
  for (let i = 0; i < TRIPS; i++) await pool.spawn(tasks, [i], { name: "nothing" });
  figures.promise = (now() - start) / TRIPS;
  time(
    "parked",
    TRIPS,
    times(TRIPS, (i) => counter.add(i)),
  );
  pool.kill();
}

spawn(measure, Number(process.argv[2]))
  .then(([pool, counter]) => measureOut(pool, counter))
  .then(() => console.log(JSON.stringify(figures)));

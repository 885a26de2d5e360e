// Trips to threads and back with bare piscina.
const path = require("node:path");
const { Piscina } = require("piscina");

const tasks = path.join(__dirname, "../tasks/tasks.cjs");
const mover = path.join(__dirname, "../tasks/move.cjs");
const TRIPS = 5000;
const MOVES = 1000;

const now = () => Number(process.hrtime.bigint()) / 1000; // microseconds

async function measure(threads) {
  const pool = new Piscina({ filename: tasks, minThreads: threads, maxThreads: threads });
  const trip = (value) => pool.run(value, { name: "nothing" });
  const many = async (count) => {
    for (let i = 0; i < count; i++) await trip(i);
  };
  const move = async (count) => {
    let bytes = new Uint8Array(1024 * 1024);
    for (let i = 0; i < count; i++) {
      bytes = await pool.run(bytes, { filename: mover, name: "piscina", transferList: [bytes.buffer] });
    }
  };
  const all = (count, run) => Promise.all(Array.from({ length: count }, (_, i) => run(i)));
  const compute = (i) => pool.run(i, { name: "compute" });
  const burst = async () => {
    for (let i = 0; i < 5; i++) await all(1000, trip);
  };
  const figures = {};
  const time = async (key, count, run, unit = 1) => {
    const start = now();
    await run();
    figures[key] = (now() - start) / count / unit;
  };
  await many(TRIPS);
  await time("module", TRIPS, () => many(TRIPS));
  await move(100);
  await time("bytes", MOVES, () => move(MOVES));
  await burst();
  await time("burst", 5000, burst);
  await all(threads, compute);
  await time("compute", 16, () => all(16, compute), 1000);
  await pool.destroy();
  return figures;
}

measure(Number(process.argv[2])).then((figures) => console.log(JSON.stringify(figures)));

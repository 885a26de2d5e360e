// trips SHARE, compute SHARE THREADS: the same with bare piscina.
const path = require("node:path");
const { Piscina } = require("piscina");

const tasks = path.join(__dirname, "../tasks/tasks.cjs");
const mover = path.join(__dirname, "../tasks/move.cjs");
const mebibyte = 1024 * 1024;
const [, , what, share, threads = 1] = process.argv;

const now = () => Number(process.hrtime.bigint()) / 1000; // microseconds

// The quickest of many batches: threads that wait for each other lose much when others take the processor.
async function least(batches, count, run) {
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < batches * share; i++) {
    const start = now();
    await run(count);
    least = Math.min(least, (now() - start) / count);
  }
  return least;
}

async function times(count, run) {
  for (let i = 0; i < count; i++) await run(i);
}

const all = (count, run) => Promise.all(Array.from({ length: count }, (_, i) => run(i)));

async function trips(pool) {
  const trip = (value) => pool.run(value, { name: "nothing" });
  let bytes = new Uint8Array(mebibyte);
  const move = async () => {
    bytes = await pool.run(bytes, { filename: mover, name: "piscina", transferList: [bytes.buffer] });
  };
  const module = await least(200, 100, (count) => times(count, trip));
  return {
    module,
    promise: module,
    bytes: await least(100, 50, (count) => times(count, move)),
    burst: await least(50, 200, (count) => all(count, trip)),
  };
}

async function compute(pool) {
  const run = (i) => pool.run(i, { name: "compute" });
  return { compute: (await least(12, 8, (count) => all(count, run))) / 1000 };
}

async function main() {
  const pool = new Piscina({ filename: tasks, minThreads: Number(threads), maxThreads: Number(threads) });
  const figures = await (what === "trips" ? trips : compute)(pool);
  await pool.destroy();
  console.log(JSON.stringify(figures));
}

main();

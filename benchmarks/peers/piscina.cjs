// THREADS SHARE: trips to threads and back with bare piscina.
const path = require("node:path");
const { Piscina } = require("piscina");

const tasks = path.join(__dirname, "../tasks/tasks.cjs");
const mover = path.join(__dirname, "../tasks/move.cjs");
const mebibyte = 1024 * 1024;
const share = Number(process.argv[3]); // of the batches

const now = () => Number(process.hrtime.bigint()) / 1000; // microseconds

async function measure(threads) {
  const pool = new Piscina({ filename: tasks, minThreads: threads, maxThreads: threads });
  const trip = (value) => pool.run(value, { name: "nothing" });
  let bytes = new Uint8Array(mebibyte);
  const move = async () => {
    bytes = await pool.run(bytes, { filename: mover, name: "piscina", transferList: [bytes.buffer] });
  };
  const compute = (i) => pool.run(i, { name: "compute" });
  const times = async (count, run) => {
    for (let i = 0; i < count; i++) await run(i);
  };
  const all = (count, run) => Promise.all(Array.from({ length: count }, (_, i) => run(i)));
  // The quickest of many batches: threads that wait for each other lose much when others take the processor.
  const least = async (batches, count, run) => {
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < batches * share; i++) {
      const start = now();
      await run(count);
      least = Math.min(least, (now() - start) / count);
    }
    return least;
  };
  const figures = {
    module: await least(200, 100, (count) => times(count, trip)),
    bytes: await least(100, 50, (count) => times(count, move)),
    burst: await least(50, 200, (count) => all(count, trip)),
    compute: (await least(12, 8, (count) => all(count, compute))) / 1000,
  };
  await pool.destroy();
  return figures;
}

measure(Number(process.argv[2])).then((figures) => console.log(JSON.stringify(figures)));

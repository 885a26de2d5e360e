// ROUNDS: the same with offload's pool and with bare piscina, in turns in one process: what the machine does to the one, it does
// to the other. Medians of what ours takes, as a multiple of piscina's.
const path = require("node:path");
const { Piscina } = require("piscina");
const { spawn, ThreadPool } = require("runtime");

const filename = path.join(__dirname, "../tasks/tasks.cjs");
const nothing = { name: "nothing" };
const rounds = Number(process.argv[2]);
const trips = 100;
const tasks = 200;

const now = () => Number(process.hrtime.bigint());
const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];

async function main() {
  const pool = new ThreadPool({ min: 1, max: 1 });
  const piscina = new Piscina({ filename, minThreads: 1, maxThreads: 1 });
  const items = Array.from({ length: tasks }, (_, i) => i);
  const ways = {
    theirTrips: async () => {
      for (let i = 0; i < trips; i++) await piscina.run(i, nothing);
    },
    trips: () =>
      spawn(() => {
        for (let i = 0; i < trips; i++) pool.apply(filename, [i], nothing);
      }),
    awaited: async () => {
      for (let i = 0; i < trips; i++) await pool.spawn(filename, [i], nothing);
    },
    theirBurst: () => Promise.all(items.map((i) => piscina.run(i, nothing))),
    burst: () => spawn(() => pool.map(filename, items, nothing)),
  };
  const times = Object.fromEntries(Object.keys(ways).map((way) => [way, []]));
  for (let round = 0; round < rounds; round++) {
    for (const [way, run] of Object.entries(ways)) {
      const start = now();
      await run();
      times[way].push(now() - start);
    }
  }
  const {
    theirTrips,
    trips: ours,
    awaited,
    theirBurst,
    burst,
  } = Object.fromEntries(Object.entries(times).map(([way, all]) => [way, median(all)]));
  pool.kill();
  await piscina.destroy();
  console.log(
    JSON.stringify({
      tripInTurns: ours / theirTrips,
      awaitedInTurns: awaited / theirTrips,
      burstInTurns: burst / theirBurst,
    }),
  );
}

main();

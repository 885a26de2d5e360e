// As ours/db.cjs, with async and await.
const pg = require("pg");
const { microseconds } = require("../ours/usage.cjs");

const [directory, loops, queries] = process.argv.slice(2);
const db = new pg.Pool({ host: directory, user: "postgres", database: "postgres", max: 20 });

async function run(count) {
  let next = 0;
  const loop = async () => {
    while (next < count) {
      const i = next++;
      const { double } = (await db.query("select $1::int * 2 as double", [i])).rows[0];
      if (double !== i * 2) throw new Error(`wrong answer: ${double} to ${i}`);
    }
  };
  await Promise.all(Array.from({ length: loops }, loop));
}

(async () => {
  await run(queries / 2); // to warm up
  const [start, used] = [performance.now(), microseconds()];
  await run(queries);
  const perSecond = (queries * 1000) / (performance.now() - start);
  console.log(JSON.stringify({ perSecond, cpu: (microseconds() - used) / queries }));
  process.exit();
})();

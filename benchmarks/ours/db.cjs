// Queries in blocking style, by so many fibers: DIRECTORY FIBERS QUERIES. Run with the patch.
// { perSecond } on the clock; { cpu } microseconds of processor time each.
const pg = require("pg");
const { blocking, joinAll, runMain, spawn } = require("runtime");
const { microseconds } = require("./usage.cjs");

const [directory, fibers, queries] = process.argv.slice(2);
const db = blocking(new pg.Pool({ host: directory, user: "postgres", database: "postgres", max: 20 }));

function run(count) {
  let next = 0;
  const loop = () => {
    while (next < count) {
      const i = next++;
      const { double } = db.query("select $1::int * 2 as double", [i]).rows[0];
      if (double !== i * 2) throw new Error(`wrong answer: ${double} to ${i}`);
    }
  };
  joinAll(
    Array.from({ length: fibers }, () => spawn(loop)),
    { raiseError: true },
  );
}

runMain(() => {
  run(queries / 2); // to warm up
  const [start, used] = [performance.now(), microseconds()];
  run(queries);
  const perSecond = (queries * 1000) / (performance.now() - start);
  console.log(JSON.stringify({ perSecond, cpu: (microseconds() - used) / queries }));
  process.exit();
});

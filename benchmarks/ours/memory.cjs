// memory.cjs COUNT: that many fibers, all suspended at once, until an event lets them end.
// { create, end } microseconds of processor time each; { memory } KiB each, as the kernel counts it: resident memory,
// and page tables. Run with --expose-gc: what is garbage is not a fiber's memory.
const { spawn, wait } = require("runtime");
const { kibibytes, microseconds } = require("./usage.cjs");

const count = Number(process.argv[2]);
let open;
const gate = new Promise((resolve) => {
  open = resolve;
});
let suspended = 0;

function body() {
  suspended++;
  wait(gate);
  return 1;
}

async function spawnMany(many) {
  const until = suspended + many;
  const fibers = [];
  for (let i = 0; i < many; i++) fibers.push(spawn(body));
  while (suspended < until) await new Promise((resolve) => setImmediate(resolve));
  return fibers;
}

async function main() {
  const first = await spawnMany(100); // with them comes what is there only once: code, tables, pools
  const before = kibibytes();
  let start = microseconds();
  const fibers = await spawnMany(count);
  const create = (microseconds() - start) / count;
  const memory = (kibibytes() - before) / count;
  start = microseconds();
  open();
  let ended = 0;
  for (const fiber of fibers) ended += await fiber;
  const end = (microseconds() - start) / count;
  await Promise.all(first);
  if (ended !== count) throw new Error(`${ended} of ${count} ended as they should`);
  console.log(JSON.stringify({ create, memory, end }));
  process.exit();
}

main();

// churn.cjs FIBERS SECONDS: how fast a handler that makes much garbage runs, in a fiber, while so many others are suspended.
// { rate } handlers a second of processor time; { collections } for each 1,000 handlers; { share } of the time in them, %.
const { PerformanceObserver } = require("node:perf_hooks");
const { spawn, wait } = require("runtime");
const { microseconds } = require("./usage.cjs");

const fibers = Number(process.argv[2]);
const SECONDS = Number(process.argv[3]);
const never = new Promise(() => {});
const rows = Array.from({ length: 40 }, (_, id) => ({ id, name: `row ${id}`, tags: ["a", "b"], price: id * 1.1 }));
const text = JSON.stringify(rows);

// About 60 KB of garbage.
function handler() {
  const found = JSON.parse(text).map((row) => ({ ...row, label: `${row.name}: ${row.price.toFixed(2)}` }));
  return JSON.stringify(found.filter(({ id }) => id % 3 === 0)).length;
}

let collections = 0;
let inCollections = 0;
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) {
    collections++;
    inCollections += duration;
  }
}).observe({ entryTypes: ["gc"] });

const run = () => {
  for (let i = 0; i < 20; i++) handler();
};

async function runFor(seconds) {
  const start = microseconds();
  const clock = performance.now();
  [collections, inCollections] = [0, 0];
  let handlers = 0;
  while (microseconds() - start < seconds * 1e6) {
    await spawn(run);
    await new Promise((resolve) => setImmediate(resolve));
    handlers += 20;
  }
  const rate = (handlers * 1e6) / (microseconds() - start);
  const share = (100 * inCollections) / (performance.now() - clock);
  return { rate, collections: (1000 * collections) / handlers, share };
}

async function main() {
  for (let i = 0; i < fibers; i++) spawn(() => wait(never));
  await new Promise((resolve) => setImmediate(resolve));
  await runFor(SECONDS / 4);
  console.log(JSON.stringify(await runFor(SECONDS)));
  process.exit();
}

main();

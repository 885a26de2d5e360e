// gc.cjs FIBERS DEPTH: what a collection costs while so many fibers are suspended, each below DEPTH frames of its own.
// { scavenge, full } milliseconds of processor time each. Run with --expose-gc.
const { spawn, wait } = require("runtime");
const { microseconds } = require("./usage.cjs");

const fibers = Number(process.argv[2]);
const depth = Number(process.argv[3]);
const never = new Promise(() => {});

function below(frames, value) {
  if (frames === 0) return wait(never);
  const local = { value };
  return below(frames - 1, local) === local;
}

// As much new garbage as a busy program makes between two collections, and a little that lives on.
let kept = [];
function allocate() {
  kept = [];
  for (let i = 0; i < 5000; i++) {
    const one = { i, text: `number ${i}`, list: [i, i + 1] };
    if (i % 50 === 0) kept.push(one);
  }
}

function cost(collect, times) {
  const all = [];
  for (let i = 0; i < times; i++) {
    allocate();
    const start = microseconds();
    collect();
    all.push((microseconds() - start) / 1000);
  }
  return all.sort((a, b) => a - b)[times >> 1];
}

let started = 0;
const all = [];
for (let i = 0; i < fibers; i++) {
  all.push(
    spawn(() => {
      started++;
      below(depth, i);
    }),
  );
}

function measureOnceStarted() {
  if (started < fibers) {
    setImmediate(measureOnceStarted);
    return;
  }
  for (let i = 0; i < 5; i++) gc({ type: "minor" });
  const scavenge = cost(() => gc({ type: "minor" }), 31);
  const full = cost(() => gc(), 7);
  console.log(JSON.stringify({ scavenge, full }));
  process.exit();
}

measureOnceStarted();

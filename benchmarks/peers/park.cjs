// As ours/park.cjs, with a function that synckit makes.
const path = require("node:path");
const { createSyncFn } = require("synckit");
const { microseconds } = require("../ours/batches.cjs");

const [port, batches] = process.argv.slice(2).map(Number);
const run = createSyncFn(path.join(__dirname, "park-worker.cjs"));
const body = Buffer.alloc(16 * 1024 * 1024);

const figures = {
  trip: microseconds(batches, 500, () => run("nothing")),
  lookup: microseconds(batches, 200, () => run("lookup", "127.0.0.1")),
  get: microseconds(batches, 1, () => Buffer.from(run("get", port)).toString("latin1")) / 1000,
  post: microseconds(batches, 1, () => run("post", port, body)) / 1000,
};
console.log(JSON.stringify(figures));
process.exit();

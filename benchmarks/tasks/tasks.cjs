// What threads do for the benchmarks: called by piscina with one value, by us with arguments.
const { createHash } = require("node:crypto");

exports.nothing = (value) => value;

/** About 10 ms on one processor. */
exports.compute = (seed) => {
  const bytes = Buffer.alloc(4 * 1024 * 1024, seed);
  return createHash("sha256").update(bytes).digest("hex");
};

exports.Counter = class Counter {
  count = 0;
  add(n) {
    this.count += n;
    return this.count;
  }
};

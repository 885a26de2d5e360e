// What threads do for the benchmarks: called by piscina with one value, by us with arguments.
const { createHash } = require("node:crypto");

exports.nothing = (value) => value;

const bytes = Buffer.alloc(16 * 1024 * 1024);

/** Some 20 milliseconds' work for one processor. */
exports.compute = () => createHash("sha512").update(bytes).digest("hex");

exports.Counter = class Counter {
  count = 0;
  add(n) {
    this.count += n;
    return this.count;
  }
};

// { bytes, text, large, write } nanoseconds for readFileSync of 2 KiB, and of 256 KiB, and for writeFileSync of 2 KiB: RUNS, of
// which it is the median.
const { mkdtempSync, readFileSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const path = require("node:path");
const usage = require("../ours/usage.cjs");

const runs = Number(process.argv[2]);
const nanosecondsEach = (count, run) => usage.nanosecondsEach(count, run, runs);

exports.measure = function measure() {
  const directory = mkdtempSync(path.join(tmpdir(), "runtime-bench-"));
  const file = path.join(directory, "file");
  writeFileSync(file, "x".repeat(2048));
  const count = 10_000;
  const bytes = nanosecondsEach(count, () => {
    for (let i = 0; i < count; i++) readFileSync(file);
  });
  const text = nanosecondsEach(count, () => {
    for (let i = 0; i < count; i++) readFileSync(file, "utf8");
  });
  const large = path.join(directory, "large");
  writeFileSync(large, "x".repeat(256 * 1024));
  const fewer = 2000;
  const figures = {
    bytes,
    text,
    large: nanosecondsEach(fewer, () => {
      for (let i = 0; i < fewer; i++) readFileSync(large);
    }),
    write: nanosecondsEach(fewer, () => {
      for (let i = 0; i < fewer; i++) writeFileSync(file, "x".repeat(2048));
    }),
  };
  rmSync(directory, { recursive: true });
  console.log(JSON.stringify(figures));
};

if (require.main === module) exports.measure();

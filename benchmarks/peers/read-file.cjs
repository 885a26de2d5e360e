// { bytes, text } nanoseconds for readFileSync of 2 KiB.
const { mkdtempSync, readFileSync, rmSync, writeFileSync } = require("node:fs");
const { tmpdir } = require("node:os");
const path = require("node:path");
const { nanosecondsEach } = require("../ours/usage.cjs");

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
  rmSync(directory, { recursive: true });
  console.log(JSON.stringify({ bytes, text }));
};

if (require.main === module) exports.measure();

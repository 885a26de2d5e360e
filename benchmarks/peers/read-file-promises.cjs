// { bytes, text } nanoseconds for fs.promises.readFile of 2 KiB, one after another.
const { mkdtempSync, rmSync, writeFileSync } = require("node:fs");
const { readFile } = require("node:fs/promises");
const { tmpdir } = require("node:os");
const path = require("node:path");
const { microseconds } = require("../ours/usage.cjs");

const directory = mkdtempSync(path.join(tmpdir(), "runtime-bench-"));
const file = path.join(directory, "file");
writeFileSync(file, "x".repeat(2048));

async function nanosecondsEach(encoding) {
  const count = 2000;
  const all = [];
  for (let run = 0; run < 6; run++) {
    const start = microseconds();
    for (let i = 0; i < count; i++) await readFile(file, encoding);
    if (run > 0) all.push(((microseconds() - start) * 1000) / count);
  }
  return all.sort((a, b) => a - b)[all.length >> 1];
}

(async () => {
  const bytes = await nanosecondsEach(undefined);
  const text = await nanosecondsEach("utf8");
  rmSync(directory, { recursive: true });
  console.log(JSON.stringify({ bytes, text }));
})();

// { bytes, text, large, write } nanoseconds for what read-file.cjs does, by fs.promises, one after another: RUNS, as there.
const { mkdtempSync, rmSync, writeFileSync } = require("node:fs");
const { readFile, writeFile } = require("node:fs/promises");
const { tmpdir } = require("node:os");
const path = require("node:path");
const { microseconds } = require("../ours/usage.cjs");

const directory = mkdtempSync(path.join(tmpdir(), "runtime-bench-"));
const file = path.join(directory, "file");
writeFileSync(file, "x".repeat(2048));

const runs = Number(process.argv[2]);

async function nanosecondsEach(work) {
  const count = 2000;
  const all = [];
  for (let run = 0; run <= runs; run++) {
    const start = microseconds();
    for (let i = 0; i < count; i++) await work();
    if (run > 0) all.push(((microseconds() - start) * 1000) / count);
  }
  return all.sort((a, b) => a - b)[all.length >> 1];
}

(async () => {
  const large = path.join(directory, "large");
  writeFileSync(large, "x".repeat(256 * 1024));
  const figures = {
    bytes: await nanosecondsEach(() => readFile(file)),
    text: await nanosecondsEach(() => readFile(file, "utf8")),
    large: await nanosecondsEach(() => readFile(large)),
    write: await nanosecondsEach(() => writeFile(file, "x".repeat(2048))),
  };
  rmSync(directory, { recursive: true });
  console.log(JSON.stringify(figures));
})();

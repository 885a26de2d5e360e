// runtime bench [NAME ...] [options]
import { existsSync } from "node:fs";

import path = require("node:path");

import { pathToFileURL } from "node:url";

/** Runs the command of benchmarks/, which reads the arguments itself. */
export function benchCommand(): void {
  const file = path.join(__dirname, "..", "benchmarks", "run.mjs");
  if (existsSync(file)) void import(pathToFileURL(file).href);
  else {
    process.stderr.write(
      `runtime bench: the benchmarks are not here (${file}). In a checkout of the package: npm run bench\n`,
    );
    process.exitCode = 2;
  }
}

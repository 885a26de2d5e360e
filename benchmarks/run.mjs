// node benchmarks/run.mjs [NAME ...] [--rounds N] [--quick] [--full]
// Runs benchmarks beside their peers, in interleaved rounds, and prints what came out. See README.md.
import { parseArgs } from "node:util";
import { describeMachine } from "./harness/machine.mjs";
import { report } from "./harness/report.mjs";
import { playRounds } from "./harness/rounds.mjs";

const names = [
  "switch",
  "spawn",
  "sync",
  "fs",
  "net",
  "http-hello",
  "http-sleep",
  "http-cpu",
  "http-workers",
  "client",
  "memory",
  "start",
  "gc",
  "many",
  "park",
  "offload",
];
const DEFAULT_ROUNDS = 5;

function fail(message) {
  console.error(message);
  process.exit(2);
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        rounds: { type: "string" },
        quick: { type: "boolean", default: false },
        full: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    return { ...values, chosen: positionals.length > 0 ? positionals : names };
  } catch (error) {
    return fail(error.message);
  }
}

function showProgress(line) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
}

const options = readArguments();
if (options.help) {
  console.log(`npm run bench -- [${names.join("|")} ...] [--rounds N] [--quick] [--full]`);
  process.exit();
}
const unknown = options.chosen.filter((name) => !names.includes(name));
if (unknown.length > 0) fail(`There is no benchmark ${unknown.join(", ")}. There are: ${names.join(", ")}`);
const rounds = options.rounds === undefined ? undefined : Number(options.rounds);
if (rounds !== undefined && !(Number.isSafeInteger(rounds) && rounds > 0)) fail("--rounds is a number, 1 or more");

console.log(describeMachine().join("\n"));
const verdicts = [];
for (const name of options.chosen) {
  const { default: benchmark } = await import(`./${name}.mjs`);
  const all = benchmark.contestants(options);
  const present = all.filter(({ left }) => left === undefined);
  const count = rounds ?? (options.quick ? 1 : (benchmark.rounds ?? DEFAULT_ROUNDS));
  const results = await playRounds(present, count, (line) => showProgress(`${name}, ${line}`));
  showProgress("");
  verdicts.push(...report(benchmark, all, results, count));
}
const reached = verdicts.filter(({ met }) => met);
if (verdicts.length > 0) console.log(`\n${reached.length} of ${verdicts.length} reached in this run`);
for (const { text } of verdicts.filter(({ met }) => !met)) console.log(`  not reached: ${text}`);

// node benchmarks/run.mjs [NAME ...] [options]: what `runtime bench` is. See README.md.
import { writeFileSync } from "node:fs";
import { readArguments, usage } from "./harness/arguments.mjs";
import { describeMachine } from "./harness/describe.mjs";
import { outcomeOf } from "./harness/outcome.mjs";
import { playRounds } from "./harness/rounds.mjs";
import { printOutcome, printVerdicts } from "./harness/terminal.mjs";

const DEFAULT_ROUNDS = 5;

try {
  const options = readArguments(process.argv.slice(2));
  if (options.help) process.stdout.write(usage);
  else if (options.list) listBenchmarks(await load(options));
  else await run(options, await load(options));
} catch (error) {
  console.error(`runtime bench: ${error.message}\nTry: runtime bench --help`);
  process.exitCode = 2;
}

/** The benchmarks that are asked for, each with its contestants, and without the peers that are not. */
async function load(options) {
  const benchmarks = [];
  for (const name of options.names) {
    const { default: benchmark } = await import(`./${name}.mjs`);
    const rows = typeof benchmark.rows === "function" ? benchmark.rows(options) : benchmark.rows;
    const contestants = benchmark.contestants(options);
    benchmarks.push({
      ...benchmark,
      rows,
      contestants: contestants.map((one) => ({ ...one, left: benchmark.left?.() ?? one.left })),
    });
  }
  if (options.peers === undefined) return benchmarks;
  const known = new Set(benchmarks.flatMap(({ contestants }) => contestants.map(({ peer }) => peer)).filter(Boolean));
  const unknown = options.peers.filter((peer) => !known.has(peer));
  if (unknown.length > 0)
    throw new Error(`--peers: no ${unknown.join(", ")} in these benchmarks. There are: ${[...known].join(", ")}`);
  const asked = ({ peer }) => peer === undefined || options.peers.includes(peer);
  return benchmarks.map((one) => ({ ...one, contestants: one.contestants.filter(asked) }));
}

function listBenchmarks(benchmarks) {
  for (const { name, title, contestants } of benchmarks) {
    console.log(`${name.padEnd(15)}${title}`);
    for (const { name, peer, left } of contestants)
      console.log(`${"".padEnd(15)}${name}${peer ? ` (--peers ${peer})` : ""}${left ? `: ${left}` : ""}`);
  }
}

async function run(options, benchmarks) {
  const { names, peers, connections, duration, rounds, quick } = options;
  const record = {
    date: new Date().toISOString(),
    machine: describeMachine(),
    settings: { names, peers, connections, duration, rounds, quick },
    benchmarks: [],
  };
  console.log(record.machine.join("\n"));
  for (const benchmark of benchmarks) {
    const present = benchmark.contestants.filter(({ left }) => left === undefined);
    const count = rounds ?? (quick ? 1 : (benchmark.rounds ?? DEFAULT_ROUNDS));
    const results = await playRounds(present, count, (line) => showProgress(`${benchmark.name}, ${line}`));
    showProgress("");
    const outcome = outcomeOf(benchmark, results, count);
    printOutcome(outcome);
    record.benchmarks.push(outcome);
  }
  printVerdicts(record.benchmarks);
  if (options.json) writeFileSync(options.json, `${JSON.stringify(record, null, 2)}\n`);
  if (options.results) writeFileSync(options.results, (await import("./harness/markdown.mjs")).markdownOf(record));
  if (options.report) writeFileSync(options.report, (await import("./harness/page.mjs")).pageOf(record));
  const ours = record.benchmarks.flatMap(({ contestants }) => contestants.filter(({ peer }) => peer === undefined));
  if (ours.some(({ errors }) => errors.length > 0)) process.exitCode = 1;
}

function showProgress(line) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`);
}

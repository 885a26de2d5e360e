// Runs Node's own tests of the modules that are patched, three ways: plain; patched and out of fibers; patched and in the
// main fiber. What passes plain has to pass the other ways.
//   node scripts/node-tests.mjs [--node BINARY] [--jobs N] [--sample N] [--timeout SECONDS] [--output] [NAME...]
// NAME: only tests whose name contains one of these. --sample N: only every Nth of them. --output: prints what a differing
// test printed. Processes that a test starts with process.execPath are plain Node, workers that it starts are patched.
//
// node-tests/exceptions.json lists the differences that are known and meant: tests, ways, the reason, and whether they are
// there only sometimes. The exit code is 1 if there is any other, or if one of these is no difference any more.
import { execFileSync, spawn } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, realpathSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { getSuite } from "./node-tests/suite.mjs";

const own = path.join(path.dirname(fileURLToPath(import.meta.url)), "node-tests");

/** How the tests are run: by name, what is preloaded. */
const ways = {
  plain: undefined,
  patched: path.join(own, "patched.cjs"),
  fiber: path.join(own, "in-fiber.cjs"),
};
const others = Object.keys(ways).slice(1);
/** A test that differs is run so many times more, by itself: it may only have been slow, or another in its way. */
const RERUNS = 2;

/** Which module a test is of, by the beginning of its name (after "test-"). */
const modules = {
  fs: /^fs\b/,
  child_process: /^child-process\b/,
  crypto: /^crypto\b/,
  zlib: /^zlib\b/,
  http: /^https?-/,
  http2: /^http2\b/,
  net: /^net\b/,
  tls: /^tls\b/,
  dgram: /^dgram\b/,
  dns: /^dns\b/,
  stream: /^(streams?\d?|readable)\b/,
  readline: /^readline\b/,
  events: /^(event|events|eventemitter|eventtarget)\b/,
  worker_threads: /^worker\b/,
  timers: /^timers?\b/,
  atomics: /^atomics\b/,
  // Not patched as such, but guarded, or crossed by fibers.
  module: /^(module|require)\b/,
  process: /^(process|next-tick|promise|promises|microtask)\b/,
  async_hooks: /^(async|asyncresource)\b/,
  vm: /^vm\b/,
};

const { values: given, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    node: { type: "string", default: process.execPath },
    jobs: { type: "string", default: `${os.availableParallelism()}` },
    sample: { type: "string", default: "1" },
    timeout: { type: "string", default: "60" },
    output: { type: "boolean", default: false },
  },
});
const node = realpathSync(given.node);
const [jobs, sample, timeout] = ["jobs", "sample", "timeout"].map((name) => {
  const value = Number(given[name]);
  if (!(Number.isInteger(value) && value > 0)) throw new Error(`--${name} needs a number above 0, not ${given[name]}`);
  return value;
});

const suite = getSuite(execFileSync(node, ["-p", "process.versions.node"], { encoding: "utf8" }).trim());
const work = mkdtempSync(path.join(os.tmpdir(), "runtime-node-tests-"));

/** All tests that are asked for: { name, folder, file, module, outcomes }. */
function listTests() {
  const all = ["parallel", "sequential"].flatMap((folder) =>
    readdirSync(path.join(suite.directory, folder))
      .filter((file) => /^test-.*\.m?js$/.test(file))
      .map((file) => ({
        name: `${folder}/${file.replace(/\.m?js$/, "")}`,
        folder,
        file: path.join(suite.directory, folder, file),
        module: moduleOf(file),
        outcomes: {},
      })),
  );
  const asked = all.filter(
    ({ module, name }) => module && (names.length === 0 || names.some((part) => name.includes(part))),
  );
  return asked.filter((_, place) => place % sample === 0);
}

function moduleOf(file) {
  const rest = file.slice("test-".length);
  return Object.keys(modules).find((name) => modules[name].test(rest));
}

// The rest is as Node's tools/test.py does it.

function flagsOf(file) {
  const [, flags] = /\/\/\s+Flags:(.*)/.exec(readFileSync(file, "utf8")) ?? [];
  return flags ? flags.trim().split(/\s+/) : [];
}

let serial = 0;

/** Runs a test in one way; `slot` tells it from those that run at the same time. */
async function run(test, way, slot) {
  const id = `${++serial}`;
  const preload = ways[way] ? ["--require", ways[way]] : [];
  const temporary = path.join(work, `slot-${slot}`);
  mkdirSync(temporary, { recursive: true });
  const outputFile = path.join(work, `output-${slot}`);
  const output = openSync(outputFile, "w");
  const env = { ...process.env, NODE_TEST_DIR: temporary, TEST_SERIAL_ID: id, TEST_THREAD_ID: `${slot}` };
  env.TEST_PARALLEL = test.folder === "parallel" ? "1" : "0";
  delete env.NODE_OPTIONS;
  const child = spawn(node, [...preload, ...flagsOf(test.file), test.file], {
    cwd: suite.directory,
    detached: true, // a process group, to kill as one
    env,
    stdio: ["ignore", output, output],
  });
  closeSync(output);
  const status = await ended(child);
  const text = readFileSync(outputFile, "utf8");
  rmSync(temporary, { recursive: true, force: true });
  const skipped = status === 0 && /^1\.\.0 # Skipped/m.test(text);
  const result = status === 0 ? (skipped ? "skip" : "pass") : "fail";
  test.outcomes[way] = { result, text: `${text}${status === 0 ? "" : `\n[${status}]\n`}` };
}

const running = new Set();

function killGroup(child) {
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch {
    // It is empty.
  }
}

function ended(child) {
  return new Promise((resolve, reject) => {
    let late = false;
    running.add(child);
    const timer = setTimeout(() => {
      late = true;
      killGroup(child);
    }, timeout * 1000);
    child.on("error", reject);
    child.on("exit", (code, signal) => {
      clearTimeout(timer);
      running.delete(child);
      killGroup(child); // what it has left behind
      resolve(late ? "timed out" : (signal ?? code));
    });
  });
}

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    for (const child of running) killGroup(child);
    rmSync(work, { recursive: true, force: true });
    process.exit(1);
  });
}

async function inParallel(tasks) {
  const rest = tasks.values();
  const slots = Array.from({ length: jobs }, async (_, slot) => {
    for (const task of rest) await task(slot + 1);
  });
  await Promise.all(slots);
}

/** The ways in which a test that passes plain does not. */
const differing = ({ outcomes }) =>
  outcomes.plain?.result === "pass" ? others.filter((way) => outcomes[way]?.result !== "pass") : [];

async function runAll(tests) {
  let done = 0;
  const inAllWays = async (test, slot) => {
    await run(test, "plain", slot);
    if (test.outcomes.plain.result === "pass") for (const way of others) await run(test, way, slot);
    done++;
    if (process.stderr.isTTY) process.stderr.write(`\r${done}/${tests.length} `);
  };
  const parallel = tests.filter(({ folder }) => folder === "parallel");
  await inParallel(parallel.map((test) => (slot) => inAllWays(test, slot)));
  for (const test of tests) if (test.folder !== "parallel") await inAllWays(test, 1);
  for (let rerun = 0; rerun < RERUNS; rerun++) {
    for (const test of tests) for (const way of differing(test)) await run(test, way, 1);
  }
  if (process.stderr.isTTY) process.stderr.write("\r");
}

const count = (tests, way, result) => tests.filter(({ outcomes }) => outcomes[way]?.result === result).length;

function printTable(tests) {
  const columns = ["tests", "skipped", "pass plain", "patched", "in fiber", "differing"];
  const row = (name, cells) => console.log(name.padEnd(16) + cells.map((cell) => `${cell}`.padStart(12)).join(""));
  const cells = (some) => [
    some.length,
    count(some, "plain", "skip"),
    ...Object.keys(ways).map((way) => count(some, way, "pass")),
    some.filter((test) => differing(test).length > 0).length,
  ];
  row("", columns);
  for (const name of Object.keys(modules)) {
    const some = tests.filter(({ module }) => module === name);
    if (some.length > 0) row(name, cells(some));
  }
  row("all", cells(tests));
}

const exceptions = JSON.parse(readFileSync(path.join(own, "exceptions.json"), "utf8")).map((exception) => ({
  sometimes: false,
  ...exception,
}));
/** What allows a test to differ in one way, if anything does: always, or sometimes. */
const exceptionFor = ({ name }, way) =>
  exceptions.find(({ tests, ways }) => tests.includes(name) && ways.includes(way));

function printDifferences(tests) {
  let unexpected = 0;
  for (const test of tests) {
    for (const way of differing(test)) {
      const reason = exceptionFor(test, way)?.reason;
      if (!reason) unexpected++;
      const { result, text } = test.outcomes[way];
      console.log(`${reason ? "exception" : "DIFFERS  "}  ${way.padEnd(7)}  ${test.name}  ${result}  ${reason ?? ""}`);
      if (given.output) console.log(text.replace(/^/gm, "    "));
    }
    const passing = others.filter((way) => test.outcomes[way]?.result === "pass");
    const stale = passing.filter((way) => exceptionFor(test, way)?.sometimes === false);
    for (const way of stale) {
      console.log(`STALE      ${way.padEnd(7)}  ${test.name}  passes: ${exceptionFor(test, way).reason}`);
    }
    unexpected += stale.length;
  }
  return unexpected;
}

try {
  const tests = listTests();
  console.log(`tests of Node ${suite.version}, ${node}\n`);
  await runAll(tests);
  printTable(tests);
  console.log();
  if (printDifferences(tests) > 0) process.exitCode = 1;
} finally {
  rmSync(work, { recursive: true, force: true });
}

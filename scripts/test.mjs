// Runs the tests: once with every switch, in one Node.
//   node scripts/test.mjs [--node BINARY] [--switch NAME] [--tally FILE] [arguments of vitest...]
// --tally adds a line "PASSED FAILED" to FILE for each run, and a line for each test that failed.
import { execFileSync, spawnSync } from "node:child_process";
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { buildAddon } from "./addon.mjs";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");

function readArguments() {
  const own = { node: process.execPath, switch: undefined, tally: undefined };
  const rest = [];
  const given = process.argv.slice(2);
  while (given.length > 0) {
    const name = given.shift();
    if (!["--node", "--switch", "--tally"].includes(name)) rest.push(name);
    else if (given.length > 0) own[name.slice(2)] = given.shift();
    else throw new Error(`${name} needs a value`);
  }
  return { ...own, switches: own.switch ? [own.switch] : ["swap", "handoff", "none"], rest };
}

// Tests of the sources, not of what was compiled from them some time ago.
function freshenAddon(binary) {
  const says = "[process.platform + '-' + process.arch, process.versions.modules].join()";
  const [platform, abi] = execFileSync(binary, ["-p", says], { encoding: "utf8" }).trim().split(",");
  const file = path.join(root, "prebuilds", platform, `node.abi${abi}.node`);
  const native = path.join(root, "runtime", "native");
  const sources = [path.join(root, "binding.gyp"), ...readdirSync(native).map((name) => path.join(native, name))];
  const newest = Math.max(...sources.map((source) => statSync(source).mtimeMs));
  if (!existsSync(file) || statSync(file).mtimeMs < newest) console.log(`compiled ${buildAddon(binary)}`);
}

const vitest = path.join(root, "node_modules", "vitest", "vitest.mjs");

function run(binary, name, rest) {
  console.log(`\nRUNTIME_SWITCH=${name}, ${binary}`);
  const whole = runVitest(binary, name, rest);
  if (whole.reported) return [whole];
  console.log("vitest ended without a report, as when one of its processes crashes: once more, file by file");
  const options = { cwd: root, encoding: "utf8", env: { ...process.env, RUNTIME_SWITCH: name } };
  const files = execFileSync(binary, [vitest, "list", "--filesOnly", ...rest], options)
    .trim()
    .split("\n");
  const counts = files.map((file) => {
    const one = runVitest(binary, name, [...rest.filter((argument) => argument.startsWith("-")), file]);
    return one.reported ? one : { ...one, names: [`${file}: crashed`] };
  });
  return sum(counts, "failed") > 0 ? counts : [...counts, whole]; // it did crash, just not again
}

function runVitest(binary, name, rest) {
  const work = mkdtempSync(path.join(tmpdir(), "runtime-test-"));
  const file = path.join(work, "report.json");
  try {
    const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${file}`];
    const { status } = spawnSync(binary, [vitest, "run", ...reporters, ...rest], {
      cwd: root,
      env: { ...process.env, RUNTIME_SWITCH: name },
      stdio: ["ignore", "inherit", "inherit"],
    });
    const reported = existsSync(file);
    return { reported, ...count(status, reported ? JSON.parse(readFileSync(file, "utf8")) : undefined) };
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

// A file that broke before its first test, and a run that broke without a failing test, count as one failure.
function count(status, report) {
  const files = report?.testResults ?? [];
  const names = files.flatMap(failures);
  if (status !== 0 && names.length === 0) names.push(report ? "vitest itself" : "a process that crashed");
  const skipped = files.flatMap((file) => file.assertionResults).filter(({ status }) => isSkipped(status));
  const fiberless = skipped.filter(({ fullName }) => fullName.includes("(skipped, no fibers: ")).length;
  return {
    passed: report?.numPassedTests ?? 0,
    failed: names.length,
    names,
    fiberless,
    skipped: skipped.length - fiberless,
  };
}

function failures({ name, status, message, assertionResults }) {
  const tests = assertionResults.filter((test) => test.status === "failed").map((test) => test.fullName);
  if (status === "failed" && assertionResults.length === 0) tests.push(message.split("\n")[0]);
  return tests.map((test) => `${path.relative(root, name)}: ${test}`);
}

const isSkipped = (status) => ["skipped", "pending", "todo", "disabled"].includes(status);

const sum = (counts, key) => counts.reduce((total, one) => total + one[key], 0);

const { node, switches, tally, rest } = readArguments();
freshenAddon(node);
const version = execFileSync(node, ["-p", "process.versions.node"], { encoding: "utf8" }).trim();
const lines = [];
for (const name of switches) {
  const counts = run(node, name, rest);
  const passed = sum(counts, "passed");
  const failed = sum(counts, "failed");
  const [fiberless, skipped] = [sum(counts, "fiberless"), sum(counts, "skipped")];
  const left = `${fiberless > 0 ? `, ${fiberless} skipped: no fibers` : ""}${skipped > 0 ? `, ${skipped} skipped` : ""}`;
  lines.push(`RUNTIME_SWITCH=${name}: ${passed} passed, ${failed} failed${left}`);
  const names = counts.flatMap((one) => one.names.map((test) => `FAILED on Node ${version}, ${name}: ${test}`));
  lines.push(...names);
  if (tally) appendFileSync(tally, [`${passed} ${failed}`, ...names, ""].join("\n"));
  if (failed > 0) process.exitCode = 1;
}
console.log(`\n${lines.join("\n")}`);

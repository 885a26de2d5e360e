// Compiles the addon for Linux on arm64 with a cross compiler, and tries it under an emulator. Installs nothing.
//   node scripts/arm64.mjs [--run] [--node BINARY | MAJOR...]     default: 20 22 24 26
// --run runs test/arm64/smoke.js too. BINARY is an arm64 Node with its headers beside it.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { compile } from "./addon.mjs";
import { getNode } from "./nodes.mjs";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");
const compiler = "aarch64-linux-gnu-";
const emulators = ["qemu-aarch64-static", "qemu-aarch64"];
const sysroot = "/usr/aarch64-linux-gnu"; // where Debian's cross compiler keeps libc and libstdc++ for arm64

const works = (command) => spawnSync(command, ["--version"]).status === 0;

// The emulator may be missing, so the version is read from the headers.
function versionOf(prefix) {
  const header = readFileSync(path.join(prefix, "include", "node", "node_version.h"), "utf8");
  const number = (name) => new RegExp(`^ *#define ${name} (\\d+)`, "m").exec(header)[1];
  const [major, minor, patch] = ["MAJOR", "MINOR", "PATCH"].map((part) => number(`NODE_${part}_VERSION`));
  return { abi: number("NODE_MODULE_VERSION"), version: `${major}.${minor}.${patch}` };
}

function compileFor(prefix) {
  const env = { CC: `${compiler}gcc`, CXX: `${compiler}g++` };
  return compile({ target: "linux-arm64", ...versionOf(prefix), headers: prefix, options: ["--arch=arm64"], env });
}

function smoke(emulator, binary, switchName) {
  // This emulator says yes to madvise's guards and makes none.
  const env = { ...process.env, RUNTIME_SWITCH: switchName, RUNTIME_STACK_GUARD: "mapping" };
  const program = ["--expose-gc", path.join(root, "test", "arm64", "smoke.js")];
  console.log(`smoke test, ${switchName}, ${binary} under ${emulator}`);
  execFileSync(emulator, ["-L", sysroot, binary, ...program], { env, stdio: ["ignore", "inherit", "inherit"] });
}

function main() {
  const { values, positionals } = parseArgs({
    options: { run: { type: "boolean", default: false }, node: { type: "string" } },
    allowPositionals: true,
  });
  if (!works(`${compiler}g++`)) {
    console.log(`arm64: nothing compiled and nothing run, there is no ${compiler}g++ (Debian: g++-aarch64-linux-gnu)`);
    return;
  }
  const majors = positionals.length > 0 ? positionals : ["20", "22", "24", "26"];
  const nodes = values.node
    ? [{ binary: values.node, prefix: path.join(path.dirname(values.node), "..") }]
    : majors.map((major) => getNode(major, "arm64"));
  for (const { prefix } of nodes) console.log(compileFor(prefix));
  if (!values.run) {
    console.log("arm64: compiled, not run (--run runs the smoke test)");
    return;
  }
  const emulator = emulators.find(works);
  if (!emulator || !existsSync(sysroot)) {
    console.log(`arm64: compiled, not run: there is no ${emulator ? sysroot : "qemu-user (Debian: qemu-user-static)"}`);
    return;
  }
  for (const { binary } of nodes) smoke(emulator, binary, "swap");
  smoke(emulator, nodes[0].binary, "handoff"); // nothing in it is written for a processor
}

main();

// Everything at once, for a long time, under V8's stress flags: node test/soak/soak.mjs [SECONDS] [SEED]
// The time (600 s by default) is divided among phases, each a process of its own with other flags. A phase fails if it
// crashes, computes something wrong, gets stuck, leaves fibers behind, or if its memory grows.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const seconds = Number(process.argv[2] ?? 600);
const seed = Number(process.argv[3] ?? Date.now() % 1_000_000);
if (!(seconds > 0)) throw new RangeError(`SECONDS must be a positive number, not ${process.argv[2]}`);

const phases = [
  [],
  ["--stress-compaction"],
  ["--gc-interval=500"],
  ["--stress-scavenge=50"],
  ["--stress-wasm-code-gc"],
];

const known = (flag) => spawnSync(process.execPath, [flag, "-e", "0"]).status === 0;

let failed = 0;
const usable = phases.filter((flags) => {
  const unknown = flags.filter((flag) => !known(flag));
  if (unknown.length > 0) console.log(`left out, unknown to Node ${process.version}: ${unknown.join(" ")}`);
  return unknown.length === 0;
});

console.log(`soak: Node ${process.version}, ${seconds} s in ${usable.length} phases, seed ${seed}`);
for (const flags of usable) {
  const share = seconds / usable.length;
  const child = spawn(
    process.execPath,
    ["--expose-gc", ...flags, path.join(here, "phase.js"), String(share), String(seed)],
    {
      stdio: ["ignore", "inherit", "inherit"],
    },
  );
  const stuck = setTimeout(() => child.kill("SIGKILL"), share * 1000 * 3 + 60_000);
  const [code, signal] = await once(child, "exit");
  clearTimeout(stuck);
  const ok = code === 0;
  if (!ok) failed++;
  console.log(
    `${ok ? "ok    " : "FAILED"} ${flags.join(" ") || "(no flags)"}${ok ? "" : `: ${signal ?? `exit code ${code}`}`}`,
  );
}
console.log(`${usable.length - failed} phases passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;

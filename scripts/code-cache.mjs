// Keeps what V8 has compiled of the bundle up to the point where Node is patched, for the Node that runs this: loading the
// package takes a third less time then.
//   node scripts/code-cache.mjs
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const compiled = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "dist", "compiled.js");

/** Does it, in a process of its own: what that has compiled is what any program needs, and no more. */
export function keepCompiled() {
  if (!existsSync(compiled)) return; // a checkout before its first build
  const program = `require(${JSON.stringify(compiled)}).keepCompiled((runtime) => runtime.patch());`;
  execFileSync(process.execPath, ["-e", program], { env: { ...process.env, NODE_OPTIONS: "" } });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) keepCompiled();

// Bundles the package: one CommonJS file that holds everything, so that there is one hub however a program loads it,
// and a thin file for each entry point.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { keepCompiled } from "./code-cache.mjs";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");
const dist = path.join(root, "dist");

const common = {
  absWorkingDir: root,
  outdir: dist,
  bundle: true,
  packages: "external",
  platform: "node",
  format: "cjs",
  target: "node20",
  sourcemap: true,
  sourcesContent: false,
  tsconfigRaw: { compilerOptions: { alwaysStrict: true } }, // not its paths: in a bundle "runtime" is the package itself
};
for (const name of existsSync(dist) ? readdirSync(dist) : []) {
  if (name.endsWith(".cache")) rmSync(path.join(dist, name)); // of another bundle
}
await build({ ...common, entryPoints: { main: "src/index.ts" }, external: ["./import.js"] });
await build({ ...common, entryPoints: { compiled: "src/compiled.ts" }, external: ["./main.js"] });
await build({ ...common, entryPoints: { "park-worker": "runtime/park/worker.ts" } });
await build({ ...common, entryPoints: { thread: "runtime/workers/offload/thread.ts" } });
await build({ ...common, entryPoints: { "object-thread": "runtime/workers/threaded/thread.ts" } });
await build({ ...common, entryPoints: { task: "runtime/workers/offload/inside.ts" } });
await build({ ...common, entryPoints: { cli: "src/cli/index.ts" }, banner: { js: "#!/usr/bin/env node" } });
await build({
  absWorkingDir: root,
  outdir: dist,
  bundle: true,
  minify: true,
  platform: "browser",
  entryPoints: { "bench-charts": "benchmarks/page/charts.mjs" },
});

// Two copies of the package in one thread would have two hubs: the second one hands out the first one's exports, also in
// another realm (a test of jest, a vm context), which has a global object of its own, but not its own modules of Node.
// The dead branch tells Node's lexer the names, for import { spawn } from "runtime".
const find = `const holder = require("node:events");
const instance = Symbol.for("runtime.instance");
if (holder[instance] === undefined) Object.defineProperty(holder, instance, { value: require("./compiled.js").loadMain() });
`;
writeFileSync(
  path.join(dist, "index.js"),
  `"use strict";\n${find}module.exports = holder[instance];\nmodule.exports.forbidFastCalls();\n0 && (module.exports = require("./main.js"));\n`,
);
writeFileSync(path.join(dist, "patch.js"), `"use strict";\n${find}holder[instance].patch();\n`);
writeFileSync(path.join(dist, "import.js"), `"use strict";\nmodule.exports = (url) => import(url);\n`);
writeFileSync(path.join(dist, "run.js"), `"use strict";\nrequire("./index.js").runFileOfNode(__filename);\n`);
writeFileSync(path.join(dist, "serve-worker.js"), `"use strict";\nrequire("./index.js").serveAsWorker();\n`);
writeFileSync(path.join(dist, "run-given.js"), `"use strict";\nrequire("./index.js").runGiven();\n`);
writeFileSync(path.join(dist, "serve-thread.js"), `"use strict";\nrequire("./index.js").runThread();\n`);
for (const [entry, name] of [
  ["fibers", "fibersPackage"],
  ["future", "futurePackage"],
  ["deasync", "deasyncPackage"],
]) {
  writeFileSync(path.join(dist, `${entry}.js`), `"use strict";\nmodule.exports = require("./index.js").${name}();\n`);
}

const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
keepCompiled();
execFileSync(process.execPath, [tsc, "-p", "tsconfig.json", "--emitDeclarationOnly"], { cwd: root, stdio: "inherit" });

// Compiles the addon for every Node that a release supports.
//   node scripts/prebuild.mjs [MAJOR...]     default: 20 22 24 26
import { execFile } from "node:child_process";
import { availableParallelism } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { buildAddon } from "./addon.mjs";
import { getNode } from "./nodes.mjs";

const addon = path.join(path.dirname(fileURLToPath(import.meta.url)), "addon.mjs");
const majors = process.argv.length > 2 ? process.argv.slice(2) : ["20", "22", "24", "26"];

async function buildAll(nodes) {
  for (let node = nodes.shift(); node; node = nodes.shift()) {
    const { stdout } = await promisify(execFile)(process.execPath, [addon, node.binary, node.prefix]);
    process.stdout.write(stdout);
  }
}

if (process.platform === "linux" && process.arch === "x64") {
  const nodes = majors.map((major) => getNode(major));
  await Promise.all(Array.from({ length: availableParallelism() }, () => buildAll(nodes)));
} else {
  console.log(`On ${process.platform}-${process.arch}, only for the Node that runs this: ${process.version}`);
  console.log(buildAddon());
}

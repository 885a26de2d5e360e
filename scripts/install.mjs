// Runs on `npm install`: makes sure that there is an addon for this Node. Without a compiler the install still succeeds.
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { addonFile, buildAddon } from "./addon.mjs";
import { keepCompiled } from "./code-cache.mjs";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");

function loads() {
  try {
    createRequire(import.meta.url)(addonFile(`${process.platform}-${process.arch}`, process.versions.modules));
    return true;
  } catch {
    return false;
  }
}

// A checkout builds its own, so that it runs what its sources say; a package brings binaries along.
const checkout = process.env.npm_config_local_prefix === root.replace(/\/$/, "") || process.env.INIT_CWD === root;
if (checkout || !loads()) {
  try {
    buildAddon();
  } catch (error) {
    if (process.env.RUNTIME_INSTALL_VERBOSE) console.error(error.message);
    console.warn(
      "runtime: the native addon could not be built here, so there will be no fibers: blocking calls park the thread, " +
        "as with RUNTIME_SWITCH=none (RUNTIME_INSTALL_VERBOSE=1 shows why).",
    );
  }
}

try {
  keepCompiled();
} catch {
  // It loads a little slower without.
}

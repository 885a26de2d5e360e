// Preloaded (node --require) before the main module: patches, and has that module run in the main fiber. As
// `runtime run` does, but Node starts it: flags, process.argv and require.main are what they are without us.
const Module = require("node:module");
const { isMainThread } = require("node:worker_threads");
const { info, patch, runMain } = require("../../dist/index.js");

require("./own-flags.cjs").forget(__filename);
patch();

const load = Module._load;
if (isMainThread) {
  Module._load = (request, parent, isMain) => {
    if (!isMain) return load(request, parent, isMain);
    Module._load = load;
    const program = () => load(request, parent, isMain);
    if (info().switch === "none") program();
    else runMain(program);
  };
}

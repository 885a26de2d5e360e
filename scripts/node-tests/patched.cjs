// Preloaded (node --require) before the main module, which runs out of fibers: patches.
const { patch } = require("../../dist/index.js");

require("./own-flags.cjs").forget(__filename);
patch();

// The native stacks below the fibers, without the package above them; opened as the package does.
const path = require("node:path");

/** @param main what every stack runs */
module.exports = function openStacks(main) {
  const addon = require("node-gyp-build")(path.join(__dirname, "../.."));
  return addon.open(process.env.RUNTIME_SWITCH ?? "swap", main);
};

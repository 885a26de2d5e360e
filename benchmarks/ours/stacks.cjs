// The native stacks below the fibers, without the package above them; opened as the package does.
const path = require("node:path");

/** @param main what every stack runs */
module.exports = function openStacks(main) {
  const target = `${process.platform}-${process.arch}`;
  const addon = require(path.join(__dirname, "../../prebuilds", target, `node.abi${process.versions.modules}.node`));
  return addon.open(process.env.RUNTIME_SWITCH ?? "swap", main);
};

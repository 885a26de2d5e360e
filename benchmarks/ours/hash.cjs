// A handler that computes, for `runtime serve`.
const { createHash } = require("node:crypto");
const megabyte = Buffer.alloc(1 << 20, "a megabyte");

module.exports = () => ({ body: createHash("sha256").update(megabyte).digest("hex") });

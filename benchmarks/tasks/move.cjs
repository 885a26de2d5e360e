// Bytes that are moved, not copied, on both ways: as piscina's users do it, and ours.
const { move } = require("piscina");
const { transfer } = require("runtime/task");

exports.piscina = (bytes) => move(bytes);
exports.ours = (bytes) => transfer(bytes, [bytes.buffer]);

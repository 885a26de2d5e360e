// Only the first thread ever gets to load this; no request ends.
"use strict";
const fs = require("node:fs");

const block = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);

if (fs.existsSync(process.env.LOADED_FILE)) block();
fs.writeFileSync(process.env.LOADED_FILE, "loaded");

module.exports = (_req, _res) => block();

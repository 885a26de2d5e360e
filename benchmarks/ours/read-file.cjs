// { bytes, text } nanoseconds for readFileSync of 2 KiB in a fiber.
const { spawn } = require("runtime");
const { measure } = require("../peers/read-file.cjs");

spawn(measure);

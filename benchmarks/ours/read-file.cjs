// What peers/read-file.cjs measures, in a fiber.
const { spawn } = require("runtime");
const { measure } = require("../peers/read-file.cjs");

spawn(measure);

// The command: runtime run FILE [args…]
import path = require("node:path");

import { run } from "./run";

const usage = `Usage:
  runtime run FILE [args...]   runs a program, patched and in the main fiber: it may block from its first line
`;

const [command, ...args] = process.argv.slice(2);
if (command === "run" && args[0] !== undefined) run(path.resolve(args[0]), args.slice(1));
else {
  const asked = command === "--help" || command === "-h";
  (asked ? process.stdout : process.stderr).write(usage);
  process.exitCode = asked ? 0 : 2;
}

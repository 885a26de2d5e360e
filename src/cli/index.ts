// The command: runtime run [options of node] FILE [args…]
import path = require("node:path");

import { runFile } from "runtime"; // the package itself, so that there is one hub
import { runNode } from "./node";

const usage = `Usage:
  runtime run [node options] FILE [args...]

Runs a program, patched and in the main fiber: it may block from its first line. CommonJS, an ES module, or TypeScript.
Where there can be no command, this does the same:
  node [node options] --require runtime/run FILE [args...]
`;

const [command, first, ...rest] = process.argv.slice(2);
if (command === "run" && first !== undefined && first !== "-" && first !== "--help") {
  if (first.startsWith("-")) runNode([first, ...rest]);
  else {
    process.argv = [process.argv[0] as string, path.resolve(first), ...rest];
    runFile(first);
  }
} else {
  const asked = [command, first].some((word) => word === "--help" || word === "-h");
  (asked ? process.stdout : process.stderr).write(usage);
  process.exitCode = asked ? 0 : 2;
}

// The command: runtime run [options of node] FILE [args…], runtime serve [options] FILE, runtime bench [NAME …]
import path = require("node:path");

import { runFile } from "runtime"; // the package itself, so that there is one hub
import { benchCommand } from "./bench";
import { runNode } from "./node";
import { serveCommand } from "./serve";

const usage = `Usage:
  runtime run [node options] FILE [args...]
  runtime serve [options] FILE
  runtime bench [NAME ...] [options]

run: runs a program, patched and in the main fiber: it may block from its first line. CommonJS, an ES module, or TypeScript.
Where there can be no command, this does the same:
  node [node options] --require runtime/run FILE [args...]

serve: serves the web app that FILE exports. runtime serve --help tells its options.

bench: measures this runtime beside what there is in its place. runtime bench --help tells what, and its options.
`;

const [command, first, ...rest] = process.argv.slice(2);
if (command === "serve") serveCommand(process.argv.slice(3));
else if (command === "bench") {
  process.argv.splice(2, 1);
  benchCommand();
} else if (command === "run" && first !== undefined && first !== "-" && first !== "--help") {
  if (first.startsWith("-")) runNode([first, ...rest]);
  else {
    process.argv = [process.argv[0] as string, path.resolve(first), ...rest];
    runFile(first);
  }
} else {
  const asked = [command, first].some((word) => word === "--help" || word === "-h");
  if (!asked && command !== undefined) process.stderr.write(`runtime: ${mistake(command)}\n`);
  (asked ? process.stdout : process.stderr).write(usage);
  process.exitCode = asked ? 0 : 2;
}

function mistake(command: string): string {
  if (command === "run") return "run: which FILE?";
  if (command.startsWith("-")) return `there is no option ${command}`;
  return `there is no command ${command}. To run a program: runtime run ${command}`;
}

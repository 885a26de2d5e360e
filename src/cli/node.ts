// A program in a Node of its own, which has options of its own.
import { spawn } from "node:child_process";

import path = require("node:path");

const forwarded: NodeJS.Signals[] = ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR2", "SIGCONT", "SIGWINCH"];

/** Runs `node --require runtime/run ...args` in the place of this process: its streams, signals and exit are the same. */
export function runNode(args: string[]): void {
  const child = spawn(process.execPath, ["--require", path.join(__dirname, "run.js"), ...args], { stdio: "inherit" });
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  for (const signal of forwarded) process.on(signal, forward);
  // The terminal sends it to both of us.
  process.on("SIGINT", (signal) => process.stdin.isTTY || forward(signal));
  child.on("error", (error) => {
    throw error;
  });
  child.on("exit", (code, signal) => {
    for (const name of [...forwarded, "SIGINT"] as const) process.removeAllListeners(name);
    if (signal) process.kill(process.pid, signal);
    else process.exitCode = code ?? 1;
  });
}

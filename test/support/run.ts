// Runs a program in a Node of its own, for all that cannot be seen from inside: exit codes, crashes, standard error.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

export interface Outcome {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

export interface RunOptions {
  /** For node itself. */
  flags?: string[];
  args?: string[];
  env?: Record<string, string>;
  /** The program's file name, whose extension tells Node its kind. Default: "program.cjs". */
  name?: string;
  /** Further files beside the program, by name. */
  files?: Record<string, string>;
  /** What its standard input is. Default: "ignore". */
  stdin?: "ignore" | "pipe";
  /** After so many milliseconds the program counts as stuck. Default: 60,000. */
  timeout?: number;
}

export interface Running {
  child: ChildProcess;
  /** Settles when the process has ended; rejects if it had to be ended. */
  outcome: Promise<Outcome>;
  /** Settles when `text` has appeared on standard output. */
  printed(text: string): Promise<void>;
}

const root = path.join(__dirname, "..", "..");

/** Starts `program`, which finds the package as if it were installed: require("runtime"). */
export function start(program: string, options: RunOptions = {}): Running {
  const {
    flags = [],
    args = [],
    env = {},
    name = "program.cjs",
    files = {},
    stdin = "ignore",
    timeout = 60_000,
  } = options;
  const directory = mkdtempSync(path.join(tmpdir(), "runtime-test-"));
  mkdirSync(path.join(directory, "node_modules"));
  symlinkSync(root, path.join(directory, "node_modules", "runtime"));
  const file = path.join(directory, name);
  for (const [other, text] of Object.entries(files)) writeFileSync(path.join(directory, other), text);
  writeFileSync(file, program);
  const child = spawn(process.execPath, [...flags, file, ...args], {
    cwd: directory,
    env: { ...process.env, ...env },
    stdio: [stdin, "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  let stuck = false;
  const awaited: { text: string; found(): void }[] = [];
  const look = () => {
    for (const { text, found } of awaited) if (stdout.includes(text)) found();
  };
  child.stdout.setEncoding("utf8").on("data", (chunk) => {
    stdout += chunk;
    look();
  });
  child.stderr.setEncoding("utf8").on("data", (chunk) => {
    stderr += chunk;
  });
  const timer = setTimeout(() => {
    stuck = true;
    child.kill("SIGKILL");
  }, timeout);
  const outcome = new Promise<Outcome>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      rmSync(directory, { recursive: true, force: true });
      if (stuck) reject(new Error(`The program was stuck after ${timeout} ms\nstdout: ${stdout}\nstderr: ${stderr}`));
      else resolve({ code, signal, stdout, stderr });
    });
  });
  return {
    child,
    outcome,
    printed: (text) =>
      new Promise((resolve, reject) => {
        awaited.push({ text, found: resolve });
        look();
        outcome.then(
          (end) => reject(new Error(`The program ended without "${text}": ${JSON.stringify(end)}`)),
          (error) => reject(error),
        );
      }),
  };
}

/** Runs `program` to its end. */
export function run(program: string, options: RunOptions = {}): Promise<Outcome> {
  return start(program, options).outcome;
}

/** The outcome of a program that ends by itself, without a word on standard error, and prints this. */
export function printing(...lines: string[]): Outcome {
  return { code: 0, signal: null, stdout: lines.map((line) => `${line}\n`).join(""), stderr: "" };
}

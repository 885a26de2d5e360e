// Runs `runtime serve` as a process, in a directory of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach } from "vitest";

export const root = path.join(__dirname, "..", "..", "..");
const running = new Set<Command>();

afterEach(async () => {
  for (const command of running) await command.destroy();
});

export interface End {
  code: number | null;
  signal: NodeJS.Signals | null;
}

export class Command {
  readonly directory = mkdtempSync(path.join(tmpdir(), "runtime-command-"));
  stdout = "";
  stderr = "";
  /** Settles when the process, and all that hold on to its output, have ended. */
  end!: Promise<End>;
  #child!: ChildProcess;
  #awaited: (() => void)[] = [];

  /** @param files by their names; the first one is served */
  constructor(
    files: Record<string, string>,
    args: readonly string[] | ((directory: string) => readonly string[]) = [],
  ) {
    running.add(this);
    for (const [name, text] of Object.entries(files)) this.write(name, text);
    const all = typeof args === "function" ? args(this.directory) : args;
    const port = all.some((arg) => /^--(port|socket)/.test(arg)) ? [] : ["--port", "0"];
    this.#child = spawn(
      process.execPath,
      [path.join(root, "dist", "cli.js"), "serve", ...port, ...all, ...Object.keys(files).slice(0, 1)],
      { cwd: this.directory, stdio: ["ignore", "pipe", "pipe"] },
    );
    for (const name of ["stdout", "stderr"] as const) {
      this.#child[name]?.setEncoding("utf8").on("data", (text) => {
        this[name] += text;
        this.#look();
      });
    }
    this.end = new Promise((resolve) => {
      this.#child.on("close", (code, signal) => {
        resolve({ code, signal });
        running.delete(this);
        rmSync(this.directory, { recursive: true, force: true });
        this.#look();
      });
    });
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** For output that is to stay where it is. */
  get output(): ChildProcess["stdout"] {
    return this.#child.stdout;
  }

  file(name: string): string {
    return path.join(this.directory, name);
  }

  write(name: string, text: string): void {
    writeFileSync(this.file(name), text);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Ends it by force, with its workers, which notice. */
  async destroy(): Promise<void> {
    this.kill("SIGKILL");
    await this.end;
  }

  /** Resolves with the match when standard error, or output, has `pattern`; rejects when it has ended without. */
  async says(pattern: RegExp, where: "stdout" | "stderr" = "stderr"): Promise<RegExpExecArray> {
    let ended = false;
    void this.end.then(() => {
      ended = true;
    });
    for (;;) {
      const match = pattern.exec(this[where]);
      if (match) return match;
      if (ended) throw new Error(`It ended without ${pattern}:\n${this.stdout}\n${this.stderr}`);
      await new Promise<void>((resolve) => this.#awaited.push(resolve));
    }
  }

  /** Where it serves, once it does. */
  async url(): Promise<string> {
    const [, url = ""] = await this.says(/^runtime serve: serving \S+ at (\S+) /m);
    return url;
  }

  #look(): void {
    for (const found of this.#awaited.splice(0)) found();
  }
}

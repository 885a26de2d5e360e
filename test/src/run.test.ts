import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { info } from "runtime";
import { describe, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";

const root = path.join(__dirname, "..", "..");
const cli = path.join(root, "dist", "cli.js");
const fibers = info().switch !== "none";

const runtime = JSON.stringify(root);

function run(program: string, { name = "program.js", args = [] as string[] } = {}) {
  const dir = mkdtempSync(path.join(tmpdir(), "runtime-run-"));
  const file = path.join(dir, name);
  writeFileSync(file, program);
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [cli, "run", file, ...args], {
    encoding: "utf8",
    timeout: 20_000,
  });
  rmSync(dir, { recursive: true });
  return { status, signal, stdout, stderr };
}

describeFibers("runtime run", () => {
  it("lets a program block from its first line", () => {
    const program = `
      const { sleep, wait } = require(${runtime});
      sleep(5);
      console.log(wait(Promise.resolve("waited")), require.main === module, __filename === process.argv[1]);`;
    expect(run(program)).toMatchObject({ status: 0, stdout: "waited true true\n" });
  });

  it("gives it its own arguments", () => {
    expect(run("console.log(process.argv.slice(2).join())", { args: ["a", "--b"] }).stdout).toBe("a,--b\n");
  });

  it("begins at once, so that all comes in the order of plain Node", () => {
    const program = `
      console.log(process.getActiveResourcesInfo());
      setImmediate(() => console.log("immediate"));
      Promise.resolve().then(() => console.log("promise"));
      process.nextTick(() => console.log("tick"));
      console.log("program");`;
    expect(run(program).stdout).toBe("[]\nprogram\ntick\npromise\nimmediate\n");
  });

  it("lets other fibers run while the program blocks", () => {
    const program = `
      const { spawn } = require(${runtime});
      spawn(() => console.log("other"));
      require("node:timers").sleepSync(5);
      console.log("program");`;
    expect(run(program).stdout).toBe("other\nprogram\n");
  });

  it("ends with the program's exit code", () => {
    expect(run("process.exit(3)").status).toBe(3);
    expect(run("process.exitCode = 4").status).toBe(4);
  });

  it("ends as Node does when the program throws", () => {
    const { status, stderr } = run("function broken() { throw new Error('no good'); } broken();");
    expect(status).toBe(1);
    expect(stderr).toContain("Error: no good\n    at broken");
  });

  it("reports what the program throws as Node does: as an uncaught exception, before and after it has waited", () => {
    const program = (wait: string) => `
      process.on("uncaughtException", (error, origin) => console.log(error.message, origin));
      ${wait}
      throw new Error("no good");`;
    expect(run(program("")).stdout).toBe("no good uncaughtException\n");
    expect(run(program(`require(${runtime}).sleep(1);`)).stdout).toBe("no good uncaughtException\n");
  });

  it("runs ES modules", () => {
    const program = `import { readFileSync } from "node:fs"; console.log(readFileSync(process.argv[1]).length > 0)`;
    expect(run(program, { name: "program.mjs" })).toMatchObject({ status: 0, stdout: "true\n" });
  });

  it("says how it is used", () => {
    const { status, stderr } = spawnSync(process.execPath, [cli], { encoding: "utf8" });
    expect(status).toBe(2);
    expect(stderr).toContain("runtime run [node options] FILE");
  });
});

describeFibers("a main fiber that nothing can resume", () => {
  it("ends the program with exit code 13, and tells which fibers are suspended where", () => {
    const { status, stderr } = run(`
      const { spawn, wait } = require(${runtime});
      const never = () => wait({ then() {} });
      const worker = spawn(function working() { never(); });
      (function waiting() { worker.join(); })();`);
    expect(status).toBe(13);
    expect(stderr).toMatch(/^Deadlock/);
    expect(stderr).toMatch(/main is suspended\n {4}at waiting/);
    expect(stderr).toMatch(/working is suspended\n {4}at never .*\n {4}at working/);
  });

  it("keeps an exit code that the program chose", () => {
    const { status } = run(`process.exitCode = 5; require(${runtime}).wait({ then() {} });`);
    expect(status).toBe(5);
  });

  it("is no deadlock when the program exits by itself", () => {
    const { status, stderr } = run(`
      setTimeout(() => process.exit(), 5);
      require(${runtime}).wait({ then() {} });`);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  it("is no deadlock when beforeExit finds more to do", () => {
    const { status, stdout } = run(`
      const { wait } = require(${runtime});
      let resume;
      process.once("beforeExit", () => setTimeout(() => resume("resumed"), 5));
      console.log(wait({ then(done) { resume = done; } }));`);
    expect({ status, stdout }).toEqual({ status: 0, stdout: "resumed\n" });
  });

  it("does not hold for other fibers: the program just ends", () => {
    const { status, stderr } = run(`require(${runtime}).spawn(() => require(${runtime}).wait({ then() {} }));`);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });
});

describe.skipIf(fibers)("runtime run without fibers", () => {
  it("runs the program as Node does", () => {
    expect(run("console.log(require('node:fs').readFileSync(__filename).length > 0)")).toMatchObject({
      status: 0,
      stdout: "true\n",
    });
  });
});

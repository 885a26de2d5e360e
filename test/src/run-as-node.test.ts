// `runtime run FILE` beside `node FILE`: the same output, the same end.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { describeFibers, hasFibers } from "../support/fibers";

const root = path.join(__dirname, "..", "..");
const cli = path.join(root, "dist", "cli.js");
const features = process.features as { typescript?: unknown; require_module?: boolean };

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(path.join(tmpdir(), "runtime-run-"));
  mkdirSync(path.join(directory, "node_modules"));
  symlinkSync(root, path.join(directory, "node_modules", "runtime"));
});
afterAll(() => rmSync(directory, { recursive: true }));

interface Case {
  name?: string;
  /** Text of the program, and of files beside it. */
  program: string;
  files?: Record<string, string>;
  flags?: string[];
  args?: string[];
  input?: string;
  env?: Record<string, string>;
  /** What is run. Default: the name. */
  file?: string;
}

function write({ name = "program.cjs", program, files = {} }: Case): void {
  for (const [file, text] of Object.entries({ ...files, [name]: program })) {
    mkdirSync(path.dirname(path.join(directory, file)), { recursive: true });
    writeFileSync(path.join(directory, file), text);
  }
}

/** What differs with every process, and the frames that are not the program's. */
function clean(stderr: string): string {
  return stderr
    .replace(/^ +at .*(?:node:|dist.(?:main|cli|run)).*?( \{)?\n/gm, (_, more = "") => more)
    .replace(/\n \{/g, " {")
    .replace(/\d+ lines matching/g, "lines matching")
    .replace(/\n\n/g, "\n")
    .replace(/\(node:\d+\)/g, "(node)");
}

interface End {
  status: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

function end(command: string[], one: Case): Promise<End> {
  const { flags = [], args = [], input = "", env = {}, name = "program.cjs", file = name } = one;
  const child = spawn(process.execPath, [...command, ...flags, file, ...args], {
    cwd: directory,
    timeout: 30_000,
    env: { ...process.env, NODE_OPTIONS: "--stack-trace-limit=100", NODE_PATH: "", ...env },
  });
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text) => {
    stderr += text;
  });
  child.stdin.on("error", () => {}); // it may have ended
  child.stdin.end(input);
  return new Promise((resolve) => {
    child.on("close", (status, signal) => resolve({ status, signal, stdout, stderr: clean(stderr) }));
  });
}

/** Runs it both ways; what it comes to under Node. */
async function compare(one: Case) {
  write(one);
  const [expected, outcome] = await Promise.all([end([], one), end([cli, "run"], one)]);
  expect(outcome).toEqual(expected);
  return expected;
}

const facts = (more: string) => `
  console.log(process.argv.slice(1), process.execArgv, ${more});`;
const esmFacts = `import { createRequire } from "node:module";
  ${facts("import.meta.main, import.meta.url, process.mainModule, createRequire(import.meta.url).main")}
  export {};`;

describe("runtime run shows a program what Node does", () => {
  it("of CommonJS", async () => {
    const program = facts(
      "require.main === module, module.id, __filename, process.mainModule === module, module.parent",
    );
    const { stdout } = await compare({ program, args: ["a", "--b", "-"] });
    expect(stdout).toContain("true . ");
  });

  it.each(["program.mjs", "module/program.js", "none/program.js", "none/program"])(
    "of an ES module, %s",
    async (name) => {
      const files = { "module/package.json": `{ "type": "module" }`, "none/package.json": "{}" };
      const { status, stdout } = await compare({
        name,
        program: `#!/usr/bin/env node\n${esmFacts}`,
        files,
        args: ["a"],
        env: { NODE_NO_WARNINGS: "1" }, // of a missing "type" in package.json, which costs less here
      });
      expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringContaining("file:///") });
    },
  );

  it.runIf(features.typescript).each(["program.cts", "program.mts", "none/program.ts", "module/program.ts"])(
    "of TypeScript, %s",
    async (name) => {
      const files = { "module/package.json": `{ "type": "module" }`, "none/package.json": "{}" };
      const text = name.endsWith(".cts") ? facts("require.main === module") : esmFacts;
      const { status, stdout } = await compare({
        name,
        program: `const a: number = 1;\n${text}`,
        files,
        args: ["a"],
        env: { NODE_NO_WARNINGS: "1" },
      });
      expect({ status, stdout }).toMatchObject({ status: 0, stdout: expect.stringContaining(name) });
    },
  );

  it("when its extension is left out, and when it is a link, a directory, or JSON", async () => {
    const program = facts("__filename");
    const files = { "folder/index.js": program, "data.json": "{}" };
    expect((await compare({ name: "named.js", program, file: "named" })).status).toBe(0);
    expect((await compare({ program, files, file: "./folder" })).status).toBe(0);
    expect((await compare({ program, files, file: "data.json" })).status).toBe(0);
    write({ program });
    symlinkSync("program.cjs", path.join(directory, "link"));
    expect((await compare({ program, file: "link" })).stdout).toContain("program.cjs");
  });

  it("on standard input", async () => {
    const program = `process.stdin.on("data", (data) => console.log("got", String(data))).on("end", () => console.log("end"))`;
    expect((await compare({ program, input: "some\ntext\n" })).stdout).toBe("got some\ntext\n\nend\n");
  });
});

describe("runtime run ends as Node does", () => {
  const broken = "function broken() {\n  throw new TypeError('no good');\n}\nbroken();";
  const listening = `process.on("uncaughtException", (error, origin) => {
    console.log(String(error), origin);
    setImmediate(() => console.log("goes on"));
  });`;
  const cases: Record<string, Case & { status: number }> = {
    "by itself": { program: "console.log(1)", status: 0 },
    "by process.exit()": { program: "process.on('exit', (code) => console.log(code)); process.exit(3)", status: 3 },
    "with an exit code": { program: "process.exitCode = 4", status: 4 },
    "by an error": { program: broken, status: 1 },
    "by an error of a required module": {
      program: "require('./inner.cjs')",
      files: { "inner.cjs": broken },
      status: 1,
    },
    "by what is no error": { program: "throw { some: 'object' }", status: 1 },
    "by an error with a cause and properties": {
      program: "throw Object.assign(new Error('outer', { cause: new Error('inner') }), { code: 'E' })",
      status: 1,
    },
    "by a syntax error": { program: "let a =\n(;", status: 1 },
    "by an error, caught by a listener": { program: `${listening}${broken}`, status: 0 },
    "by an error in a listener of uncaught ones": {
      program: "process.on('uncaughtException', (error) => { throw new Error('again') }); throw new Error('first')",
      status: 7,
    },
    "by an error later on": { program: `setTimeout(() => { ${broken} }, 1)`, status: 1 },
    "by an unhandled rejection": { program: "Promise.reject(new Error('no good'))", status: 1 },
    "by a missing file": { program: "", file: "missing.js", status: 1 },
    "by a missing module": { program: "require('missing')", status: 1 },
    "by an error in an ES module": { name: "broken.mjs", program: broken, status: 1 },
    "by an error in an ES module, caught by a listener": {
      name: "program.mjs",
      program: listening + broken,
      status: 0,
    },
    "by an error in what an ES module imports": {
      name: "program.mjs",
      program: "import './inner.mjs'",
      files: { "inner.mjs": broken },
      status: 1,
    },
    "by a syntax error in an ES module": { name: "program.mjs", program: "let a =\n(;", status: 1 },
    "by a missing module of an ES module": { name: "program.mjs", program: "import 'missing'", status: 1 },
    "by a missing export": { name: "program.mjs", program: "import { missing } from 'node:fs'", status: 1 },
    "by process.exit() in an ES module": { name: "program.mjs", program: "process.exit(3)", status: 3 },
    "after a top-level await": {
      name: "program.mjs",
      program: "console.log(1); await new Promise((done) => setTimeout(done, 1)); console.log(2)",
      status: 0,
    },
    "by process.exit() under a top-level await": {
      name: "program.mjs",
      program: "setTimeout(() => process.exit(), 1); await new Promise(() => {})",
      status: 0,
    },
    "by an error after a top-level await": { name: "program.mjs", program: `await null;\n${broken}`, status: 1 },
    "after a top-level await in what it imports": {
      name: "program.mjs",
      program: "import { a } from './inner.mjs'; console.log(a)",
      files: { "inner.mjs": "export const a = await Promise.resolve(1)" },
      status: 0,
    },
  };
  it("in a top-level await that never settles", async () => {
    const one = { name: "program.mjs", program: "await new Promise(() => {})" };
    write(one);
    expect((await end([], one)).status).toBe(13);
    const { status, stderr } = await end([cli, "run"], one);
    expect(status).toBe(13);
    if (hasFibers) expect(stderr).toMatch(/^Warning: Detected unsettled top-level await in .*program.mjs/);
  });

  it.each(Object.entries(cases))("%s", async (_, { status, ...one }) => {
    expect((await compare(one)).status).toBe(status);
  });
});

describe("runtime run passes on", () => {
  const program = `console.log(process.execArgv, process.execArgv.length, globalThis.preloaded);
    if (process.argv[2] !== "child") require("node:child_process").fork(__filename, ["child"]);`;
  const files = {
    "preload.cjs": "globalThis.preloaded = ['cjs'];",
    "preload.mjs": "globalThis.preloaded = [...(globalThis.preloaded ?? []), 'esm'];",
  };

  it("options to Node, and to the program's children", async () => {
    const flags = ["--no-warnings", "--require", "./preload.cjs", "--import", "./preload.mjs", "--stack-size=900"];
    expect((await compare({ program, files, flags })).stdout).toMatch(/\[ 'cjs', 'esm' \]\n.*\[ 'cjs', 'esm' \]\n$/s);
  });

  it("NODE_OPTIONS", async () => {
    const env = { NODE_OPTIONS: "--import ./preload.mjs --no-warnings" };
    expect((await compare({ program, files, env })).stdout).toContain("[ 'esm' ]");
  });

  it("how it ends, with options too", async () => {
    const flags = ["--no-warnings"];
    expect((await compare({ program: "throw new Error('no good')", flags })).status).toBe(1);
    expect((await compare({ program: "process.exit(5)", flags })).status).toBe(5);
    expect((await compare({ program: "process.kill(process.pid, 'SIGKILL')", flags })).signal).toBe("SIGKILL");
    expect((await compare({ program: "", flags, file: "missing.js" })).status).toBe(1);
  });
});

describe("a signal", () => {
  const waits = "setInterval(() => {}, 1000); console.log('ready');";
  const counts = `let count = 0;
    process.on("SIGINT", () => { console.log("signal", ++count); setTimeout(() => process.exit(count), 20); });${waits}`;
  const handles = `process.on("SIGTERM", () => { console.log("handled"); process.exit(6); });${waits}`;

  function signalled(command: string[], one: Case, signal: NodeJS.Signals) {
    write(one);
    const child: ChildProcess = spawn(process.execPath, [...command, "program.cjs"], { cwd: directory });
    let stdout = "";
    return new Promise((resolve) => {
      child.stdout?.on("data", (data) => {
        stdout += data;
        if (stdout === "ready\n") child.kill(signal);
      });
      child.on("close", (code, by) => resolve({ code, by, stdout }));
    });
  }

  it.each([[], ["--no-warnings"]])("ends the program, or reaches it once, with options %s", async (...flags) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
      const outcome = await signalled([cli, "run", ...flags], { program: waits }, signal);
      expect(outcome).toEqual({ code: null, by: signal, stdout: "ready\n" });
    }
    expect(await signalled([cli, "run", ...flags], { program: counts }, "SIGINT")).toEqual({
      code: 1,
      by: null,
      stdout: "ready\nsignal 1\n",
    });
    expect(await signalled([cli, "run", ...flags], { program: handles }, "SIGTERM")).toEqual({
      code: 6,
      by: null,
      stdout: "ready\nhandled\n",
    });
  });
});

describeFibers("a program may block from its first line", () => {
  const blocking = `
    spawn(() => console.log("other"));
    sleep(5);
    console.log("program", wait(Promise.resolve("waited")), Fiber.current.name);`;
  const cjs = `const { Fiber, sleep, spawn, wait } = require("runtime");${blocking}`;
  const esm = `import { Fiber, sleep, spawn, wait } from "runtime";${blocking}`;
  const files = { "module/package.json": `{ "type": "module" }`, "none/package.json": "{}" };
  const outcome = { status: 0, signal: null, stdout: "other\nprogram waited main\n", stderr: "" };
  const kinds: [string, string][] = [
    ["program.cjs", cjs],
    ["none/program.js", cjs],
    ["program.mjs", esm],
    ["module/program.js", esm],
    ["none/program.js", esm],
  ];
  if (features.typescript) {
    kinds.push(["program.cts", `const a: number = 1;${cjs}`]);
    for (const name of ["program.mts", "module/program.ts", "none/program.ts"]) {
      kinds.push([name, `const a: number = 1;${esm}`]);
    }
  }

  it.runIf(features.require_module).each(kinds)("%s", async (name, program) => {
    const one = { name, program, files, flags: ["--no-warnings"] };
    write(one);
    expect(await end([cli, "run"], one)).toEqual(outcome);
    expect(await end(["--require", "runtime/run"], one)).toEqual(outcome);
  });

  it.runIf(features.require_module)("in modules that it imports or requires, too", async () => {
    const inner = (text: string) => `${text} sleep(1); console.log(`;
    const one = {
      name: "program.mjs",
      program: `
        import "./one.mjs";
        import { createRequire } from "node:module";
        import { sleep } from "runtime";
        sleep(1);
        createRequire(import.meta.url)("./two.cjs");
        console.log("program");`,
      files: {
        "one.mjs": `${inner('import { sleep } from "runtime";')}"one");`,
        "two.cjs": `require("./three.cjs"); ${inner('const { sleep } = require("runtime");')}"two");`,
        "three.cjs": `${inner('const { sleep } = require("runtime");')}"three");`,
      },
    };
    write(one);
    expect(await end([cli, "run"], one)).toMatchObject({ status: 0, stdout: "one\nthree\ntwo\nprogram\n" });
  });

  it.runIf(features.require_module)("while others import what has not ended yet: what there is of it", async () => {
    const one = {
      name: "program.mjs",
      program: `
        import { setTimeout as delay } from "node:timers/promises";
        import { spawn, wait } from "runtime";
        export let state = "half";
        const load = (name) => spawn(() => wait(import(name))).get();
        console.log(load("./program.mjs").state, load("./plugin.mjs").seen, load("./cycle.mjs").seen);
        state = "whole";
        console.log(load("./program.mjs").state, load("./plugin.mjs").seen);`,
      files: {
        "plugin.mjs": `import { state } from "./program.mjs"; export const seen = state;`,
        "cycle.mjs": `import "./back.mjs"; import { state } from "./program.mjs"; export const seen = state;`,
        "back.mjs": `import "./cycle.mjs"; import "./program.mjs"; import "./plugin.mjs";`,
      },
    };
    write(one);
    expect(await end([cli, "run"], one)).toMatchObject({ status: 0, stdout: "half half half\nwhole half\n" });
  });

  it("but not under a top-level await: it is told what to do", async () => {
    const program = `import { sleep } from "runtime"; await null; sleep(1);`;
    const one = { name: "program.mjs", program };
    write(one);
    const { status, stderr } = await end([cli, "run"], one);
    expect(status).toBe(1);
    expect(stderr).toContain("ERR_NOT_IN_FIBER");
  });
});

/** Where tsx is, if it is installed. */
function findTsx(): string | null {
  try {
    return path.dirname(require.resolve("tsx/package.json"));
  } catch {
    return null;
  }
}

describe.runIf(!features.typescript)("TypeScript where Node does not run it", () => {
  const program = `enum Color { Red = 3 } console.log(Color.Red, process.argv.slice(2).join());`;

  it("is refused with the name of what to install", async () => {
    const one = { name: "program.ts", program };
    write(one);
    const outcome = await end([cli, "run"], one);
    expect(outcome).toMatchObject({
      status: 1,
      stdout: "",
      stderr: expect.stringContaining("npm install --save-dev tsx"),
    });
  });

  const tsx = findTsx();
  if (tsx === null) console.log("TypeScript by tsx: skipped, tsx is not installed");

  it.runIf(tsx).each(["program.ts", "program.mts", "program.cts", "module/program.ts"])(
    "is run by tsx, in the main fiber, %s",
    async (name) => {
      const files = { "with-tsx/module/package.json": `{ "type": "module" }` };
      const load = name.endsWith(".cts") ? `const { sleep } = require("runtime");` : `import { sleep } from "runtime";`;
      const one = {
        name: `with-tsx/${name}`,
        program: `${hasFibers ? `${load} sleep(1);` : ""} ${program}`,
        files,
        args: ["a"],
      };
      write(one);
      mkdirSync(path.join(directory, "with-tsx", "node_modules"), { recursive: true });
      rmSync(path.join(directory, "with-tsx", "node_modules", "tsx"), { force: true });
      symlinkSync(tsx as string, path.join(directory, "with-tsx", "node_modules", "tsx"));
      const outcome = await end([cli, "run"], one);
      expect(outcome).toEqual({ status: 0, signal: null, stdout: "3 a\n", stderr: "" });
    },
  );
});

describe("the command", () => {
  const command = (...args: string[]) => spawnSync(process.execPath, [cli, ...args], { encoding: "utf8" });

  it.each([
    [[], ""],
    [["run"], "runtime: run: which FILE?\n"],
    [["run", "-"], "runtime: run: which FILE?\n"],
    [["app.js"], "runtime: there is no command app.js. To run a program: runtime run app.js\n"],
    [["--version"], "runtime: there is no option --version\n"],
  ])("without a program, %s, tells what is wrong, and how it is used", async (args, mistake) => {
    const { status, stdout, stderr } = command(...args);
    expect({ status, stdout, stderr }).toEqual({ status: 2, stdout: "", stderr: expect.stringContaining("Usage:\n") });
    expect(stderr.startsWith(`${mistake}Usage:\n`)).toBe(true);
  });

  it.each([[["--help"]], [["-h"]], [["run", "--help"]]])("tells it when asked, %s", async (args) => {
    const { status, stdout, stderr } = command(...args);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: expect.stringMatching(/^Usage:\n/), stderr: "" });
  });
});

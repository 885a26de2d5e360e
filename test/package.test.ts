// The package as users get it: packed, installed from the tarball, loaded in each of the ways that README shows.
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = path.join(__dirname, "..");
const once = (process.env.RUNTIME_SWITCH ?? "swap") === "swap";
if (!once)
  console.log(`the package: skipped, the same under RUNTIME_SWITCH=${process.env.RUNTIME_SWITCH} as under swap`);

const MINUTES = 60_000;

/** As in a shell of the user's: nothing of the npm or the switch that these tests run under. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^(npm_|INIT_CWD$|RUNTIME_|NODE_OPTIONS$|VITEST)/i.test(name)),
);

function which(command: string): string {
  return realpathSync(execFileSync("sh", ["-c", `command -v ${command}`], { encoding: "utf8" }).trim());
}

/** Not in blocking style: it may take minutes on a busy machine, and the test runner wants to hear of this thread. */
async function npm(cwd: string, env: NodeJS.ProcessEnv, ...args: string[]): Promise<string> {
  const cli = process.env.npm_execpath ?? which("npm");
  const options = { cwd, env, encoding: "utf8", maxBuffer: Number.POSITIVE_INFINITY } as const;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [cli, ...args], options);
  return stdout + stderr;
}

const install = ["install", "--prefer-offline", "--no-audit", "--no-fund", "--foreground-scripts"];

/** A directory with a program's package.json, in which nothing is installed yet. */
function emptyProgram(dir: string): string {
  mkdirSync(dir, { recursive: true });
  writeFileSync(path.join(dir, "package.json"), JSON.stringify({ name: "program", private: true }));
  return dir;
}

/** Runs a program in `dir`, and returns what it printed. */
function node(dir: string, args: string[], source?: { file: string; text: string }): string {
  if (source) writeFileSync(path.join(dir, source.file), source.text);
  const all = source ? [...args, source.file] : args;
  const child = spawnSync(process.execPath, all, { cwd: dir, env: environment, encoding: "utf8" });
  expect({ status: child.status, stderr: child.stderr }).toEqual({ status: 0, stderr: "" });
  return child.stdout.trim();
}

/** Has TypeScript check a program in `dir`, as one of its settings resolves modules; returns what it has to say. */
function compile(dir: string, source: { file: string; text: string }, resolution: "nodenext" | "node10"): string {
  writeFileSync(path.join(dir, source.file), source.text);
  const module = resolution === "node10" ? "commonjs" : resolution;
  const how = ["--strict", "--noEmit", "--target", "es2022", "--module", module, "--moduleResolution", resolution];
  const typeRoots = ["--types", "node", "--typeRoots", path.join(root, "node_modules", "@types")];
  const compiler = path.join(root, "node_modules", "typescript", "bin", "tsc");
  const args = [compiler, ...how, "--esModuleInterop", ...typeRoots, source.file];
  return spawnSync(process.execPath, args, { cwd: dir, encoding: "utf8" }).stdout;
}

const work = path.join(realpathSync(tmpdir()), `runtime-package-${process.pid}`);
let tarball: string;

/** In the types of @types/fibers 3. */
const programForFibers = `
  const any: Function = (value: number) => value;
  const fiber: Fiber = new Fiber(any);
  const sum: number = fiber.run<number, number>(1) + Fiber.yield<number, string>("x") + fiber.reset<number>();
  Fiber((value: string) => { Fiber.yield(value); }).run("x");
  fiber.throwInto(new Error("no"));
  const current: Fiber | undefined = Fiber.current;
  if (current?.started) current.run();
  function sleep(ms: number): Future<void> {
    const future = new Future<void>();
    setTimeout(() => future.return(), ms);
    return future;
  }
  const text = new Future<string>();
  text.return<string>("x");
  text.resolve((error: Error, value: string) => {}).resolveSuccess((value: string) => {});
  text.resolve(new Future<number>(), (value: string) => {}).proxyErrors([sleep(1), sleep(2)]);
  text.proxy(new Future<string>());
  const callback: (error: Error, value: string) => void = text.resolver();
  const length: number = text.get().length + text.wait().length;
  const promise: Promise<string> = text.promise();
  const of: Future<string> = Future.fromPromise(promise);
  const total: FutureFunction<number> = function (a: number, b: number) { return a + b; }.future<number>();
  const more: number[] = Future.task<number>((a: number) => a, () => 2).wait();
  const one: number = Future.task((...args: any[]) => 1).wait() + total(1, 2).wait();
  const readFile: FutureFunction<void> = Future.wrap(require("fs").readFile);
  const fs: FutureObject<typeof import("fs")> = Future.wrap(require("fs") as typeof import("fs"), true, "Later");
  Future.wait(sleep(1), [text, sleep(2)]);
  fs.statLater("x").detach();
  // @ts-expect-error a string is not a number
  const wrong: number = text.wait();`;

describe.runIf(once)("the package", () => {
  beforeAll(async () => {
    mkdirSync(work);
    // Without scripts: what is packed is the build that the other tests run, at this moment.
    await npm(root, environment, "pack", "--silent", "--ignore-scripts", "--pack-destination", work);
    tarball = path.join(work, `runtime-${require("../package.json").version}.tgz`);
  }, 2 * MINUTES);

  afterAll(() => rmSync(work, { recursive: true, force: true }));

  it("holds what is needed to run, to build and to understand it, and nothing else", () => {
    const listed = execFileSync("tar", ["-tzf", tarball], { encoding: "utf8" }).trim().split("\n");
    const top = new Set(listed.map((name) => name.replace(/^package\//, "").split("/")[0]));
    const expected = [
      "LICENSE",
      "README.md",
      "benchmarks",
      "binding.gyp",
      "dist",
      "docs",
      "package.json",
      "prebuilds",
      "runtime",
      "scripts",
    ];
    expect([...top].sort()).toEqual(expected);
    expect(listed.filter((name) => /\/(test|examples|src)\/(?!.*\.d\.ts$)/.test(name))).toEqual([]);
  });

  describe("installed", () => {
    const program = path.join(work, "program");
    const used = `
      const out = [];
      const one = spawn(() => { sleep(5); out.push("second"); });
      const two = spawn(() => out.push("first"));
      Promise.all([one, two]).then(() => console.log(out.join()));`;

    beforeAll(async () => {
      await npm(emptyProgram(program), environment, ...install, tarball);
    }, 5 * MINUTES);

    it("tells TypeScript what it exports, and what the patch adds to Node's modules", () => {
      const text = `
        import "runtime/patch";
        import dns from "node:dns";
        import http from "node:http";
        import net from "node:net";
        import timers from "node:timers";
        import { type App, type Fiber, serve, sleep, spawn } from "runtime";
        import deasync from "runtime/deasync";
        import OldFiber from "runtime/fibers";
        import Future from "runtime/fibers/future";
        const future: Future<number> = Future.task(() => { deasync.sleep(1); return OldFiber(() => 1).run(2) as number; });
        const sum: number = future.wait() + ((n: number) => n).future()(1).get();
        const fiber: Fiber<number> = spawn((a: number) => { sleep(1); return a; }, 1);
        const text: Fiber<string> = spawn(() => http.getSync("http://localhost").textSync());
        spawn(() => { timers.sleepSync(3); net.connectSync(1).writeSync("x"); return dns.lookupSync("localhost"); });
        const app: App = (req) => ({ headers: { "x-a": 1 }, body: req.chunksSync() });
        serve(app, { port: 0 }).url satisfies string | null;
        serve((req, res) => res.endSync(req.textSync()));
        // @ts-expect-error a number is not a string
        const wrong: string = fiber.get();`;
      expect(compile(program, { file: "program.mts", text }, "nodenext")).toBe("");
    });

    it.each(["nodenext", "node10"] as const)(
      "types programs for fibers as @types/fibers does, under %s",
      (resolution) => {
        const text = `
        import Fiber = require("runtime/fibers");
        import Future = require("runtime/fibers/future");
        ${programForFibers}`;
        expect(compile(program, { file: "program.cts", text }, resolution)).toBe("");
      },
    );

    it("is there for require", () => {
      const text = `const { sleep, spawn } = require("runtime");\n${used}`;
      expect(node(program, [], { file: "required.js", text })).toBe("first,second");
    });

    it("is there for import, by name", () => {
      const text = `import { sleep, spawn } from "runtime";\n${used}`;
      expect(node(program, [], { file: "imported.mjs", text })).toBe("first,second");
    });

    it("has worker threads, and for what runs there its own entry point", () => {
      const text = `
        import { ThreadPool, threaded } from "runtime";
        import { progress } from "runtime/task";
        const reports = [];
        const task = "data:text/javascript,import { progress } from '" + import.meta.resolve("runtime/task") + "'; export default (n) => { progress(n); return n + 1; }";
        const result = await new ThreadPool().spawn(task, [1], { onProgress: (n) => reports.push(n) });
        const crypto = threaded("node:crypto");
        console.log(result, reports.join(), crypto.createHash("md5").update("x").digest("hex").length, progress(1));`;
      expect(node(program, [], { file: "threads.mjs", text })).toBe("2 1 32 undefined");
    });

    const patched = `
      const fiber = spawn(() => JSON.parse(readFileSync("package.json", "utf8")).name);
      fiber.then((name) => console.log(isPatched("fs"), name));`;
    const esm = `import { readFileSync } from "node:fs"; import { isPatched, spawn } from "runtime";`;
    const cjs = `const { readFileSync } = require("node:fs"); const { isPatched, spawn } = require("runtime");`;

    it("patches by import, as the program's first line", () => {
      const text = `import "runtime/patch"; ${esm}${patched}`;
      expect(node(program, [], { file: "patched.mjs", text })).toBe("true program");
    });

    it("patches by node --import", () => {
      const args = ["--import", "runtime/patch"];
      expect(node(program, args, { file: "app.mjs", text: esm + patched })).toBe("true program");
    });

    it("patches by node -r", () => {
      expect(node(program, ["-r", "runtime/patch"], { file: "app.js", text: cjs + patched })).toBe("true program");
    });

    it("is one, with one hub, however it is loaded", () => {
      const text = `
        import { createRequire } from "node:module";
        import * as imported from "runtime";
        const required = createRequire(import.meta.url)("runtime");
        console.log(imported.spawn === required.spawn, imported.Fiber === required.Fiber, required.isPatched("fs"));`;
      for (const flag of ["--import", "-r"]) {
        expect(node(program, [flag, "runtime/patch"], { file: "one.mjs", text })).toBe("true true true");
      }
    });

    it("is one when there are two copies, as under two dependencies", () => {
      const installed = path.join(program, "node_modules", "runtime");
      cpSync(installed, path.join(program, "node_modules", "other", "node_modules", "runtime"), { recursive: true });
      writeFileSync(path.join(program, "node_modules", "other", "index.js"), `module.exports = require("runtime");`);
      const text = `
        const one = require("runtime"), two = require("other");
        one.spawn(() => { two.sleep(5); console.log(one.spawn === two.spawn, two.Fiber.current === one.Fiber.current); });`;
      expect(node(program, [], { file: "two.js", text })).toBe("true true");
    });

    it("runs programs by its command", () => {
      writeFileSync(path.join(program, "command.js"), `require("runtime").sleep(1); console.log("slept");`);
      const command = path.join(program, "node_modules", ".bin", "runtime");
      expect(node(program, [realpathSync(command), "run", "command.js"])).toBe("slept");
    });
  });

  describe("installed beside what was written for fibers", () => {
    const alias = path.join(work, `runtime-fibers-${require("../compat/fibers/alias/package.json").version}.tgz`);
    const uses = `
      const fibrous = require("fibrous");
      const fs = require("node:fs");
      fibrous.run(() => JSON.parse(fs.sync.readFile("package.json", "utf8")).name, (error, name) => console.log(name));`;

    beforeAll(async () => {
      const destination = ["--", "--silent", "--pack-destination", work];
      await npm(root, environment, "run", "--silent", "pack:fibers", ...destination);
    }, 2 * MINUTES);

    it(
      "is what an alias, and an override, lead to",
      async () => {
        const program = emptyProgram(path.join(work, "aliased"));
        const dependencies = { fibers: `file:${alias}`, fibrous: "0.4.0", runtime: `file:${tarball}` };
        const text = JSON.stringify({ name: "program", private: true, dependencies, overrides: { fibers: "$fibers" } });
        writeFileSync(path.join(program, "package.json"), text);
        await npm(program, environment, ...install);
        expect(node(program, [], { file: "app.js", text: uses })).toBe("program");
        const imports = `
        import Fiber from "fibers";
        import Future from "fibers/future.js";
        import { createRequire } from "node:module";
        const require = createRequire(import.meta.url);
        console.log(Fiber === require("runtime/fibers"), Future === require("runtime/fibers/future"));`;
        expect(node(program, [], { file: "app.mjs", text: imports })).toBe("true true");
        const typed = `
        import Fiber = require("fibers");
        import Future = require("fibers/future");
        ${programForFibers}`;
        expect(compile(program, { file: "typed.ts", text: typed }, "node10")).toBe("");
        expect(compile(program, { file: "typed.cts", text: typed }, "nodenext")).toBe("");
      },
      5 * MINUTES,
    );

    it(
      "takes the place of the original, which was installed without its scripts",
      async () => {
        const program = emptyProgram(path.join(work, "redirected"));
        await npm(program, environment, ...install, tarball); // whose own scripts shall run
        await npm(program, environment, ...install, "--ignore-scripts", "fibers@5.0.3", "fibrous@0.4.0");
        expect(node(program, ["--require", "runtime/patch"], { file: "app.js", text: uses })).toBe("program");
        const imports = `
        import "runtime/patch";
        import Fiber from "fibers";
        import "fibers/future.js";
        (() => Fiber.yield(1)).future()().detach();
        console.log(Fiber(() => Fiber.yield("ours")).run());`;
        expect(node(program, [], { file: "app.mjs", text: imports })).toBe("ours");
      },
      5 * MINUTES,
    );
  });

  describe("installed where nothing can be compiled, and no binary fits", () => {
    const program = path.join(work, "bare");
    let printed: string;

    beforeAll(async () => {
      const bin = path.join(work, "bin");
      mkdirSync(bin);
      symlinkSync(process.execPath, path.join(bin, "node"));
      symlinkSync(which("sh"), path.join(bin, "sh"));
      execFileSync("tar", ["-xzf", tarball], { cwd: work });
      rmSync(path.join(work, "package", "prebuilds"), { recursive: true });
      execFileSync("tar", ["-czf", "without-binaries.tgz", "package"], { cwd: work });
      const env = { ...environment, PATH: bin };
      printed = await npm(emptyProgram(program), env, ...install, path.join(work, "without-binaries.tgz"));
    }, 5 * MINUTES);

    it("says in one line what is lost", () => {
      const lines = printed.split("\n").filter((line) => /^runtime: /.test(line));
      expect(lines).toEqual([expect.stringContaining("there will be no fibers")]);
    });

    it("has no fibers, and tells why", () => {
      const text = `const { reason, switch: name } = require("runtime").info(); console.log(name, "|", reason);`;
      expect(node(program, [], { file: "info.js", text })).toMatch(
        /^none \| the addon could not be loaded \(there is none for Node v\S+ on \S+; `npm rebuild`, with this Node, builds it\)$/,
      );
    });

    it("still patches, and programs run as on plain Node", () => {
      const text = `import "runtime/patch"; import fs from "node:fs"; console.log(fs.existsSync("package.json"));`;
      expect(node(program, [], { file: "plain.mjs", text })).toBe("true");
    });
  });
});

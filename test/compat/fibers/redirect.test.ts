// What require("fibers") and import "fibers" lead to. Here the packages by that name are made up; test/package.test.ts
// installs the original, and an alias.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import Module from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { describeFibers, hasFibers } from "../../support/fibers";

const root = path.join(__dirname, "..", "..", "..");
const hasHooks = "registerHooks" in Module; // from Node 22.15 on

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(path.join(realpathSync(tmpdir()), "runtime-fibers-"));
  mkdirSync(path.join(directory, "node_modules"));
  symlinkSync(root, path.join(directory, "node_modules", "runtime"));
});

afterEach(() => rmSync(directory, { recursive: true }));

/** Puts a package into the folder `node_modules/fibers`. */
function install(name: string, fibers: string, future = `module.exports = "a future";`): void {
  const folder = path.join(directory, "node_modules", "fibers");
  mkdirSync(folder);
  writeFileSync(path.join(folder, "package.json"), JSON.stringify({ name, version: "5.0.3", main: "fibers" }));
  writeFileSync(path.join(folder, "fibers.js"), fibers);
  writeFileSync(path.join(folder, "future.js"), future);
}

/** As the original does on a Node that it has no binary for. */
const original = `
  if (process.fiberLib) module.exports = process.fiberLib;
  else throw new Error("Missing binary");`;

function run(file: string, text: string, env: NodeJS.ProcessEnv = {}, flags: string[] = []): string {
  writeFileSync(path.join(directory, file), text);
  const options = { cwd: directory, encoding: "utf8", env: { ...process.env, ...env } } as const;
  const { stdout, stderr } = spawnSync(process.execPath, [...flags, file], options);
  return (stdout + (/^(?:\w*Error.*|Missing binary)/m.exec(stderr)?.[0] ?? stderr)).trim();
}

const told = `const ours = (name) => require("fibers" + name) === require("runtime/fibers" + name);`;

describeFibers("require of fibers, under the patch", () => {
  const program = `require("runtime/patch"); ${told} console.log(ours(""), ours("/future"));`;

  it("gets ours where there is none", () => {
    expect(run("app.cjs", program)).toBe("true true");
  });

  it("gets ours in the place of the original", () => {
    install("fibers", original);
    expect(run("app.cjs", program)).toBe("true true");
  });

  it("gets ours in the place of what leads there by an alias", () => {
    install("runtime-fibers", `throw new Error("not needed")`);
    expect(run("app.cjs", program)).toBe("true true");
  });

  it("gets what else goes by that name", () => {
    install("my-own-fibers", `module.exports = "my own";`);
    expect(run("app.cjs", `require("runtime/patch"); console.log(require("fibers"), require("fibers/future"));`)).toBe(
      "my own a future",
    );
  });

  it("gets the original if that works, and was there first", () => {
    install("fibers", `module.exports = process.fiberLib = "works";`);
    const late = `require("fibers"); require("runtime").patch(); console.log(require("fibers"));`;
    expect(run("app.cjs", late, {}, ["--no-warnings"])).toBe("works");
  });

  it("is asked for in packages, too, wherever they are", () => {
    mkdirSync(path.join(directory, "node_modules", "old"));
    writeFileSync(
      path.join(directory, "node_modules", "old", "index.js"),
      `module.exports = require("fibers")(() => "ran").run();`,
    );
    expect(run("app.cjs", `require("runtime/patch"); console.log(require("old"));`)).toBe("ran");
  });

  it("is found by require.resolve", () => {
    expect(
      run(
        "app.cjs",
        `require("runtime/patch"); console.log(require.resolve("fibers") === require.resolve("runtime/fibers"));`,
      ),
    ).toBe("true");
  });

  it("fails as ever for other files of that name", () => {
    expect(run("app.cjs", `require("runtime/patch"); require("fibers/other");`)).toMatch(/Cannot find module/);
    expect(run("app.cjs", `require("runtime/patch"); require("./fibers");`)).toMatch(/Cannot find module/);
  });

  it("is chosen by its name among what is patched, and taken back", () => {
    install("fibers", original);
    const attempts = `
      const { createRequire } = require("node:module");
      const attempt = (folder) => { // Node remembers what it has found from a folder
        try { return typeof createRequire(__dirname + "/" + folder + "/")("fibers"); } catch (error) { return error.message; }
      };
      const { isPatched, patch, unpatch } = require("runtime");
      patch({ fibers: false });
      console.log(isPatched("fibers"), attempt("a"));
      patch({ fibers: true });
      console.log(isPatched("fibers"), attempt("b"));
      unpatch({ fibers: true });
      console.log(isPatched("fibers"), attempt("c"), process.fiberLib);`;
    expect(run("app.cjs", attempts).split("\n")).toEqual([
      "false Missing binary",
      "true function",
      "false Missing binary undefined",
    ]);
  });
});

describeFibers("import of fibers, under the patch", () => {
  const told = `
    import { createRequire } from "node:module";
    const require = createRequire(import.meta.url);`;
  const statically = `import "runtime/patch"; import Fiber from "fibers"; ${told}
    console.log(Fiber === require("runtime/fibers"));`;
  const dynamically = `import "runtime/patch"; ${told}
    const [{ default: Fiber }, { default: Future }] = await Promise.all([import("fibers"), import("fibers/future")]);
    console.log(Fiber === require("runtime/fibers"), Future === require("runtime/fibers/future"));`;

  it("gets ours in the place of the original, also in the graph of modules that the patch is in", () => {
    install("fibers", original);
    expect(run("app.mjs", statically)).toBe("true");
  });

  it("gets what else goes by that name", () => {
    install("my-own-fibers", `module.exports = "my own";`);
    expect(run("app.mjs", `import "runtime/patch"; import Fiber from "fibers"; console.log(Fiber);`)).toBe("my own");
  });

  it.runIf(hasHooks)("gets ours where there is none, after the patch", () => {
    expect(run("app.mjs", dynamically)).toBe("true true");
    expect(run("app.mjs", statically, {}, ["--import", "runtime/patch"])).toBe("true");
  });

  it.runIf(hasHooks)("fails as ever once that is taken back", () => {
    const program = `
      import { patch, unpatch } from "runtime";
      patch();
      unpatch();
      await import("fibers").catch(({ code }) => console.log(code));`;
    expect(run("app.mjs", program)).toBe("ERR_MODULE_NOT_FOUND");
  });
});

it.skipIf(!hasFibers)("the drop-in fails in one word where there are no fibers", () => {
  const env = { RUNTIME_SWITCH: "none" };
  const attempt = (name: string) => `
    require("runtime/patch");
    try { require("${name}"); } catch (error) { console.log(error.code, error.message); }`;
  for (const name of ["runtime/fibers", "runtime/fibers/future", "fibers", "fibers/future"]) {
    expect(run("app.cjs", attempt(name), env)).toBe(
      "ERR_NO_FIBERS There are no fibers in this process: RUNTIME_SWITCH=none",
    );
  }
  install("fibers", original);
  const program = `
    import "runtime/patch";
    import Fiber from "fibers";
    try { Fiber(() => {}).run(); } catch (error) { console.log(error.code); }`;
  expect(run("app.mjs", program, env)).toBe("ERR_NO_FIBERS");
});

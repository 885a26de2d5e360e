import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = path.join(__dirname, "..", "..");
let copy = "";

beforeAll(() => {
  copy = mkdtempSync(path.join(tmpdir(), "runtime-compiled-"));
  cpSync(path.join(root, "dist"), path.join(copy, "dist"), { recursive: true });
  for (const name of ["node_modules", "prebuilds"]) symlinkSync(path.join(root, name), path.join(copy, name));
  removeKept();
});

afterAll(() => rmSync(copy, { recursive: true }));

const keptFiles = () => readdirSync(path.join(copy, "dist")).filter((name) => name.endsWith(".cache"));
const removeKept = () => {
  for (const name of keptFiles()) rmSync(path.join(copy, "dist", name));
};

function node(...args: string[]): string {
  const { stdout, stderr, status } = spawnSync(process.execPath, args, { cwd: copy, encoding: "utf8" });
  return status === 0 ? stdout.trim() : stderr;
}

/** Uses the package; tells what it loaded it from. */
const program = `
  const { readFileSync } = require("node:fs");
  const { patch, spawn, isPatched } = require("./dist/index.js");
  patch();
  const plain = Object.keys(require.cache).some((file) => file.endsWith("main.js"));
  console.log(plain ? "compiled" : "kept", isPatched("fs"), readFileSync("dist/patch.js").length > 0);`;

function keep(): string {
  expect(node("-e", 'require("./dist/compiled.js").keepCompiled((runtime) => runtime.patch())')).toBe("");
  const [file] = keptFiles();
  expect(file).toContain(process.version);
  return path.join(copy, "dist", file as string);
}

describe("what V8 has kept of the compiled bundle", () => {
  it("is not needed", () => {
    removeKept();
    expect(node("-e", program)).toBe("compiled true true");
  });

  it("is used if it is there", () => {
    keep();
    expect(node("-e", program)).toBe("kept true true");
  });

  it("is left aside for source maps, and makes no difference under other flags", () => {
    keep();
    expect(node("--enable-source-maps", "-e", program)).toBe("compiled true true");
    expect(node("--no-opt", "--stack-size=900", "-e", program)).toBe("kept true true");
  });

  it("makes no difference if it is of another bundle, cut off, or no such thing at all", () => {
    const file = keep();
    const bytes = readFileSync(file);
    const main = path.join(copy, "dist", "main.js");
    const source = readFileSync(main, "utf8");
    const end = bytes.subarray(bytes.lastIndexOf(0)); // tells where it was made
    for (const broken of [
      bytes.subarray(0, bytes.length / 2),
      Buffer.alloc(0),
      Buffer.from("no cache"),
      Buffer.alloc(1 << 16),
    ]) {
      writeFileSync(file, Buffer.concat([broken, end]));
      expect(node("-e", program)).toBe("kept true true");
      writeFileSync(file, broken);
      expect(node("-e", program)).toBe("compiled true true");
    }
    writeFileSync(file, bytes);
    writeFileSync(main, `${source}\n;`);
    expect(node("-e", program)).toBe("kept true true");
    writeFileSync(main, source);
  });

  it("is left aside where the package was moved to: it names the files that it was made of", () => {
    keep();
    const moved = mkdtempSync(path.join(tmpdir(), "runtime-moved-"));
    try {
      cpSync(copy, moved, { recursive: true });
      const failing = `
        try { require("${moved}/dist/index.js").spawn(5); } catch (error) {
          console.log(error.stack.includes("${moved}/dist/main.js"), error.stack.includes("${copy}/"));
        }`;
      expect(node("-e", failing)).toBe("true false");
    } finally {
      rmSync(moved, { recursive: true });
    }
  });

  it("is of functions that import, and that tell where they are", () => {
    keep();
    const failing = `
      const { spawn } = require("./dist/index.js");
      try { spawn(5); } catch (error) { console.log(error.code, /main\\.js:\\d+:\\d+/.test(error.stack)); }`;
    expect(node("-e", failing)).toBe("ERR_INVALID_ARG_TYPE true");
    writeFileSync(path.join(copy, "app.mjs"), "await null; export default () => ({ body: 'imported' });");
    const serving = `
      const server = require("./dist/index.js").serve("app.mjs", { port: 0 });
      server.ready.then(() => fetch(server.url)).then((res) => res.text()).then(console.log).then(() => process.exit());`;
    expect(node("-e", serving)).toBe("imported");
  });
});

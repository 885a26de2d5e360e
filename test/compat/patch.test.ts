import { execFileSync } from "node:child_process";
import fs, { mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { isPatched, original, patch, unpatch } from "runtime";
import { afterEach, describe, expect, it } from "vitest";

afterEach(() => unpatch());

const run = (...args: string[]) =>
  execFileSync(process.execPath, args, { cwd: path.join(__dirname, "..", ".."), encoding: "utf8", stdio: "pipe" });

describe("patch()", () => {
  it("is idempotent", () => {
    patch();
    const once = fs.readFileSync;
    patch();
    expect(fs.readFileSync).toBe(once);
  });

  it("patches only what is chosen", () => {
    patch({ fs: false });
    expect([isPatched("fs"), isPatched("http")]).toEqual([false, true]);
    patch({ fs: true });
    expect(isPatched("fs")).toBe(true);
  });

  it("hands out what it replaced", () => {
    const before = fs.readFileSync;
    expect(original("fs", "readFileSync")).toBe(before);
    patch();
    expect(fs.readFileSync).not.toBe(before);
    expect(original("fs", "readFileSync")).toBe(before);
    expect(original("http", "getSync")).toBeUndefined();
  });

  it("is taken back by unpatch(), to the last property", () => {
    const before = Object.getOwnPropertyDescriptors(fs);
    const added = Object.keys(require("node:timers"));
    patch();
    unpatch();
    expect(Object.getOwnPropertyDescriptors(fs)).toEqual(before);
    expect(Object.keys(require("node:timers"))).toEqual(added);
  });

  it("reaches modules that imported a function by name", () => {
    const before = readFileSync;
    patch();
    expect(readFileSync).not.toBe(before);
  });

  it("names the option that is wrong", () => {
    expect(() => patch({ nonsense: true })).toThrow(/"options.nonsense"/);
    expect(() => patch({ fs: "yes" as never })).toThrow(/"options.fs"/);
    expect(() => patch(1 as never)).toThrow(/"options"/);
    expect(() => isPatched("nonsense")).toThrow(/"name"/);
    expect(() => original("nonsense", "x")).toThrow(/"name"/);
  });
});

describe("importing runtime/patch", () => {
  const show = `console.log(require("node:fs").readFileSync === require("runtime").original("fs", "readFileSync"))`;

  it("patches, by require", () => {
    expect(run("-e", `require("runtime/patch"); ${show}`)).toBe("false\n");
    expect(run("-r", "runtime/patch", "-e", show)).toBe("false\n");
  });

  it("patches, by import, also what the same module imports by name", () => {
    const program = `import "runtime/patch"; import { readFileSync } from "node:fs"; import { original, spawn } from "runtime";
      console.log(readFileSync === original("fs", "readFileSync"), typeof spawn)`;
    expect(run("--input-type=module", "-e", program)).toBe("false function\n");
    expect(run("--import", "runtime/patch", "-e", show)).toBe("false\n");
  });

  it("warns of modules that were loaded before it", () => {
    const early = path.join(mkdtempSync(path.join(tmpdir(), "runtime-late-")), "early.js");
    fs.writeFileSync(early, "");
    const late = `require(${JSON.stringify(early)}); process.on("warning", (w) => console.log(w.code)); require("runtime/patch")`;
    expect(run("--no-warnings", "-e", late)).toBe("RUNTIME_LATE_PATCH\n");
    expect(run("--no-warnings", "-e", `process.on("warning", console.log); require("runtime/patch")`)).toBe("");
  });

  it("leaves Node as it is out of fibers: same results, same errors, same order of events", () => {
    const program = `
      const fs = require("node:fs"), http = require("node:http");
      const log = [];
      process.nextTick(() => log.push("tick")); Promise.resolve().then(() => log.push("promise"));
      setImmediate(() => log.push("immediate")); log.push(fs.existsSync("/none"));
      try { fs.readFileSync("/none") } catch (error) { log.push(error.message) }
      const server = http.createServer((req, res) => { log.push("request"); res.end("x"); log.push("ended"); });
      server.on("connection", () => log.push("connection")).on("close", () => { log.push("close"); console.log(JSON.stringify(log)); });
      server.listen(0, () => http.get({ port: server.address().port, agent: false }, (res) => {
        log.push("response"); res.on("data", () => log.push("data")).on("end", () => { log.push("end"); server.close(); });
      }));`;
    expect(run("-r", "runtime/patch", "-e", program)).toBe(run("-e", program));
  });
});

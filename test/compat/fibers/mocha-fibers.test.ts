// mocha-fibers: tests and hooks of Mocha in fibers, run by Mocha's own command.
import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it } from "vitest";
import { hasFibers } from "../../support/fibers";
import { scratchProject } from "../../support/npm";

const root = path.join(__dirname, "..", "..", "..");
const dependencies = { mocha: "^10.8.2", "mocha-fibers": "1.1.1" };
const project = hasFibers ? await scratchProject("mocha-fibers", dependencies) : null;
if (project === null) console.log(`mocha-fibers: skipped, ${hasFibers ? "it could not be installed" : "no fibers"}`);

const spec = `
  const assert = require("assert");
  const Future = require("fibers/future");
  const fs = Future.wrap(require("fs"));
  const later = (value) => Future.fromPromise(new Promise((resolve) => setTimeout(resolve, 1, value)));
  describe("a suite", () => {
    const seen = [];
    before(() => { seen.push(later("before").wait()); });
    beforeEach(() => { seen.push(later("before each").wait()); });
    after(() => { assert.deepStrictEqual(seen, later(["before", "before each", "before each", "before each"]).wait()); });
    it("waits", () => { assert(fs.readFileFuture(__filename, "utf8").wait().includes("a suite")); });
    it("calls back", (done) => { assert.strictEqual(later(1).wait(), 1); setTimeout(done, 1); });
    it("fails after it has waited", () => { assert.strictEqual(later(1).wait(), 2); });
    it.skip("is skipped", () => { throw new Error("no"); });
  });`;

describe.runIf(project !== null)("mocha-fibers", () => {
  it("waits in tests and hooks, and tells which of them fail", async () => {
    const directory = mkdtempSync(path.join(tmpdir(), "runtime-mocha-"));
    try {
      mkdirSync(path.join(directory, "node_modules"));
      symlinkSync(root, path.join(directory, "node_modules", "runtime"));
      writeFileSync(path.join(directory, "spec.js"), spec);
      const [mocha, ui] = ["mocha/bin/mocha.js", "mocha-fibers"].map((name) =>
        path.join(project as string, "node_modules", name),
      ) as [string, string];
      const args = ["--require", "runtime/patch", mocha, "--ui", ui, "--reporter", "json", "spec.js"];
      const stdout = await new Promise<string>((resolve) => {
        execFile(process.execPath, args, { cwd: directory, timeout: 60_000 }, (_, stdout) => resolve(stdout));
      });
      const titles = (kind: { title: string }[]) => kind.map(({ title }) => title);
      const { passes, failures, pending } = JSON.parse(stdout);
      expect([titles(passes), titles(failures), titles(pending)]).toEqual([
        ["waits", "calls back"],
        ["fails after it has waited"],
        ["is skipped"],
      ]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

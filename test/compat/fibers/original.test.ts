// The tests of the package fibers itself, from its npm release, run against ours.
import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { hasFibers } from "../../support/fibers";
import { scratchProject } from "../../support/npm";

const project = hasFibers ? await scratchProject("fibers-5", { fibers: "5.0.3" }) : null;
if (project === null) console.log(`fibers 5: skipped, ${hasFibers ? "it could not be installed" : "no fibers"}`);

const original = path.join(project ?? "", "node_modules", "fibers");
const files = project === null ? [] : readdirSync(path.join(original, "test"));

describe.runIf(project !== null)("fibers 5, its own tests", () => {
  it("are all there", () => {
    expect(files.length).toBe(19);
  });

  for (const file of files) {
    const retry = file === "cleanup.js" ? 3 : 0; // it compares durations
    it(file, { retry }, async () => {
      // As its own runner has it, but for the patch; NODE_PATH is for require("future").
      const patch = path.join(__dirname, "..", "..", "..", "dist", "patch.js");
      const env = { ...process.env, NODE_PATH: original, NODE_OPTIONS: `--require ${JSON.stringify(patch)}` };
      const options = { cwd: original, env, timeout: 60_000 };
      const outcome = await promisify(execFile)(process.execPath, [path.join("test", file)], options);
      expect(outcome).toEqual({ stdout: "pass\n", stderr: "" });
    });
  }
});

import { spawnSync } from "node:child_process";
import path from "node:path";
import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";

const root = path.join(__dirname, "..", "..");

describeFibers("a full collection in a fiber", () => {
  // V8 scans the running stack for pointers to C++ objects, up to where it believes that the stack starts.
  it("scans that fiber's stack, not on into the one that was entered last", () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      const first = spawn(() => { sleep(20); gc(); return "collected"; });
      for (let i = 0; i < 5; i++) spawn(() => sleep(40));
      first.then(console.log);`;
    const child = spawnSync(process.execPath, ["--expose-gc", "-e", program], { cwd: root, encoding: "utf8" });
    expect({ signal: child.signal, stdout: child.stdout }).toEqual({ signal: null, stdout: "collected\n" });
  });
});

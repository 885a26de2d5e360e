import { spawnSync } from "node:child_process";
import path from "node:path";
import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";

const root = path.join(__dirname, "..", "..");

describeFibers("collections of the young generation", () => {
  // V8 visits AsyncLocalStorage's frame once for every thread that it knows: twice is once too often for a scavenge.
  it("leave the heap whole while fibers are in fresh async contexts", { timeout: 60_000 }, () => {
    const program = `
      const { AsyncLocalStorage } = require("node:async_hooks");
      const { sleep, spawn } = require("runtime");
      const storage = new AsyncLocalStorage();
      const end = Date.now() + 2000;
      for (let i = 0; i < 40; i++) spawn(() => {
        for (let n = 0; Date.now() < end; n++) {
          const store = { n };
          storage.run(store, () => { sleep(n % 3); if (storage.getStore() !== store) throw new Error("another's store"); });
          storage.enterWith({});
          sleep(0);
        }
      });`;
    const child = spawnSync(process.execPath, ["--stress-scavenge=50", "-e", program], { cwd: root, encoding: "utf8" });
    expect({ signal: child.signal, status: child.status, stderr: child.stderr }).toEqual({
      signal: null,
      status: 0,
      stderr: "",
    });
  });
});

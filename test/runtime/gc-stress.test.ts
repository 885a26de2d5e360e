import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

// A mixed load, every part of which checks what it computes.
const program = `
  const { AsyncLocalStorage, AsyncResource } = require("node:async_hooks");
  const { gunzip, gzip } = require("node:zlib");
  const { promisify } = require("node:util");
  const { sleep, spawn, wait, withTimeout } = require("runtime");
  const storage = new AsyncLocalStorage();
  const check = (ok, what) => { if (!ok) throw new Error("wrong: " + what); };
  function deep(n, above) {
    const mine = { x: above.x + 1, pad: "p".repeat(n) };
    const result = n === 0 ? (sleep(n % 3), mine.x) : [n].map(() => deep(n - 1, mine))[0];
    check(mine.pad.length === n, "an object that a suspended frame holds");
    return result;
  }
  const overflow = () => overflow() + 1;
  function work(i) {
    for (let k = 0; k < 4; k++) {
      check(deep(20, { x: i }) === i + 21, "deep");
      const rows = Array.from({ length: 100 }, (_, j) => ({ j, s: "a" + j }));
      const packed = wait(promisify(gzip)(JSON.stringify(rows)));
      check(JSON.parse(wait(promisify(gunzip)(packed)))[99].s === "a99", "zlib");
      check([5, 3, 1, 4].sort((a, b) => { if (a === 3) sleep(0); return a - b; }).join() === "1,3,4,5", "sort");
      check("aXbXc".replace(/X/g, () => { sleep(0); return "-"; }) === "a-b-c", "replace");
      check([...(function* () { yield sleep(1); yield 2; })()][1] === 2, "generator");
      check(new Proxy({}, { get() { sleep(0); return 5; } }).x === 5, "proxy");
      check(storage.run(i, () => new AsyncResource("TEST").runInAsyncScope(() => { sleep(1); return storage.getStore(); })) === i, "context");
      check(withTimeout(1, () => sleep(1e8), "fallback") === "fallback", "timeout");
      try { overflow(); check(false, "no overflow"); } catch (error) { check(error instanceof RangeError, error); }
      const victim = spawn(() => { try { sleep(1e8); } finally { sleep(0); } });
      sleep(0);
      victim.kill();
      check(victim.dead, "kill");
    }
  }
  let left = 40;
  for (let i = 0; i < 40; i++) {
    spawn(() => work(i)).link((fiber) => {
      if (!fiber.successful) { console.log(fiber.exception); process.exitCode = 1; }
      if (--left === 0) console.log("done");
    });
  }`;

const flags = [
  "--stress-compaction",
  "--gc-interval=500",
  "--stress-scavenge=50",
  "--stress-wasm-code-gc",
  "--stress-incremental-marking",
  "--stress-flush-code",
  "--conservative-stack-scanning",
  "--minor-ms",
  "--always-turbofan",
  "--stress-maglev",
];

describeFibers("a mixed load is right, and ends, under", () => {
  it.each(flags)(
    "%s",
    async (flag) => {
      if (spawnSync(process.execPath, [flag, "-e", "0"]).status !== 0) {
        console.log(`${flag}: skipped, this Node does not know it`);
        return;
      }
      expect(await run(program, { flags: [flag], timeout: 150_000 })).toEqual(printing("done"));
    },
    180_000,
  );
});

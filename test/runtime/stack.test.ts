import { AsyncResource } from "node:async_hooks";
import { configure, Fiber, sleep, spawn, wait, withTimeout } from "runtime";
import { afterEach, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

const MiB = 1024 * 1024;

function depth(): number {
  let reached = 0;
  const deeper = () => {
    reached++;
    deeper();
  };
  try {
    deeper();
  } catch {}
  return reached;
}

const depthOf = async (stackSize: number) => {
  const fiber = new Fiber(depth, { stackSize });
  fiber.start();
  await fiber;
  return fiber.get();
};

const standard = 984 * 1024;
afterEach(() => configure({ stackSize: standard }));

describeFibers("the size of a fiber's stack", () => {
  it("allows by default at least the recursion depth of Node's main stack", async () => {
    const program = `
      const { spawn } = require("runtime");
      function depth() {
        let reached = 0;
        const deeper = () => { reached++; deeper(); };
        try { deeper(); } catch {}
        return reached;
      }
      depth(); // compiled code has smaller frames: both are measured in the same state
      const here = depth();
      spawn(depth).then((there) => console.log(there >= here * 0.99 || [here, there]));`;
    expect(await run(program, { flags: ["--no-opt", "--no-sparkplug"] })).toEqual(printing("true"));
  });

  it("can be given for one fiber", async () => {
    const [small, large] = [await depthOf(128 * 1024), await depthOf(4 * MiB)];
    expect(large / small).toBeGreaterThan(16);
  });

  it("can be given for all fibers to come", async () => {
    const before = await spawn(depth);
    configure({ stackSize: 4 * MiB });
    expect((await spawn(depth)) / before).toBeGreaterThan(2);
  });

  it("can be given for the process, in the environment", async () => {
    const program = `
      const { spawn } = require("runtime");
      function depth() { try { return 1 + depth(); } catch { return 1; } }
      spawn(depth).then((depth) => console.log(depth));`;
    const depths = await Promise.all(
      [128 * 1024, 4 * MiB].map(async (size) =>
        Number((await run(program, { env: { RUNTIME_STACK_SIZE: `${size}` } })).stdout),
      ),
    );
    expect((depths[1] as number) / (depths[0] as number)).toBeGreaterThan(10);
  });

  it("keeps fibers of different sizes apart when their stacks are used again", async () => {
    for (let i = 0; i < 20; i++) {
      const [small, large] = await Promise.all([depthOf(128 * 1024), depthOf(2 * MiB)]);
      expect(large / small).toBeGreaterThan(8);
    }
  });
});

describeFibers("a stack overflow in a fiber", () => {
  it("throws a RangeError, and the fiber goes on", async () => {
    const log = await spawn(() => {
      const log: unknown[] = [];
      for (let i = 0; i < 3; i++) {
        try {
          (function deeper(): number {
            return deeper() + 1;
          })();
        } catch (error) {
          log.push((error as Error).name);
        }
        sleep(1);
      }
      return log;
    });
    expect(log).toEqual(["RangeError", "RangeError", "RangeError"]);
  });

  it("that nobody catches is the fiber's failure", async () => {
    const fiber = spawn(function deeper(): unknown {
      return [deeper()];
    });
    await expect(fiber).rejects.toThrow(RangeError);
  });

  it("in native code that calls back throws a RangeError, too", async () => {
    const names = await spawn(() => {
      const deeper = (): unknown => [1].map(deeper);
      const getter = {
        get deeper(): unknown {
          return JSON.stringify(getter);
        },
      };
      const regexp = () => new RegExp(`${"(".repeat(100_000)}${")".repeat(100_000)}`).test("");
      return [deeper, () => getter.deeper, regexp].map((overflow) => {
        try {
          overflow();
          return "none";
        } catch (error) {
          return (error as Error).name;
        }
      });
    });
    expect(names).toEqual(["RangeError", "RangeError", "SyntaxError"]);
  });

  it("leaves the fibers beside it alone, whose stacks are its neighbours", async () => {
    const kept = Array.from({ length: 64 }, (_, i) =>
      spawn(() => {
        const mine = Array.from({ length: 50 }, (_, j) => `${i}/${j}`);
        sleep(10);
        return mine.every((text, j) => text === `${i}/${j}`);
      }),
    );
    const overflowing = Array.from({ length: 64 }, () =>
      spawn(function deeper(): unknown {
        return [deeper()];
      }).then(null, (error) => (error as Error).name),
    );
    expect(new Set(await Promise.all(overflowing))).toEqual(new Set(["RangeError"]));
    expect(new Set(await Promise.all(kept))).toEqual(new Set([true]));
  });

  it("does not come half-way into an operation of Node's, which would leave its timers unable to start", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      const at = (frames, call) => frames === 0 ? call() : at(frames - 1, call);
      const fits = (frames) => { try { at(frames, () => {}); return true; } catch { return false; } };
      const depth = () => {
        let [enough, tooDeep] = [1, 100_000];
        while (tooDeep - enough > 1) {
          const middle = (enough + tooDeep) >> 1;
          if (fits(middle)) enough = middle;
          else tooDeep = middle;
        }
        return enough;
      };
      spawn(() => {
        sleep(1);
        let begun = 0;
        let ms = 1;
        const one = () => { sleep(ms); begun++; };
        one(); // compiling takes more stack than running
        for (let round = 0; round < 8; round++) {
          const enough = depth();
          for (let spare = 0; spare < 200; spare++) {
            try { ms = 1 + round; at(enough - spare, one); } catch (error) { if (!(error instanceof RangeError)) throw error; }
          }
        }
        console.log("begun: " + (begun - 1));
        for (ms = 1; ms <= 8; ms++) sleep(ms);
        console.log("all timers start");
      });`;
    // Compiled code has smaller frames: all is measured in one state.
    const flags = ["--no-opt", "--no-maglev", "--no-sparkplug"];
    expect(await run(program, { flags })).toEqual(printing("begun: 0\nall timers start"));
  });

  it("in the middle of any blocking call leaves the fiber able to block", async () => {
    const at = (frames: number, call: () => unknown): unknown => (frames === 0 ? call() : at(frames - 1, call));
    const calls = [
      () => sleep(0),
      () => sleep(1),
      () => wait(new Promise((resolve) => setImmediate(resolve))),
      () => wait(Promise.resolve()),
      () => spawn(() => {}).get(),
      () => withTimeout(1000, () => sleep(0)),
      () => new AsyncResource("TEST").runInAsyncScope(() => sleep(0)),
    ];
    const outcome = await spawn(() => {
      for (const call of calls) {
        call(); // so that all code on the way is loaded
        let [enough, tooDeep] = [1, 100_000];
        while (tooDeep - enough > 1) {
          const middle = (enough + tooDeep) >> 1;
          try {
            at(middle, () => {});
            enough = middle;
          } catch {
            tooDeep = middle;
          }
        }
        for (let spare = 0; spare < 200; spare++) {
          try {
            at(enough - spare, call);
          } catch {}
          sleep(0);
        }
      }
      return wait(new Promise((resolve) => setImmediate(resolve, "still blocks")));
    });
    expect(outcome).toBe("still blocks");
  }, 60_000);
});

describeFibers("the pages of a stack that grew deep", () => {
  it("are given back when its fiber has ended", async () => {
    const program = `
      const { readFileSync } = require("node:fs");
      const { configure, spawn, wait } = require("runtime");
      const rss = () => Number(/VmRSS:\\s+(\\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
      configure({ stackSize: 4 * 1024 * 1024 });
      const count = 60;
      let arrived, peak, open, gate;
      function bottom() {
        if (++arrived === count) { peak = rss(); open(); }
        wait(gate);
        return 0;
      }
      const deep = (n) => n === 0 ? bottom() : deep(n - 1) + 1;
      const turn = (n) => {
        arrived = 0;
        gate = new Promise((resolve) => { open = resolve; });
        return Promise.all(Array.from({ length: count }, () => spawn(() => deep(n))));
      };
      (async () => {
        await turn(1);
        const before = peak;
        await turn(12_000);
        const atDepth = peak;
        await turn(1);
        console.log(JSON.stringify({ before, peak: atDepth, after: peak }));
      })();`;
    const { stdout } = await run(program);
    const { before, peak, after } = JSON.parse(stdout) as Record<string, number>;
    expect(peak).toBeGreaterThan((before as number) + 50); // MiB: the stacks did grow
    expect(after).toBeLessThan((before as number) + ((peak as number) - (before as number)) / 3);
  });
});

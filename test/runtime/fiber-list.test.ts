import { AsyncResource } from "node:async_hooks";
import { Fiber, type FiberInfo, fibers, runInfo, sleep, spawn, spawnLater, stats, wait } from "runtime";
import { describe, expect, it } from "vitest";
import { deferred } from "../support/deferred";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";
import { turn, until } from "../support/turns";

/** The one entry for this fiber. */
function entry(fiber: Fiber, list = fibers()): FiberInfo {
  const found = list.filter(({ id }) => id === fiber.id);
  expect(found).toHaveLength(1);
  return found[0] as FiberInfo;
}

/** Calls `look` while a fiber is suspended that called `body` with a promise to wait for. */
async function whileSuspended<T>(body: (gate: Promise<void>) => unknown, look: (fiber: Fiber) => T): Promise<T> {
  const gate = deferred();
  const fiber = spawn(body, gate.promise);
  await turn();
  try {
    return look(fiber);
  } finally {
    gate.resolve();
    await fiber;
  }
}

describeFibers("fibers()", () => {
  it("lists a suspended fiber: its id, name, state, and its age in milliseconds", async () => {
    function waits(gate: Promise<void>) {
      wait(gate);
    }
    const [fiber, info] = await whileSuspended(waits, (fiber) => [fiber, entry(fiber)] as const);
    expect(info).toMatchObject({ id: fiber.id, name: "waits", state: "suspended", parent: null });
    expect(info.age).toBeGreaterThan(0);
    expect(info.age).toBeLessThan(60_000);
  });

  it("tells where a fiber is suspended, and its trace, without the package's own frames", async () => {
    function waits(gate: Promise<void>) {
      return [1].map(function inner() {
        return wait(gate);
      });
    }
    const { where, stack } = await whileSuspended(waits, (fiber) => entry(fiber));
    expect(where).toMatch(/inner \(.*fiber-list\.test\.ts:\d+:\d+\)$/);
    expect(stack).toMatch(/^ {4}at .*inner \(.*\n {4}at Array\.map .*\n {4}at .*waits \(/);
    expect(stack).not.toContain("coroutine");
  });

  it("shows the new name of a fiber that was renamed", async () => {
    const name = await whileSuspended(
      (gate) => {
        (Fiber.current as Fiber).name = "renamed";
        wait(gate);
      },
      (fiber) => entry(fiber).name,
    );
    expect(name).toBe("renamed");
  });

  it("tells the fiber that created another", async () => {
    const parents = await spawn(function parent() {
      const child = spawn(() => sleep(0));
      const { parent } = entry(child);
      child.join();
      return [parent, Fiber.current?.id];
    });
    expect(parents[0]).toBe(parents[1]);
  });

  it("lists a spawned fiber as ready, with no place yet", () => {
    const fiber = spawn(() => {});
    expect(entry(fiber)).toMatchObject({ state: "ready", where: "", stack: "" });
  });

  it("lists a fiber as ready that was woken, and its trace", async () => {
    const fiber = spawn(() => sleep(1e8));
    await turn();
    fiber.kill();
    const info = entry(fiber);
    await fiber;
    expect(info.state).toBe("ready");
    expect(info.where).toContain("fiber-list.test.ts");
  });

  it("lists a fiber that a timer is going to start as new, until it was killed", async () => {
    const fiber = spawnLater(1e8, () => {});
    expect(entry(fiber)).toMatchObject({ state: "new", where: "", stack: "" });
    fiber.kill();
    await fiber;
    expect(fibers().some(({ id }) => id === fiber.id)).toBe(false);
  });

  it("does not list a fiber that was never started, nor one that has ended", async () => {
    const created = new Fiber(() => {});
    const ended = spawn(() => {});
    await ended;
    const ids = fibers().map(({ id }) => id);
    expect([ids.includes(created.id), ids.includes(ended.id)]).toEqual([false, false]);
  });

  it("called in a fiber lists it as running, with its own trace, and the others with theirs", async () => {
    const gate = deferred();
    const other = spawn(function other() {
      wait(gate.promise);
    });
    await turn();
    const [own, others] = await spawn(function asks() {
      const list = fibers();
      return [entry(Fiber.current as Fiber, list), entry(other, list)] as const;
    });
    gate.resolve();
    await other;
    expect(own).toMatchObject({ name: "asks", state: "running" });
    expect(own.where).toMatch(/asks \(.*fiber-list\.test\.ts/);
    expect(others).toMatchObject({ state: "suspended" });
    expect(others.where).toMatch(/other\w* \(.*fiber-list\.test\.ts/);
  });

  it("called in a fiber lets no other one run", async () => {
    const log: string[] = [];
    await spawn(() => {
      const other = spawn(() => log.push("other"));
      expect(entry(other).state).toBe("ready");
      log.push("listed");
      other.join();
    });
    expect(log).toEqual(["listed", "other"]);
  });

  it("called where the fiber cannot suspend leaves the others' stacks out", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      const other = spawn(function other() { sleep(1e8); });
      spawn(function asks() { sleep(1); console.log(JSON.stringify(require("./list.cjs"))); other.kill(); });`;
    const list = `module.exports = require("runtime").fibers().map(({ state, where }) => [state, where !== ""]);`;
    expect(await run(program, { files: { "list.cjs": list } })).toEqual(
      printing(
        JSON.stringify([
          ["suspended", false],
          ["running", true],
        ]),
      ),
    );
  });

  it("lists a fiber once that is suspended in an async scope, with the frames in it and around it", async () => {
    const info = await whileSuspended(
      function around(gate) {
        new AsyncResource("TEST").runInAsyncScope(function within() {
          wait(gate);
        });
      },
      (fiber) => entry(fiber),
    );
    expect(info.state).toBe("suspended");
    expect(info.stack).toMatch(/within \((.*\n)*.*around \(/);
  });

  it("disturbs nobody: what is suspended goes on as if nothing had been", async () => {
    const gate = deferred<number>();
    const workers = Array.from({ length: 20 }, (_, i) =>
      spawn(() => {
        let sum = 0;
        for (let k = 0; k < 10; k++) {
          sleep(i % 3);
          sum += 1;
        }
        return sum + wait(gate.promise);
      }),
    );
    for (let i = 0; i < 20; i++) {
      fibers();
      await turn();
    }
    gate.resolve(100);
    expect(await Promise.all(workers)).toEqual(Array(20).fill(110));
  });

  it("is not harmed by an Error.prepareStackTrace of the program's own that fails, or gives no text", async () => {
    const program = `
      const { fibers, sleep, spawn } = require("runtime");
      spawn(() => { setTimeout(look, 1); sleep(20); console.log("went on"); });
      const look = () => {
        Error.prepareStackTrace = () => { throw new Error("own"); };
        const failed = fibers();
        Error.prepareStackTrace = () => [];
        console.log(failed[0].stack === "", fibers()[0].stack === "");
      };`;
    expect(await run(program)).toEqual(printing("true true", "went on"));
  });

  it("works when such a function reads files by the patched fs", async () => {
    const program = `
      require("runtime/patch");
      const { fibers, sleep, spawn } = require("runtime");
      const fs = require("node:fs");
      spawn(function waits() { setTimeout(look, 1); sleep(20); console.log("went on"); });
      const look = () => {
        Error.prepareStackTrace = (error, frames) => "Error\\n    at " + frames[0] + fs.readFileSync(__filename).length;
        console.log(fibers().length);
      };`;
    expect(await run(program)).toEqual(printing("2", "went on")); // the timer's callback is one
  });

  it("shows no frames of the async function that asks", async () => {
    const program = `
      const { fibers, sleep, spawn } = require("runtime");
      spawn(function waits() { setTimeout(outer, 1); sleep(20); });
      const asks = async () => { await null; return fibers()[0].stack; };
      const outer = async () => console.log(await asks());`;
    const { stdout } = await run(program);
    expect(stdout).toMatch(/^ {4}at waits \(.*program\.cjs:3:\d+\)\n$/);
  });

  it("shows none of the package's own frames under --enable-source-maps either", async () => {
    const program = `
      const { fibers, sleep, spawn } = require("runtime");
      spawn(function waits() { setTimeout(() => console.log(fibers()[0].stack), 1); sleep(20); });`;
    const { stdout } = await run(program, { flags: ["--enable-source-maps"] });
    expect(stdout).toMatch(/^ {4}at waits \(.*program\.cjs:3:\d+\)\n$/);
  });

  it("does not keep an abandoned fiber alive", async () => {
    const program = `
      const { fibers, spawn, wait } = require("runtime");
      (() => { spawn(function lost() { try { wait({ then() {} }); } finally { console.log("unwound"); } }); })();
      const look = () => {
        gc();
        const names = fibers().map(({ name }) => name);
        if (names.length > 0) setTimeout(look, 1);
      };
      setTimeout(look, 1);`;
    expect(await run(program, { flags: ["--expose-gc"] })).toEqual(printing("unwound"));
  });
});

describeFibers("runInfo()", () => {
  it("shows fibers under the one that created them, each with its state and its trace", async () => {
    const gate = deferred();
    const parent = spawn(function parent() {
      const child = spawn(function child() {
        wait(gate.promise);
      });
      wait(gate.promise);
      child.join();
    });
    await turn();
    await turn();
    const text = runInfo();
    gate.resolve();
    await parent;
    expect(text).toMatch(
      /^parent\w* \(\d+\): suspended, [\d.]+ s old\n {4}at parent.*\n( {4}at .*\n)* {2}child\w* \(\d+\): suspended, [\d.]+ s old\n {6}at child.*\n/m,
    );
  });

  it("shows a fiber whose creator has ended at the top, and says so", async () => {
    const gate = deferred();
    const creator = spawn(() => {
      spawn(() => wait(gate.promise));
    });
    await creator;
    await turn();
    const text = runInfo();
    gate.resolve();
    expect(text).toContain(`, created by ${creator.id}, which has ended\n`);
  });

  it("copes with a long chain of creators", async () => {
    const gate = deferred();
    const chain = (n: number): void => {
      if (n > 0) spawn(chain, n - 1);
      wait(gate.promise);
    };
    spawn(chain, 300);
    await until(() => fibers().filter(({ name }) => name === "chain").length === 301);
    const text = runInfo();
    gate.resolve();
    expect(text.match(/chain \(/g)?.length).toBeGreaterThanOrEqual(301);
  });
});

describeFibers("stats()", () => {
  const difference = (before: object, after: object) =>
    Object.fromEntries(Object.entries(after).map(([key, value]) => [key, value - before[key as never]]));

  it("counts fibers that were spawned, that are ready, and that have ended", async () => {
    const before = stats();
    const spawned = Array.from({ length: 10 }, () => spawn(() => {}));
    expect(difference(before, stats())).toMatchObject({ spawned: 10, ready: 10, ended: 0, suspended: 0 });
    await Promise.all(spawned);
    expect(difference(before, stats())).toMatchObject({ spawned: 10, ready: 0, ended: 10, switches: 10 });
  });

  it("counts those that are suspended, and the one that runs", async () => {
    const gate = deferred();
    const before = stats();
    const waiting = Array.from({ length: 5 }, () => spawn(() => wait(gate.promise)));
    const inside = await spawn(() => {
      sleep(0);
      return stats();
    });
    expect(difference(before, inside)).toMatchObject({ spawned: 6, suspended: 5, running: 1, ready: 0 });
    gate.resolve();
    await Promise.all(waiting);
    expect(stats().running).toBe(0);
  });

  it("counts killed, failed and delayed fibers like others, and scopes within a fiber not at all", async () => {
    const before = stats();
    const killed = spawn(() => sleep(1e8));
    const failed = spawn(() => {
      throw new Error("own");
    });
    failed.then(null, () => {});
    const late = spawnLater(1e8, () => {});
    const scoped = spawn(() => new AsyncResource("TEST").runInAsyncScope(() => sleep(1)));
    expect(difference(before, stats())).toMatchObject({ spawned: 3 });
    await turn();
    killed.kill();
    late.kill();
    await Promise.allSettled([killed, failed, late, scoped]);
    expect(difference(before, stats())).toMatchObject({ spawned: 4, ended: 4, suspended: 0, ready: 0 });
  });

  it("counts the stacks that are kept for the next fibers", async () => {
    await Promise.all(Array.from({ length: 3 }, () => spawn(() => sleep(0))));
    const before = stats().pooled;
    const inside = await spawn(() => stats().pooled);
    expect(before).toBeGreaterThanOrEqual(3);
    expect(inside).toBe(before - 1);
  });
});

describe("without any fiber", () => {
  it.each(["swap", "none"])("under %s, all three tell so", async (name) => {
    const program = `
      const { fibers, runInfo, stats } = require("runtime");
      console.log(JSON.stringify([fibers(), runInfo(), stats()]));`;
    const env: Record<string, string> = name === "none" ? { RUNTIME_SWITCH: "none" } : {};
    const zero = { spawned: 0, running: 0, ready: 0, suspended: 0, ended: 0, switches: 0, pooled: 0 };
    expect(await run(program, { env })).toEqual(printing(JSON.stringify([[], "no fibers\n", zero])));
  });
});

import { Event, Fiber, Group, Pool, Queue, sleep, spawn, withTimeout } from "runtime";
import { describe, expect, it } from "vitest";
import { describeFibers } from "../../support/fibers";
import { printing, run } from "../../support/run";
import { turn, until } from "../../support/turns";

function outcome(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return `threw ${(error as Error).message}`;
  }
}

const groups: [string, () => Group][] = [
  ["Group", () => new Group()],
  ["Pool", () => new Pool(2)],
];
const orders: ["imap" | "imapUnordered"][] = [["imap"], ["imapUnordered"]];

describeFibers("imap", () => {
  it.each(groups)("%s: yields values in the order of the items, whatever order they come in", async (_, make) => {
    const seen = await spawn(() => [
      ...make().imap(
        (i) => {
          sleep(i);
          return i * 10;
        },
        [4, 1, 3, 2],
      ),
    ]);
    expect(seen).toEqual([40, 10, 30, 20]);
  });

  it("yields a value as soon as it and those before it are there", async () => {
    const gates = [new Event(), new Event()];
    const seen: number[] = [];
    const reader = spawn(() => {
      const values = new Group().imap(
        (i) => {
          gates[i]?.wait();
          return i;
        },
        [0, 1],
      );
      for (const value of values) seen.push(value);
    });
    await turn();
    gates[0]?.set();
    await until(() => seen.length === 1);
    expect(reader.dead).toBe(false);
    gates[1]?.set();
    await reader;
  });

  it("goes through no more items when its consumer was killed in a step, and it is garbage", async () => {
    const program = `
      const { setImmediate: turn } = require("node:timers/promises");
      const { Event, Group, info, spawn } = require("runtime");
      const begun = [];
      function* items() {
        try { for (let i = 0; ; i++) yield i; } finally { console.log("left after", begun.length); }
      }
      const gate = new Event();
      const work = (i) => { begun.push(i); gate.wait(); };
      let reader = spawn(() => { for (const _ of new Group().imap(work, items(), { maxSize: 2 })); });
      (async () => {
        while (begun.length < 2) await turn();
        reader.kill();
        reader = null;
        gate.set();
        for (let i = 0; i < 2000 && info().fibers > 0; i++) {
          gc();
          await turn();
        }
        console.log(info().fibers);
      })();`;
    expect(await run(program, { flags: ["--expose-gc"] })).toEqual(printing("left after 2", "0"));
  });

  it("loses no value when a step is interrupted: the next step has it", async () => {
    const gate = new Event();
    const reader = spawn(() => {
      const values = new Group().imap(
        (i) => {
          if (i === 1) gate.wait();
          return i;
        },
        [1, 2, 3],
      );
      const first = withTimeout(1, () => values.next().value, "interrupted");
      gate.set();
      return [first, ...values];
    });
    expect(await reader).toEqual(["interrupted", 1, 2, 3]);
  });

  it("read by two fibers gives each value to one of them", async () => {
    const values = new Group().imap(
      (i) => {
        sleep(i % 3);
        return i;
      },
      Array.from({ length: 20 }, (_, i) => i),
    );
    const readers = [0, 1].map(() => spawn(() => [...values]));
    const seen = (await Promise.all(readers)).flat();
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });
});

describeFibers("imapUnordered", () => {
  it("yields values in the order in which they come", async () => {
    const gates = [new Event(), new Event(), new Event()];
    const reader = spawn(() => [
      ...new Group().imapUnordered(
        (i) => {
          gates[i]?.wait();
          return i;
        },
        [0, 1, 2],
      ),
    ]);
    for (const i of [2, 0, 1]) {
      await turn();
      await turn();
      gates[i]?.set();
    }
    expect(await reader).toEqual([2, 0, 1]);
  });

  it.each(groups)("%s: yields each value once", async (_, make) => {
    const seen = await spawn(() => [
      ...make().imapUnordered(
        (i) => {
          sleep((i * 7) % 4);
          return i;
        },
        [0, 1, 2, 3, 4, 5],
      ),
    ]);
    expect(seen.sort()).toEqual([0, 1, 2, 3, 4, 5]);
  });
});

describeFibers("imap and imapUnordered", () => {
  describe.each(orders)("%s", (imap) => {
    it("of no items ends at once", async () => {
      expect(await spawn(() => [...new Group()[imap]((i) => i, [])])).toEqual([]);
    });

    it("begins at once, before the first step", async () => {
      const begun: number[] = [];
      const group = new Group();
      const values = group[imap]((i) => begun.push(i), [1, 2]);
      await until(() => begun.length === 2);
      expect((await spawn(() => [...values])).length).toBe(2);
    });

    it("is at its end for good", async () => {
      const seen = await spawn(() => {
        const values = new Group()[imap]((i) => i, [1]);
        return [values.next(), values.next(), values.next()];
      });
      expect(seen).toEqual([
        { done: false, value: 1 },
        { done: true, value: undefined },
        { done: true, value: undefined },
      ]);
    });

    it("a step throws what its task failed with; the next one goes on with the next item", async () => {
      const seen = await spawn(() => {
        const values = new Pool(1)[imap](
          (i) => {
            if (i === 2) throw new Error("of 2");
            return i;
          },
          [1, 2, 3],
        );
        return [1, 2, 3, 4].map(() => outcome(() => values.next().value));
      });
      expect(seen).toEqual([1, "threw of 2", 3, undefined]);
    });

    it("throws what the items' own iterator throws, after the values before it, and is at its end then", async () => {
      function* items() {
        yield 1;
        yield 2;
        throw new Error("of the items");
      }
      const seen = await spawn(() => {
        const values = new Pool(1)[imap]((i) => i, items());
        return [1, 2, 3, 4].map(() => outcome(() => values.next().value));
      });
      expect(seen).toEqual([1, 2, "threw of the items", undefined]);
    });

    it("takes items from an iterator that blocks", async () => {
      const queue = new Queue<number>();
      const reader = spawn(() => [...new Group()[imap]((i) => i * 2, queue)]);
      for (const i of [1, 2, 3]) {
        await turn();
        queue.put(i);
      }
      queue.shutdown();
      expect(await reader).toEqual([2, 4, 6]);
    });

    it("left early starts no further tasks; those that have begun go on", async () => {
      const begun: number[] = [];
      const ended: number[] = [];
      const pool = new Pool(2);
      await spawn(() => {
        const values = pool[imap](
          (i) => {
            begun.push(i);
            sleep(i > 0 ? 2 : 0);
            ended.push(i);
            return i;
          },
          Array.from({ length: 100 }, (_, i) => i),
        );
        for (const _ of values) break;
        pool.join();
      });
      await turn();
      expect(begun.length).toBeLessThan(5);
      expect(ended).toEqual(begun);
    });

    it("left early closes the items' own iterator", async () => {
      let closed = false;
      function* items() {
        try {
          for (;;) yield 1;
        } finally {
          closed = true;
        }
      }
      await spawn(() => {
        for (const _ of new Pool(1)[imap](() => sleep(0), items())) break;
      });
      await until(() => closed);
    });

    it("left early leaves room in the pool for others", async () => {
      const pool = new Pool(1);
      const value = await spawn(() => {
        for (const _ of pool[imap]((i) => sleep(i), [1, 1, 1, 1, 1, 1])) break;
        return pool.apply(() => "room");
      });
      expect(value).toBe("room");
    });

    it("disposed of is left early", async () => {
      const seen = await spawn(() => {
        const values = new Group()[imap]((i) => i, [1, 2, 3]);
        values.next();
        values[Symbol.dispose]();
        return values.next();
      });
      expect(seen).toEqual({ done: true, value: undefined });
    });

    it.each([1, 2, 3])(
      "maxSize %s: starts no further task while so many results wait for their reader",
      async (maxSize) => {
        let begun = 0;
        const values = new Group()[imap](() => ++begun, Array(20).fill(0), { maxSize });
        const bounds: [number, number][] = [];
        for (let taken = 0; taken < 5; taken++) {
          await turn();
          await turn();
          await turn();
          bounds.push([begun, taken + maxSize]);
          await spawn(() => values.next());
        }
        for (const [seen, most] of bounds) expect(seen).toBe(most);
        values[Symbol.dispose]();
      },
    );

    it("with maxSize yields all", async () => {
      const items = Array.from({ length: 20 }, (_, i) => i);
      const seen = await spawn(() => [
        ...new Pool(3)[imap](
          (i) => {
            sleep((i * 7) % 3);
            return i;
          },
          items,
          { maxSize: 2 },
        ),
      ]);
      expect(seen.sort((a, b) => a - b)).toEqual(items);
    });

    it("on the hub's stack a step that would wait throws ERR_NOT_IN_FIBER", async () => {
      const group = new Group();
      const values = group[imap](() => sleep(0), [1]);
      expect(() => values.next()).toThrow(expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }));
      expect(await spawn(() => [...values])).toEqual([undefined]);
    });

    it("makes no failure unhandled, of tasks, or of items, that nobody comes to", async () => {
      const program = `
        const { Group, sleep, spawn } = require("runtime");
        function* items() { yield 1; yield 2; throw new Error("of the items"); }
        spawn(() => {
          for (const _ of new Group().${imap}((i) => { sleep(i); if (i === 2) throw new Error("of 2"); }, items())) break;
          new Group().${imap}((i) => { throw new Error("never read"); }, items());
          sleep(20);
          console.log("went on");
        });`;
      expect(await run(program)).toEqual(printing("went on"));
    });

    it("calls in members", async () => {
      const group = new Group();
      const seen = await spawn(() => [...group[imap](() => group.has(Fiber.current as Fiber), [1, 2])]);
      expect(seen).toEqual([true, true]);
    });

    it("waits for what a generator function yields", async () => {
      function* task(i: number) {
        return (yield Promise.resolve(i * 2)) as number;
      }
      expect(await spawn(() => [...new Group()[imap](task as (i: number) => unknown, [1, 2])])).toEqual([2, 4]);
    });
  });
});

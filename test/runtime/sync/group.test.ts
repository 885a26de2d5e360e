import { Event, Fiber, FiberExit, Group, Pool, sleep, spawn, Timeout } from "runtime";
import { describe, expect, it } from "vitest";
import { describeFibers, itFibers } from "../../support/fibers";
import { printing, run } from "../../support/run";
import { turn } from "../../support/turns";

const suspended = () => sleep(1e8);

describe("a Group", () => {
  itFibers("has its first members from the start", async () => {
    const fibers = [spawn(() => {}), new Fiber(() => {})];
    const group = new Group(fibers);
    expect([group.length, [...group]]).toEqual([2, fibers]);
    fibers[1]?.start();
    await spawn(() => group.join());
    expect(group.length).toBe(0);
  });

  itFibers("knows its members", async () => {
    const group = new Group();
    const [member, other] = [group.spawn(suspended), spawn(suspended)] as [Fiber, Fiber];
    expect([group.has(member), group.has(other)]).toEqual([true, false]);
    group.add(other);
    expect([...group]).toEqual([member, other]);
    await spawn(() => group.kill());
  });

  it("is never full", () => {
    expect(new Group().full).toBe(false);
  });

  itFibers("loses a member at the very moment of its end", async () => {
    const group = new Group();
    const seen = await spawn(() => {
      const member = group.spawn(() => sleep(0));
      member.join();
      return [group.length, group.has(member as Fiber)];
    });
    expect(seen).toEqual([0, false]);
  });

  itFibers("loses a member that fails, or is killed, too", async () => {
    const group = new Group();
    const failing = group.spawn(() => {
      throw new Error("own");
    });
    failing.link(() => {});
    const killed = group.spawn(suspended);
    await turn();
    killed.kill();
    await killed;
    expect(group.length).toBe(0);
  });

  itFibers("takes no fiber that has ended, and each one once", async () => {
    const dead = spawn(() => {});
    await dead;
    const group = new Group();
    group.add(dead as Fiber);
    expect(group.length).toBe(0);
    const member = group.spawn(suspended) as Fiber;
    group.add(member);
    expect(group.length).toBe(1);
    await spawn(() => group.kill());
  });

  itFibers("starts a fiber that was not started", async () => {
    const group = new Group();
    const fiber = new Fiber(() => "ran");
    group.start(fiber as Fiber);
    expect(group.has(fiber as Fiber)).toBe(true);
    expect(await fiber).toBe("ran");
  });

  itFibers("lets a fiber go that is discarded, which runs on", async () => {
    const gate = new Event();
    const group = new Group();
    const fiber = group.spawn(() => gate.wait());
    group.discard(fiber as Fiber);
    expect([group.length, await spawn(() => group.join())]).toEqual([0, true]);
    gate.set();
    expect(await fiber).toBe(true);
  });

  itFibers("passes arguments on to what it spawns", async () => {
    expect(await new Group().spawn((a: number, b: number) => a + b, 1, 2)).toBe(3);
  });

  itFibers("waits for what a generator function yields that it spawns", async () => {
    const event = new Event();
    const fiber = new Group().spawn(function* () {
      return [yield event, yield Promise.resolve("promised")];
    } as () => unknown);
    event.set();
    expect(await fiber).toEqual([true, "promised"]);
  });

  itFibers("whose member fails, and nobody looks, ends the process as any fiber's failure does", async () => {
    const program = `
      const { Group } = require("runtime");
      new Group().spawn(() => { throw new Error("nobody looks"); });`;
    const { code, stderr } = await run(program);
    expect([code, stderr.includes("nobody looks")]).toEqual([1, true]);
  });
});

describe("the join of a group", () => {
  itFibers("waits until all members have ended", async () => {
    const group = new Group();
    const log: string[] = [];
    for (const i of [2, 1, 3]) {
      group.spawn(() => {
        sleep(i);
        log.push("member");
      });
    }
    await spawn(() => {
      group.join();
      log.push("joined");
    });
    expect(log).toEqual(["member", "member", "member", "joined"]);
  });

  it("of no members returns at once, on the hub's stack, too", () => {
    expect(new Group().join()).toBe(true);
  });

  itFibers("waits for members that come meanwhile", async () => {
    const group = new Group();
    const log: string[] = [];
    group.spawn(() => {
      sleep(1);
      group.spawn(() => {
        sleep(1);
        log.push("grandchild");
      });
    });
    await spawn(() => group.join());
    expect(log).toEqual(["grandchild"]);
  });

  itFibers("looks after members that fail while it waits: their failures are not unhandled", async () => {
    const program = `
      const { Group, sleep, spawn } = require("runtime");
      process.on("unhandledRejection", (reason) => console.log("unhandled", reason));
      spawn(() => {
        const group = new Group();
        group.spawn(() => { sleep(1); throw new Error("looked after"); });
        console.log(group.join());
      });`;
    expect(await run(program)).toEqual(printing("true"));
  });

  itFibers("with raiseError throws what a member failed with, once all have ended", async () => {
    const error = new Error("own");
    const group = new Group();
    const joiner = spawn(() => {
      group.spawn(() => {
        throw error;
      });
      group.spawn(() => sleep(2));
      group.join({ raiseError: true });
    });
    await expect(joiner).rejects.toBe(error);
    expect(group.length).toBe(0);
  });

  itFibers("with raiseError and no failure returns true", async () => {
    const group = new Group();
    group.spawn(() => {});
    expect(await spawn(() => group.join({ raiseError: true, timeout: 1e8 }))).toBe(true);
  });

  itFibers("with raiseError and a time that is over first throws the failures so far", async () => {
    const error = new Error("own");
    const group = new Group();
    const joiner = spawn(() => {
      group.spawn(suspended);
      group.spawn(() => {
        throw error;
      });
      group.join({ raiseError: true, timeout: 5 });
    });
    await expect(joiner).rejects.toBe(error);
    await spawn(() => group.kill());
  });
});

describeFibers("the kill of a group", () => {
  it("kills all members and waits for their end", async () => {
    const group = new Group();
    const members = [0, 1].map(() => group.spawn(suspended));
    await turn();
    const dead = await spawn(() => {
      group.kill();
      return members.map((member) => member.dead);
    });
    expect([dead, group.length]).toEqual([[true, true], 0]);
  });

  it("throws into them what it is given", async () => {
    const error = new Error("own");
    const group = new Group();
    const member = group.spawn(suspended);
    await turn();
    await spawn(() => group.kill(error));
    expect(member.exception).toBe(error);
  });

  it("kills also those that are added while it waits", async () => {
    const group = new Group();
    let added: Fiber | undefined;
    group.spawn(() => {
      try {
        suspended();
      } finally {
        added = group.spawn(suspended) as Fiber;
      }
    });
    await turn();
    await spawn(() => group.kill());
    expect([added?.dead, group.length]).toEqual([true, 0]);
  });

  it("throws a Timeout when a member does not end in time", async () => {
    const group = new Group();
    const gate = new Event();
    group.spawn(() => {
      try {
        suspended();
      } finally {
        gate.wait();
      }
    });
    await turn();
    await expect(spawn(() => group.kill(undefined, { timeout: 1 }))).rejects.toThrow(Timeout);
    gate.set();
    await spawn(() => group.join());
  });

  it("within a timeout ends, though each member that dies leaves another one behind", async () => {
    const group = new Group();
    let over = false;
    const immortal = () => {
      try {
        suspended();
      } finally {
        if (!over) {
          group.spawn(immortal);
          sleep(1);
        }
      }
    };
    group.spawn(immortal);
    await turn();
    await expect(spawn(() => group.kill(undefined, { timeout: 20 }))).rejects.toThrow(Timeout);
    over = true;
    await spawn(() => group.kill());
  });

  it("on the hub's stack does not wait", async () => {
    const group = new Group();
    const member = group.spawn(suspended);
    await turn();
    group.kill();
    expect(member.dead).toBe(false);
    expect((await member) as unknown).toBeInstanceOf(FiberExit);
  });

  it("by a member kills the others, and itself last", async () => {
    const group = new Group();
    const other = group.spawn(suspended);
    await turn();
    let after = false;
    const killer = group.spawn(() => {
      group.kill();
      after = true;
    });
    expect((await killer) as unknown).toBeInstanceOf(FiberExit);
    await other;
    expect([after, group.length]).toEqual([false, 0]);
  });

  it("killOne kills a member, and leaves the others and who is none alone", async () => {
    const group = new Group();
    const [member, other, stranger] = [group.spawn(suspended), group.spawn(suspended), spawn(suspended)] as unknown as [
      Fiber,
      Fiber,
      Fiber,
    ];
    await turn();
    await spawn(() => {
      group.killOne(member);
      group.killOne(stranger);
    });
    expect([member.dead, other.dead, stranger.dead]).toEqual([true, false, false]);
    group.add(stranger);
    await spawn(() => group.kill());
  });
});

describeFibers("apply", () => {
  const kinds: [string, () => Group][] = [
    ["Group", () => new Group()],
    ["Pool", () => new Pool(1)],
  ];

  it.each(kinds)("%s: calls the function in a member and returns what it returns", async (_, make) => {
    const group = make();
    const seen = await spawn(() => group.apply((a: string) => [a, group.has(Fiber.current as Fiber)], "argument"));
    expect(seen).toEqual(["argument", true]);
  });

  it.each(kinds)("%s: throws what it throws", async (_, make) => {
    const error = new Error("own");
    const group = make();
    await expect(
      spawn(() =>
        group.apply(() => {
          throw error;
        }),
      ),
    ).rejects.toBe(error);
  });

  it.each(kinds)("%s: by a member calls it right here", async (_, make) => {
    const group = make();
    const seen = await group.spawn(() => {
      const { current } = Fiber;
      return group.apply(() => Fiber.current === current);
    });
    expect(seen).toBe(true);
  });

  it.each(kinds)("%s: waits for what a generator function yields, by a member, too", async (_, make) => {
    const group = make();
    function* generator() {
      return (yield Promise.resolve("promised")) as string;
    }
    const outside = await spawn(() => group.apply(generator as () => unknown));
    const inside = await group.spawn(() => group.apply(generator as () => unknown));
    expect([outside, inside]).toEqual(["promised", "promised"]);
  });

  it.each(kinds)("%s: async, returns a fiber with its outcome", async (_, make) => {
    const group = make();
    expect(await group.applyAsync((a: number) => a + 1, 1)).toBe(2);
    const error = new Error("own");
    await expect(
      group.applyAsync(() => {
        throw error;
      }),
    ).rejects.toBe(error);
  });
});

describe("map", () => {
  itFibers("returns the values in the order of the items, whatever order they come in", async () => {
    const events = [new Event(), new Event(), new Event()];
    const order: number[] = [];
    const mapper = spawn(() =>
      new Group().map(
        (i) => {
          events[i]?.wait();
          order.push(i);
          return i * 10;
        },
        [0, 1, 2],
      ),
    );
    await turn();
    for (const i of [2, 0, 1]) events[i]?.set();
    expect([await mapper, order]).toEqual([
      [0, 10, 20],
      [2, 0, 1],
    ]);
  });

  it("of no items returns none, on the hub's stack, too", () => {
    expect(new Group().map(() => 1, [])).toEqual([]);
  });

  itFibers("throws what the first one failed with in the order of the items; the others go on", async () => {
    const group = new Group();
    const done: number[] = [];
    const mapper = spawn(() =>
      group.map(
        (i) => {
          sleep(i === 1 ? 2 : 0);
          if (i > 0 && i < 3) throw new Error(`of ${i}`);
          sleep(3);
          return done.push(i);
        },
        [0, 1, 2, 3],
      ),
    );
    await expect(mapper).rejects.toThrow("of 1");
    await spawn(() => group.join());
    expect(done).toEqual([0, 3]);
  });

  itFibers("makes no failure unhandled, when several items fail", async () => {
    const program = `
      const { Group, Pool, sleep, spawn } = require("runtime");
      spawn(() => {
        for (const group of [new Group(), new Pool(2)]) {
          try { group.map((i) => { sleep(i); throw new Error("of " + i); }, [1, 2, 3]); } catch (error) { console.log(error.message); }
          group.join();
        }
      });`;
    expect(await run(program)).toEqual(printing("of 1", "of 1"));
  });

  itFibers("mapAsync returns a fiber with the values", async () => {
    expect(await new Group().mapAsync((i) => i + 1, [1, 2])).toEqual([2, 3]);
  });

  itFibers("mapAsync of a full pool does not wait", async () => {
    const pool = new Pool(1);
    const gate = new Event();
    pool.spawn(() => gate.wait());
    const mapped = pool.mapAsync((i) => i + 1, [1, 2]);
    gate.set();
    expect(await mapped).toEqual([2, 3]);
  });
});

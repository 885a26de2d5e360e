import { AsyncResource } from "node:async_hooks";
import {
  BoundedSemaphore,
  Condition,
  Event,
  type Fiber,
  FiberExit,
  RLock,
  Semaphore,
  sleep,
  spawn,
  withTimeout,
} from "runtime";
import { describe, expect, it } from "vitest";
import { describeFibers } from "../../support/fibers";
import { turn } from "../../support/turns";

const forEver = Number.POSITIVE_INFINITY;
const notOwner = expect.objectContaining({ code: "ERR_NOT_OWNER" });

/** Notifies one, and keeps the lock until the gate is open. */
function notifyAndHold(condition: Condition, gate: Event): void {
  condition.runExclusive(() => {
    condition.notify();
    gate.wait();
  });
}

describe("a Condition on the hub's stack", () => {
  it("is a lock", () => {
    const condition = new Condition();
    expect(condition.acquire(0)).toBe(true);
    condition.release();
    expect(condition.runExclusive(() => "inside")).toBe("inside");
  });

  it.each<[string, (condition: Condition) => unknown]>([
    ["wait", (condition) => condition.wait()],
    ["wait(0)", (condition) => condition.wait(0)],
    ["waitFor", (condition) => condition.waitFor(() => false)],
    ["notify", (condition) => condition.notify()],
    ["notifyAll", (condition) => condition.notifyAll()],
  ])("%s without the lock throws ERR_NOT_OWNER", (_, call) => {
    expect(() => call(new Condition())).toThrow(notOwner);
    expect(() => call(new Condition(new Semaphore(1)))).toThrow(notOwner);
  });

  it("notify with nobody waiting does nothing, and is not remembered", () => {
    const condition = new Condition();
    condition.runExclusive(() => condition.notify());
    condition.runExclusive(() => condition.notifyAll());
  });

  it("wait with the lock throws ERR_NOT_IN_FIBER, and the lock is still held", () => {
    const lock = new RLock();
    const condition = new Condition(lock);
    condition.acquire();
    expect(() => condition.wait()).toThrow(expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }));
    expect(lock.owned).toBe(true);
  });

  it("waitFor of what is so already returns it", () => {
    const condition = new Condition();
    expect(condition.runExclusive(() => condition.waitFor(() => "so"))).toBe("so");
  });

  it("is told of a wrong lock", () => {
    expect(() => new Condition({} as never)).toThrow(expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" }));
  });
});

describeFibers("a Condition", () => {
  const locks: [string, () => RLock | Semaphore][] = [
    ["an RLock", () => new RLock()],
    ["a Semaphore", () => new Semaphore(1)],
    ["a BoundedSemaphore", () => new BoundedSemaphore(1)],
  ];

  describe.each(locks)("with %s", (_, makeLock) => {
    it("lets go of the lock while a fiber waits, which has it again when it is notified", async () => {
      const lock = makeLock();
      const condition = new Condition(lock);
      const log: string[] = [];
      const waiter = spawn(() =>
        condition.runExclusive(() => {
          condition.wait();
          log.push(lock.locked ? "woken with the lock" : "woken without the lock");
        }),
      );
      await turn();
      log.push(lock.locked ? "kept" : "let go");
      condition.runExclusive(() => condition.notify());
      await waiter;
      expect(log).toEqual(["let go", "woken with the lock"]);
      expect(lock.locked).toBe(false);
    });

    it("makes a notified fiber wait until the lock is released", async () => {
      const condition = new Condition(makeLock());
      const log: string[] = [];
      const waiter = spawn(() =>
        condition.runExclusive(() => {
          condition.wait();
          log.push("woken");
        }),
      );
      const notifier = spawn(() =>
        condition.runExclusive(() => {
          condition.notify();
          sleep(1);
          log.push("releases");
        }),
      );
      await Promise.all([waiter, notifier]);
      expect(log).toEqual(["releases", "woken"]);
    });

    it("notify wakes the one that has waited longest", async () => {
      const condition = new Condition(makeLock());
      const order: number[] = [];
      const fibers = [0, 1, 2].map((i) =>
        spawn(() =>
          condition.runExclusive(() => {
            condition.wait();
            order.push(i);
          }),
        ),
      );
      await turn();
      for (const i of [0, 1, 2]) {
        condition.runExclusive(() => condition.notify());
        await fibers[i];
      }
      expect(order).toEqual([0, 1, 2]);
    });

    it("notify(2) wakes two, and not the third", async () => {
      const condition = new Condition(makeLock());
      const fibers = [0, 1, 2].map(() => spawn(() => condition.runExclusive(() => condition.wait())));
      await turn();
      condition.runExclusive(() => condition.notify(2));
      await Promise.all(fibers.slice(0, 2));
      await turn();
      expect(fibers.map((fiber) => fiber.dead)).toEqual([true, true, false]);
      condition.runExclusive(() => condition.notify());
      await fibers[2];
    });

    it("notifyAll wakes all who wait, in order, and none who comes later", async () => {
      const condition = new Condition(makeLock());
      const order: number[] = [];
      const waiter = (i: number) =>
        spawn(() =>
          condition.runExclusive(() => {
            condition.wait();
            order.push(i);
          }),
        );
      const fibers = [0, 1, 2].map(waiter);
      await turn();
      condition.runExclusive(() => condition.notifyAll());
      const late = waiter(3);
      await Promise.all(fibers);
      await turn();
      expect([order, late.dead]).toEqual([[0, 1, 2], false]);
      condition.runExclusive(() => condition.notify());
      await late;
    });

    it("wait has the lock again when the time is over", async () => {
      const lock = makeLock();
      const condition = new Condition(lock);
      const seen = await spawn(() => condition.runExclusive(() => [condition.wait(1), lock.locked]));
      expect([seen, lock.locked]).toEqual([[false, true], false]);
    });

    it("wait whose time is over waits for the lock all the same, when somebody else has it", async () => {
      const condition = new Condition(makeLock());
      const log: unknown[] = [];
      const gate = new Event();
      const waiter = spawn(() => condition.runExclusive(() => log.push(condition.wait(1))));
      const other = spawn(() =>
        condition.runExclusive(() => {
          gate.wait();
          log.push("releases");
        }),
      );
      await spawn(() => sleep(10));
      gate.set();
      await Promise.all([waiter, other]);
      expect(log).toEqual(["releases", false]);
    });

    it("wait has the lock again when its fiber is killed", async () => {
      const lock = makeLock();
      const condition = new Condition(lock);
      let held: boolean | undefined;
      const waiter = spawn(() =>
        condition.runExclusive(() => {
          try {
            condition.wait();
          } finally {
            held = lock.locked;
          }
        }),
      );
      await turn();
      waiter.kill();
      expect(await waiter).toBeInstanceOf(FiberExit);
      expect([held, lock.locked]).toEqual([true, false]);
    });

    it("a killed waiter waits for the lock while others have it, and dies then", async () => {
      const condition = new Condition(makeLock());
      const log: string[] = [];
      const gate = new Event();
      const waiter = spawn(() => {
        try {
          condition.runExclusive(() => condition.wait());
        } finally {
          log.push("dies");
        }
      });
      const other = spawn(() =>
        condition.runExclusive(() => {
          gate.wait();
          log.push("releases");
        }),
      );
      await turn();
      waiter.kill();
      await turn();
      expect(waiter.dead).toBe(false);
      gate.set();
      await other;
      expect(await waiter).toBeInstanceOf(FiberExit);
      expect(log).toEqual(["releases", "dies"]);
    });

    it("a waiter that is killed while it takes the lock again dies at its next blocking call", async () => {
      const lock = makeLock();
      const condition = new Condition(lock);
      const log: string[] = [];
      const waiter = spawn(() =>
        condition.runExclusive(() => {
          condition.wait();
          log.push("has the lock");
          sleep(0);
          log.push("not reached");
        }),
      );
      const gate = new Event();
      const notifier = spawn(notifyAndHold, condition, gate);
      await turn();
      await turn();
      waiter.kill();
      gate.set();
      await notifier;
      expect(await waiter).toBeInstanceOf(FiberExit);
      expect([log, lock.locked]).toEqual([["has the lock"], false]);
    });

    it("passes a notification on when the notified one is killed at once", async () => {
      const condition = new Condition(makeLock());
      const [first, second] = [0, 1].map(() => spawn(() => condition.runExclusive(() => condition.wait()))) as [
        Fiber,
        Fiber,
      ];
      await turn();
      condition.runExclusive(() => condition.notify());
      first.kill();
      expect(await first).toBeInstanceOf(FiberExit);
      expect(await second).toBe(true);
    });

    it("passes a notification on to one, not to all", async () => {
      const condition = new Condition(makeLock());
      const fibers = [0, 1, 2].map(() => spawn(() => condition.runExclusive(() => condition.wait())));
      await turn();
      condition.runExclusive(() => condition.notify());
      fibers[0]?.kill();
      await Promise.all(fibers.slice(0, 2));
      await turn();
      expect(fibers[2]?.dead).toBe(false);
      condition.runExclusive(() => condition.notify());
      await fibers[2];
    });

    it("waitFor asks first, and after every notify, until it is so", async () => {
      const condition = new Condition(makeLock());
      let state = 0;
      let asked = 0;
      const waiter = spawn(() =>
        condition.runExclusive(() =>
          condition.waitFor(() => {
            asked++;
            return state === 2 && "two";
          }),
        ),
      );
      await turn();
      for (const i of [1, 2]) {
        condition.runExclusive(() => {
          state = i;
          condition.notify();
        });
        await turn();
      }
      expect([await waiter, asked]).toEqual(["two", 3]);
    });

    it("waitFor holds the lock while it asks", async () => {
      const lock = makeLock();
      const condition = new Condition(lock);
      const held: boolean[] = [];
      let done = false;
      const waiter = spawn(() =>
        condition.runExclusive(() =>
          condition.waitFor(() => {
            held.push(lock.locked);
            return done;
          }),
        ),
      );
      await turn();
      done = true;
      condition.runExclusive(() => condition.notify());
      await waiter;
      expect(held).toEqual([true, true]);
    });

    it("waitFor within 0 ms asks once, and keeps the lock", async () => {
      const condition = new Condition(makeLock());
      const seen = await spawn(() => {
        let asked = 0;
        const value = condition.runExclusive(() => condition.waitFor(() => ++asked < 0, 0));
        return [value, asked];
      });
      expect(seen).toEqual([false, 1]);
    });

    it("waitFor passes on what the predicate throws, with the lock held", async () => {
      const lock = makeLock();
      const condition = new Condition(lock);
      const fiber = spawn(() =>
        condition.runExclusive(() =>
          condition.waitFor(() => {
            throw new Error("own");
          }),
        ),
      );
      await expect(fiber).rejects.toThrow("own");
      expect(lock.locked).toBe(false);
    });

    it("a timeout around wait leaves it with the lock", async () => {
      const lock = makeLock();
      const condition = new Condition(lock);
      const seen = await spawn(() =>
        condition.runExclusive(() => [withTimeout(1, () => condition.wait(), "timed out"), lock.locked]),
      );
      expect([seen, lock.locked]).toEqual([["timed out", true], false]);
    });
  });

  it("with an RLock that is held several times lets go of it altogether, and has it as often again", async () => {
    const lock = new RLock();
    const condition = new Condition(lock);
    const log: unknown[] = [];
    const waiter = spawn(() => {
      lock.acquire();
      lock.acquire();
      lock.acquire();
      condition.wait();
      for (let i = 0; i < 3; i++) {
        log.push(lock.owned);
        lock.release();
      }
    });
    await turn();
    expect(lock.locked).toBe(false);
    condition.runExclusive(() => condition.notify());
    await waiter;
    expect([log, lock.locked]).toEqual([[true, true, true], false]);
  });

  it("killed, has the RLock as often again, too", async () => {
    const lock = new RLock();
    const condition = new Condition(lock);
    const waiter = spawn(() => lock.runExclusive(() => lock.runExclusive(() => condition.wait())));
    await turn();
    waiter.kill();
    expect(await waiter).toBeInstanceOf(FiberExit);
    expect(lock.locked).toBe(false);
  });

  it("a waiter that is killed while it takes the lock again inside runInAsyncScope dies after it", async () => {
    const condition = new Condition();
    const waiter = spawn(() => {
      new AsyncResource("TEST").runInAsyncScope(() => condition.runExclusive(() => condition.wait()));
      sleep(forEver);
    });
    const gate = new Event();
    const notifier = spawn(notifyAndHold, condition, gate);
    await turn();
    await turn();
    waiter.kill();
    gate.set();
    await notifier;
    expect(await waiter).toBeInstanceOf(FiberExit);
  });

  it("wait in a fiber that does not hold the lock throws ERR_NOT_OWNER, though another one holds it", async () => {
    const condition = new Condition();
    const owner = spawn(() => condition.runExclusive(() => sleep(1e8)));
    await turn();
    await expect(spawn(() => condition.wait())).rejects.toMatchObject({ code: "ERR_NOT_OWNER" });
    owner.kill();
    await owner;
  });

  it("several conditions of one lock are told apart", async () => {
    const lock = new RLock();
    const [full, empty] = [new Condition(lock), new Condition(lock)];
    const [first, second] = [full, empty].map((condition) =>
      spawn(() => condition.runExclusive(() => condition.wait())),
    ) as [Fiber, Fiber];
    await turn();
    empty.runExclusive(() => empty.notify());
    await second;
    expect(first.dead).toBe(false);
    full.runExclusive(() => full.notify());
    await first;
  });

  it("carries items from many producers to many consumers, each once", async () => {
    const condition = new Condition();
    const items: number[] = [];
    const got: number[] = [];
    const consumers = [0, 1, 2].map(() =>
      spawn(() => {
        for (let i = 0; i < 20; i++) {
          condition.runExclusive(() => {
            condition.waitFor(() => items.length > 0);
            got.push(items.shift() as number);
          });
        }
      }),
    );
    const producers = [0, 1, 2, 3].map((p) =>
      spawn(() => {
        for (let i = 0; i < 15; i++) {
          condition.runExclusive(() => {
            items.push(p * 15 + i);
            condition.notify();
          });
          if (i % 4 === p) sleep(0);
        }
      }),
    );
    await Promise.all([...consumers, ...producers]);
    expect(got.sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, i) => i));
  });
});

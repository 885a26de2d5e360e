import {
  AsyncResult,
  Event,
  Fiber,
  FiberExit,
  iwait,
  joinAll,
  killAll,
  Semaphore,
  sleep,
  spawn,
  Timeout,
  wait,
  waitAll,
} from "runtime";
import { describe, expect, it } from "vitest";
import { deferred } from "../../support/deferred";
import { describeFibers, itFibers } from "../../support/fibers";
import { printing, run } from "../../support/run";
import { thenable } from "../../support/thenable";
import { turn } from "../../support/turns";

/** Runs until it is killed, and then as long as the gate is closed. */
function unwindsAfter(gate: Event): void {
  try {
    sleep(1e8);
  } finally {
    gate.wait();
  }
}

function setEvent(): Event {
  const event = new Event();
  event.set();
  return event;
}

/** Counts the links that are there. */
class WatchedEvent extends Event {
  links = 0;
  override link(link: Parameters<Event["link"]>[0]): void {
    this.links++;
    super.link(link as never);
  }
  override unlink(link: Parameters<Event["unlink"]>[0]): void {
    this.links--;
    super.unlink(link as never);
  }
}

const suspended = () => spawn(() => sleep(1e8));
const failing = (error: Error) =>
  spawn(() => {
    throw error;
  });

describe("iwait without fibers", () => {
  it("yields what is ready, in the order given", () => {
    const events = [setEvent(), setEvent()];
    expect([...iwait(events)]).toEqual(events);
  });

  it("of nothing ends at once", () => {
    expect([...iwait([])]).toEqual([]);
    expect(waitAll([])).toEqual([]);
    expect(joinAll([])).toEqual([]);
  });

  it("throws ERR_NOT_IN_FIBER where it would wait", () => {
    expect(() => iwait([new Event()]).next()).toThrow(expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }));
  });

  it("within 0 ms yields what is ready, and ends", () => {
    const ready = setEvent();
    expect(waitAll([new Event(), ready, new Event()], { timeout: 0 })).toEqual([ready]);
  });

  it("waits for none of 0", () => {
    expect(waitAll([new Event(), setEvent()], { count: 0 })).toEqual([]);
  });
});

describe("iwait", () => {
  itFibers("yields in the order in which they become ready", async () => {
    const events = [new Event(), new Event(), new Event()] as const;
    const seen: number[] = [];
    const fiber = spawn(() => {
      for (const event of iwait(events)) seen.push(events.indexOf(event));
    });
    for (const i of [2, 0, 1]) {
      await turn();
      events[i]?.set();
    }
    await fiber;
    expect(seen).toEqual([2, 0, 1]);
  });

  itFibers("yields each as soon as it is ready, while others are not", async () => {
    const [first, second] = [new Event(), new Event()];
    const log: string[] = [];
    const fiber = spawn(() => {
      for (const event of iwait([first, second])) log.push(event === first ? "first" : "second");
    });
    await turn();
    second.set();
    await turn();
    expect(log).toEqual(["second"]);
    first.set();
    await fiber;
  });

  itFibers("yields at once what is ready, before what is not", async () => {
    const [late, ready] = [new Event(), setEvent()];
    const fiber = spawn(() => [...iwait([late, ready])]);
    await turn();
    late.set();
    expect(await fiber).toEqual([ready, late]);
  });

  itFibers("takes fibers, events, results, semaphores, promises and thenables together", async () => {
    const gate = deferred();
    const objects = [
      spawn(() => "value"),
      setEvent(),
      new AsyncResult(),
      new Semaphore(0),
      gate.promise,
      thenable<void>((resolve) => setImmediate(resolve)),
    ] as const;
    const fiber = spawn(() => waitAll(objects));
    await turn();
    objects[2].set(1);
    objects[3].release();
    gate.resolve();
    const seen = await fiber;
    expect([seen.length, objects.every((object) => seen.includes(object as never))]).toEqual([6, true]);
    expect(objects[3].counter).toBe(1);
  });

  itFibers("yields what failed, and throws nothing", async () => {
    const seen = await spawn(() => {
      const result = new AsyncResult();
      result.setException(new Error("of the result"));
      return waitAll([failing(new Error("of the fiber")), result, Promise.reject(new Error("of the promise"))]);
    });
    expect(seen.length).toBe(3);
  });

  itFibers("makes failures of fibers and promises no unhandled rejections", async () => {
    const program = `
      const { spawn, sleep, waitAll } = require("runtime");
      spawn(() => {
        const fails = () => { throw new Error("own"); };
        const later = new Promise((_, reject) => setTimeout(reject, 2, new Error("later")));
        console.log(waitAll([spawn(fails), Promise.reject(new Error("now")), later]).length);
        console.log(waitAll([spawn(() => { sleep(2); fails(); }), spawn(() => {})], { count: 1 }).length);
      });`;
    expect(await run(program)).toEqual(printing("3", "1"));
  });

  itFibers("yields no more than count", async () => {
    const events = [new Event(), setEvent(), setEvent()];
    expect(await spawn(() => [...iwait(events, { count: 2 })])).toEqual(events.slice(1));
  });

  itFibers("with a count beyond what there is yields all", async () => {
    expect((await spawn(() => waitAll([setEvent()], { count: 5 }))).length).toBe(1);
  });

  itFibers("ends when the time is over, which is for all of them together", async () => {
    const events = Array.from({ length: 1000 }, () => new Event());
    const seen = await spawn(() => {
      const setter = spawn(() => {
        for (const event of events) {
          sleep(2);
          event.set();
        }
      });
      const ready = waitAll(events, { timeout: 20 });
      setter.kill();
      return ready;
    });
    expect(seen.length).toBeLessThan(1000);
    expect(seen).toEqual(events.slice(0, seen.length));
  });

  itFibers("takes its links back at its end", async () => {
    const [ready, late] = [new WatchedEvent(), new WatchedEvent()];
    const fiber = spawn(() => waitAll([ready, late], { count: 1 }));
    await turn();
    expect([ready.links, late.links]).toEqual([1, 1]);
    ready.set();
    await fiber;
    expect(late.links).toBe(0);
  });

  itFibers("takes its links back when the loop is left early", async () => {
    const [ready, late] = [new WatchedEvent(), new WatchedEvent()];
    ready.set();
    await spawn(() => {
      for (const _ of iwait([ready, late])) break;
    });
    expect(late.links).toBe(0);
  });

  itFibers("takes its links back when its fiber is killed, the time is over or the signal is aborted", async () => {
    const event = new WatchedEvent();
    const controller = new AbortController();
    const [killed, aborted] = [
      spawn(() => waitAll([event])),
      spawn(() => waitAll([event], { signal: controller.signal })),
      spawn(() => waitAll([event], { timeout: 1 })),
    ] as const;
    await turn();
    killed.kill();
    aborted.link(() => {});
    controller.abort();
    await killed;
    await expect(aborted).rejects.toMatchObject({ name: "AbortError" });
    await spawn(() => waitAll([event], { timeout: 5 }));
    expect(event.links).toBe(0);
  });

  it("links to nothing before its first step", () => {
    const event = new WatchedEvent();
    iwait([event]);
    expect(event.links).toBe(0);
  });

  itFibers("counts an event that was set and cleared at once", async () => {
    const event = new Event();
    const fiber = spawn(() => waitAll([event]));
    await turn();
    event.set();
    event.clear();
    expect(await fiber).toEqual([event]);
  });
});

describeFibers("joinAll", () => {
  it("returns all fibers, in the order in which they ended", async () => {
    const gates = [new Event(), new Event(), new Event()];
    const fibers = gates.map((gate) => spawn(() => gate.wait()));
    const joiner = spawn(() => joinAll(fibers).map((fiber) => fibers.indexOf(fiber)));
    for (const i of [1, 2, 0]) {
      await turn();
      gates[i]?.set();
    }
    expect(await joiner).toEqual([1, 2, 0]);
  });

  it("throws no failure by default, nor is it unhandled", async () => {
    expect(await spawn(() => joinAll([failing(new Error("own"))]).length)).toBe(1);
  });

  it("with raiseError throws the failure that came first, and waits for nobody else", async () => {
    const error = new Error("first");
    const other = suspended();
    const gate = new Event();
    const late = spawn(() => {
      gate.wait();
      throw new Error("second");
    });
    const joiner = spawn(() => joinAll([other, late, failing(error)], { raiseError: true }));
    await expect(joiner).rejects.toBe(error);
    expect([other.dead, late.dead]).toEqual([false, false]);
    gate.set();
    other.kill();
    await spawn(() => joinAll([other, late]));
  });

  it("with raiseError does not take a kill for a failure", async () => {
    const fiber = suspended();
    const joiner = spawn(() => joinAll([fiber], { raiseError: true }));
    await turn();
    fiber.kill();
    expect(await joiner).toEqual([fiber]);
  });

  it("waits for no more than count", async () => {
    const [quick, slow] = [spawn(() => {}), suspended()];
    expect(await spawn(() => joinAll<Fiber>([slow as Fiber, quick as Fiber], { count: 1 }))).toEqual([quick]);
    slow.kill();
    await slow;
  });

  it("returns those that have ended when the time is over", async () => {
    const [quick, slow] = [spawn(() => {}), suspended()];
    expect(await spawn(() => joinAll<Fiber>([slow as Fiber, quick as Fiber], { timeout: 5 }))).toEqual([quick]);
    slow.kill();
    await slow;
  });

  it("waits for fibers that are not started yet, too", async () => {
    const fiber = new Fiber(() => "late");
    const joiner = spawn(() => joinAll([fiber]).length);
    await turn();
    expect(joiner.dead).toBe(false);
    fiber.start();
    expect(await joiner).toBe(1);
  });
});

describe("killAll", () => {
  itFibers("throws once into a fiber that is named twice", async () => {
    const log: unknown[] = [];
    const fiber = spawn(() => {
      for (let left = 2; left > 0; left--) {
        try {
          sleep(5);
        } catch (error) {
          log.push(error);
        }
      }
    });
    const error = new Error("once");
    await spawn(() => {
      sleep(0);
      killAll([fiber, fiber], error, { block: false });
    });
    await fiber;
    expect(log).toEqual([error]);
  });

  itFibers("in a fiber waits until all have ended", async () => {
    const log: number[] = [];
    const fibers = [0, 1, 2].map((i) =>
      spawn(() => {
        try {
          sleep(1e8);
        } finally {
          sleep(1);
          log.push(i);
        }
      }),
    );
    await turn();
    await spawn(() => {
      killAll(fibers);
      log.push(-1);
    });
    expect(log).toEqual([0, 1, 2, -1]);
  });

  itFibers("kills all at once: the first one's end is not waited for before the second is killed", async () => {
    const log: string[] = [];
    const fibers = [0, 1].map((i) =>
      spawn(() => {
        try {
          sleep(1e8);
        } finally {
          log.push(`begins ${i}`);
          sleep(1);
          log.push(`ends ${i}`);
        }
      }),
    );
    await turn();
    await spawn(() => killAll(fibers));
    expect(log).toEqual(["begins 0", "begins 1", "ends 0", "ends 1"]);
  });

  itFibers("does not wait when told not to", async () => {
    const fibers = [suspended(), suspended()];
    await turn();
    const dead = await spawn(() => {
      killAll(fibers, undefined, { block: false });
      return fibers.map((fiber) => fiber.dead);
    });
    expect(dead).toEqual([false, false]);
    await Promise.all(fibers);
  });

  itFibers("on the hub's stack does not wait", async () => {
    const fibers = [suspended(), suspended()];
    await turn();
    killAll(fibers);
    expect(fibers.map((fiber) => fiber.dead)).toEqual([false, false]);
    const values = await Promise.all(fibers);
    expect(values.map((value) => (value as unknown) instanceof FiberExit)).toEqual([true, true]);
  });

  itFibers("on the hub's stack refuses to wait when told to", async () => {
    const fiber = suspended();
    await turn();
    expect(() => killAll([fiber], undefined, { block: true })).toThrow(
      expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }),
    );
    await fiber;
  });

  itFibers("throws a Timeout when they have not all ended in time", async () => {
    const gate = new Event();
    const stubborn = spawn(unwindsAfter, gate);
    await turn();
    await expect(spawn(() => killAll([stubborn], undefined, { timeout: 1 }))).rejects.toThrow(Timeout);
    gate.set();
    await stubborn;
  });

  itFibers("throws an AbortError when its signal is aborted first", async () => {
    const gate = new Event();
    const stubborn = spawn(unwindsAfter, gate);
    const controller = new AbortController();
    await turn();
    const killer = spawn(() => killAll([stubborn], undefined, { signal: controller.signal }));
    killer.link(() => {});
    await turn();
    controller.abort();
    await expect(killer).rejects.toMatchObject({ name: "AbortError" });
    gate.set();
    await stubborn;
  });

  itFibers("throws the error that it is given into all, which are no unhandled failures when it waits", async () => {
    const error = new Error("own");
    const fibers = [suspended(), suspended()];
    await turn();
    await spawn(() => killAll(fibers, error));
    expect(fibers.map((fiber) => fiber.exception)).toEqual([error, error]);
  });

  itFibers("gives each fiber a FiberExit of its own", async () => {
    const fibers = [suspended(), suspended()];
    await turn();
    await spawn(() => killAll(fibers));
    const [first, second] = fibers.map((fiber) => fiber.value) as unknown[];
    expect([first instanceof FiberExit, first === second]).toEqual([true, false]);
  });

  itFibers("lets fibers that have not begun, or were not even started, never run", async () => {
    let ran = false;
    const body = () => {
      ran = true;
    };
    const fibers = await spawn(() => {
      const fibers = [spawn(body), new Fiber(body)];
      killAll(fibers);
      return fibers;
    });
    fibers[1]?.start();
    await turn();
    expect([ran, fibers.map((fiber) => fiber.dead)]).toEqual([false, [true, true]]);
  });

  itFibers("kills the running fiber last, when it is among them", async () => {
    const others = [suspended(), suspended()];
    await turn();
    let after = false;
    const killer: Fiber = spawn(() => {
      killAll([killer, ...others] as Fiber[]);
      after = true;
    }) as Fiber;
    expect(await killer).toBeInstanceOf(FiberExit);
    await Promise.all(others);
    expect([after, others.map((fiber) => fiber.dead)]).toEqual([false, [true, true]]);
  });

  itFibers("of fibers that have ended does nothing", async () => {
    const fiber = spawn(() => "done");
    await fiber;
    await spawn(() => killAll([fiber]));
    expect(fiber.value).toBe("done");
  });

  it("of nobody does nothing", () => {
    killAll([]);
  });

  itFibers("of a fiber that waits for another of them ends both", async () => {
    const first = suspended();
    const second = spawn(() => first.join());
    await turn();
    await spawn(() => killAll([first, second] as Fiber[]));
    expect([first.dead, second.dead]).toEqual([true, true]);
  });

  itFibers("takes any iterable", async () => {
    const fibers = new Set([suspended(), suspended()]);
    await turn();
    await spawn(() => killAll(fibers));
    expect([...fibers].map((fiber) => fiber.dead)).toEqual([true, true]);
  });
});

describeFibers("wait", () => {
  it("of a Timeout lets its time pass", async () => {
    const timeout = new Timeout(1);
    expect(await spawn(() => wait(timeout))).toBe(timeout);
  });
});

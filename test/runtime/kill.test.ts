import { AsyncResource } from "node:async_hooks";
import { Event, Fiber, FiberExit, sleep, spawn, wait } from "runtime";
import { expect, it } from "vitest";
import { deferred } from "../support/deferred";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";
import { turn } from "../support/turns";

const forEver = Number.POSITIVE_INFINITY;

/** What `call` throws, three times. */
function thrice(call: () => void): unknown[] {
  const seen: unknown[] = [];
  for (let i = 0; i < 3; i++) {
    try {
      call();
    } catch (error) {
      seen.push(error);
    }
  }
  return seen;
}

describeFibers("kill", () => {
  it("of a fiber that has not begun to run lets it never run", async () => {
    let ran = false;
    const fiber = spawn(() => {
      ran = true;
    });
    fiber.kill();
    await fiber;
    expect(ran).toBe(false);
  });

  it("of a fiber that was not even started lets it never run", async () => {
    let ran = false;
    const fiber = new Fiber(() => {
      ran = true;
    });
    fiber.kill();
    await fiber;
    fiber.start();
    await turn();
    expect(ran).toBe(false);
  });

  it("runs the finally blocks of a suspended fiber, innermost first", async () => {
    const log: string[] = [];
    const fiber = spawn(() => {
      try {
        try {
          sleep(forEver);
        } finally {
          log.push("inner");
        }
      } finally {
        log.push("outer");
      }
    });
    await turn();
    fiber.kill();
    await fiber;
    expect(log).toEqual(["inner", "outer"]);
  });

  it("throws a FiberExit at the call that was suspended", async () => {
    const fiber = spawn(() => {
      try {
        sleep(forEver);
      } catch (error) {
        return error;
      }
    });
    await turn();
    fiber.kill();
    expect(await fiber).toBeInstanceOf(FiberExit);
  });

  it("is no failure: the fiber is successful and has the FiberExit as its value", async () => {
    const fiber = spawn(() => sleep(forEver));
    await turn();
    fiber.kill();
    await fiber;
    expect([fiber.dead, fiber.successful, fiber.exception]).toEqual([true, true, undefined]);
    expect(fiber.value).toBeInstanceOf(FiberExit);
  });

  it("with an error of one's own throws that, and the fiber fails with it", async () => {
    const error = new Error("own");
    const fiber = spawn(() => sleep(forEver));
    await turn();
    fiber.kill(error);
    await expect(fiber).rejects.toBe(error);
    expect(fiber.exception).toBe(error);
  });

  it("with an error of one's own before the start is the outcome, too", async () => {
    const error = new Error("own");
    const fiber = spawn(() => {});
    fiber.kill(error);
    await expect(fiber).rejects.toBe(error);
  });

  it("in a fiber waits until the other one has ended", async () => {
    const log: string[] = [];
    const other = spawn(() => {
      try {
        sleep(forEver);
      } finally {
        sleep(5);
        log.push("unwound");
      }
    });
    await spawn(() => {
      sleep(0);
      other.kill();
      log.push("killed");
    });
    expect(log).toEqual(["unwound", "killed"]);
  });

  it("does not wait when told not to", async () => {
    const other = spawn(() => sleep(forEver));
    const dead = await spawn(() => {
      sleep(0);
      other.kill(undefined, { block: false });
      return other.dead;
    });
    expect(dead).toBe(false);
    await other;
    expect(other.dead).toBe(true);
  });

  it("waits no longer than its timeout", async () => {
    const gate = deferred();
    const other = spawn(() => {
      try {
        sleep(forEver);
      } finally {
        wait(gate.promise);
      }
    });
    const dead = await spawn(() => {
      sleep(0);
      other.kill(undefined, { timeout: 5 });
      return other.dead;
    });
    expect(dead).toBe(false);
    gate.resolve();
    await other;
  });

  it("on the hub's stack does not wait", async () => {
    const other = spawn(() => sleep(forEver));
    await turn();
    other.kill();
    expect(other.dead).toBe(false);
    await other;
  });

  it("on the hub's stack refuses to wait when told to", async () => {
    const other = spawn(() => sleep(forEver));
    await turn();
    expect(() => other.kill(undefined, { block: true })).toThrow(expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }));
    await other;
  });

  it("of a dead fiber does nothing", async () => {
    const fiber = spawn(() => "done");
    await fiber;
    fiber.kill();
    await spawn(() => fiber.kill());
    expect([fiber.value, fiber.successful]).toEqual(["done", true]);
  });

  it("of the running fiber throws right there", async () => {
    let after = false;
    const fiber = spawn(() => {
      (Fiber.current as Fiber).kill();
      after = true;
    });
    expect(await fiber).toBeInstanceOf(FiberExit);
    expect(after).toBe(false);
  });

  it("that is caught lets the fiber go on", async () => {
    const fiber = spawn(() => {
      try {
        sleep(forEver);
      } catch {
        sleep(1);
        return "still here";
      }
    });
    await turn();
    fiber.kill();
    expect(await fiber).toBe("still here");
  });

  it("of a fiber that joins stops the join alone: the joined fiber goes on", async () => {
    const gate = deferred<string>();
    const joined = spawn(() => wait(gate.promise));
    const joiner = spawn(() => joined.join());
    await turn();
    joiner.kill();
    expect(await joiner).toBeInstanceOf(FiberExit);
    gate.resolve("went on");
    expect(await joined).toBe("went on");
  });

  it("wakes who joins the killed one", async () => {
    const killed = spawn(() => sleep(forEver));
    const joiner = spawn(() => killed.join());
    await turn();
    killed.kill();
    expect(await joiner).toBe(true);
  });

  it("by each other at once ends both", async () => {
    const fibers: Fiber[] = [0, 1].map((i) =>
      spawn(() => {
        sleep(0);
        (fibers[1 - i] as Fiber).kill();
      }),
    );
    await Promise.all(fibers);
    expect(fibers.map((fiber) => fiber.dead)).toEqual([true, true]);
  });

  it("wins over an operation that has completed but not resumed the fiber yet", async () => {
    const event = new Event();
    const log: string[] = [];
    const fiber = spawn(() => {
      try {
        event.wait();
        log.push("completed");
      } finally {
        log.push("unwound");
      }
    });
    spawn(() => {
      event.set(); // makes `fiber` ready, and it has not had its turn yet
      fiber.kill();
    });
    expect(await fiber).toBeInstanceOf(FiberExit);
    expect(log).toEqual(["unwound"]);
  });

  it("makes a completion that comes later go nowhere", async () => {
    const gate = deferred<string>();
    const log: unknown[] = [];
    const fiber = spawn(() => {
      try {
        wait(gate.promise);
      } catch {
        log.push("killed");
      }
      const next = spawn(() => "of the next call");
      log.push(next.get());
    });
    await turn();
    fiber.kill();
    gate.resolve("late");
    await fiber;
    expect(log).toEqual(["killed", "of the next call"]);
  });

  it("cancels the timer of a sleep, so that it does not keep the process", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      const fiber = spawn(() => sleep(1e8));
      setImmediate(() => fiber.kill());`;
    expect(await run(program)).toEqual(printing());
  });

  it("reaches a fiber that is inside runInAsyncScope", async () => {
    const log: string[] = [];
    const fiber = spawn(() => {
      try {
        new AsyncResource("TEST").runInAsyncScope(() => {
          try {
            sleep(forEver);
          } finally {
            log.push("inside");
          }
        });
      } finally {
        log.push("outside");
      }
    });
    await turn();
    fiber.kill();
    expect(await fiber).toBeInstanceOf(FiberExit);
    expect(log).toEqual(["inside", "outside"]);
  });
});

describeFibers("throw", () => {
  it("makes the error appear at the suspended call", async () => {
    const error = new Error("thrown in");
    const fiber = spawn(() => {
      try {
        sleep(forEver);
      } catch (caught) {
        return caught;
      }
    });
    await turn();
    fiber.throw(error);
    expect(await fiber).toBe(error);
  });

  it("does not wait, not even in a fiber", async () => {
    const other = spawn(() => sleep(forEver));
    const dead = await spawn(() => {
      sleep(0);
      other.throw(new FiberExit());
      return other.dead;
    });
    expect(dead).toBe(false);
    await other;
  });

  it("several times in a row makes each appear, in order, at one suspension each", async () => {
    const fiber = spawn(() => thrice(() => sleep(forEver)));
    await turn();
    for (const what of ["first", "second", "third"]) fiber.throw(what);
    expect(await fiber).toEqual(["first", "second", "third"]);
  });

  it("before the first run is the fiber's outcome, and the first of several is", async () => {
    const fiber = spawn(() => "not reached");
    fiber.throw(new Error("first"));
    fiber.throw(new Error("second"));
    await expect(fiber).rejects.toThrow("first");
  });

  it("into the running fiber throws right there", async () => {
    const fiber: Fiber<unknown> = spawn(() => {
      try {
        fiber.throw("here");
      } catch (caught) {
        return caught;
      }
    });
    expect(await fiber).toBe("here");
  });

  it("into a dead fiber does nothing", async () => {
    const fiber = spawn(() => "done");
    await fiber;
    fiber.throw(new Error("late"));
    await turn();
    expect(fiber.value).toBe("done");
  });

  it("several times into a fiber that is inside runInAsyncScope makes none be lost when that ends", async () => {
    const fiber = spawn(() => thrice(() => new AsyncResource("TEST").runInAsyncScope(() => sleep(forEver))));
    await turn();
    for (const what of ["first", "second", "third"]) fiber.throw(what);
    expect(await fiber).toEqual(["first", "second", "third"]);
  });

  it("several times into a fiber inside runInAsyncScope: the call's own outcome comes before the second", async () => {
    const fiber = spawn(() => {
      const value = new AsyncResource("TEST").runInAsyncScope(() => {
        try {
          sleep(forEver);
        } catch (error) {
          return error;
        }
      });
      try {
        sleep(forEver);
      } catch (error) {
        return [value, error];
      }
    });
    await turn();
    fiber.throw("first");
    fiber.throw("second");
    expect(await fiber).toEqual(["first", "second"]);
  });

  it("reaches a fiber that is inside nested runInAsyncScope calls, at the innermost", async () => {
    const fiber = spawn(() =>
      new AsyncResource("OUTER").runInAsyncScope(() =>
        new AsyncResource("INNER").runInAsyncScope(() => {
          try {
            sleep(forEver);
          } catch (error) {
            return `inside: ${error}`;
          }
        }),
      ),
    );
    await turn();
    fiber.throw("thrown in");
    expect(await fiber).toBe("inside: thrown in");
  });
});

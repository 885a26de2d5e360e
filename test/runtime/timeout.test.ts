import { AsyncResource } from "node:async_hooks";
import { sleep, spawn, Timeout, wait, withTimeout } from "runtime";
import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

const forEver = Number.POSITIVE_INFINITY;

describeFibers("withTimeout", () => {
  it("returns what the function returns in time", async () => {
    expect(
      await spawn(() =>
        withTimeout(1000, () => {
          sleep(1);
          return "in time";
        }),
      ),
    ).toBe("in time");
  });

  it("throws a Timeout when the time is over first", async () => {
    await expect(spawn(() => withTimeout(5, () => sleep(forEver)))).rejects.toThrow(Timeout);
  });

  it("returns the fallback instead, if there is one, and even if that is undefined", async () => {
    expect(await spawn(() => withTimeout(5, () => sleep(forEver), "fallback"))).toBe("fallback");
    expect(await spawn(() => withTimeout(5, () => sleep(forEver), undefined))).toBe(undefined);
  });

  it("throws what the function throws", async () => {
    await expect(
      spawn(() =>
        withTimeout(
          1000,
          () => {
            throw new Error("own");
          },
          "fallback",
        ),
      ),
    ).rejects.toThrow("own");
  });

  it("runs the function's finally blocks", async () => {
    const log: string[] = [];
    await spawn(() =>
      withTimeout(
        5,
        () => {
          try {
            sleep(forEver);
          } finally {
            log.push("finally");
          }
        },
        null,
      ),
    );
    expect(log).toEqual(["finally"]);
  });

  it("nested: the inner one that expires is the inner call's affair", async () => {
    expect(
      await spawn(() => withTimeout(10_000, () => [withTimeout(5, () => sleep(forEver), "inner")], "outer")),
    ).toEqual(["inner"]);
  });

  it("nested: the outer one that expires passes through the inner call", async () => {
    expect(await spawn(() => withTimeout(5, () => [withTimeout(10_000, () => sleep(forEver), "inner")], "outer"))).toBe(
      "outer",
    );
  });

  it("nested: two that expire together throw once, not again at a later call", async () => {
    const log = await spawn(() => {
      const outcome = withTimeout(5, () => withTimeout(5, () => sleep(forEver), "inner"), "outer");
      sleep(20);
      return ["inner", "outer"].includes(outcome as string);
    });
    expect(log).toBe(true);
  });

  it("leaves no timer behind", async () => {
    const program = `
      const { spawn, withTimeout } = require("runtime");
      spawn(() => console.log(withTimeout(1e8, () => "value")));`;
    expect(await run(program, { timeout: 20_000 })).toEqual(printing("value"));
  });

  it("reaches the fiber inside runInAsyncScope", async () => {
    const value = await spawn(() =>
      withTimeout(5, () => new AsyncResource("TEST").runInAsyncScope(() => sleep(forEver)), "fallback"),
    );
    expect(value).toBe("fallback");
  });

  it("works for a start inside runInAsyncScope", async () => {
    const value = await spawn(() =>
      new AsyncResource("TEST").runInAsyncScope(() => withTimeout(5, () => sleep(forEver), "fallback")),
    );
    expect(value).toBe("fallback");
  });

  it("on the hub's stack throws ERR_NOT_IN_FIBER", () => {
    expect(() => withTimeout(1, () => {})).toThrow(expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }));
  });
});

describeFibers("Timeout", () => {
  it("throws itself into the fiber that started it, and can be told from others", async () => {
    const same = await spawn(() => {
      const timeout = Timeout.start(5);
      try {
        sleep(forEver);
      } catch (error) {
        return error === timeout;
      }
    });
    expect(same).toBe(true);
  });

  it("throws another error in its place, if it is given one", async () => {
    const error = new Error("in its place");
    const caught = await spawn(() => {
      Timeout.start(5, error);
      try {
        sleep(forEver);
      } catch (thrown) {
        return thrown;
      }
    });
    expect(caught).toBe(error);
  });

  it("throws nothing once it is cancelled", async () => {
    expect(
      await spawn(() => {
        const timeout = Timeout.start(5);
        timeout.cancel();
        sleep(20);
        return timeout.pending;
      }),
    ).toBe(false);
  });

  it("is pending from its start until it expires", async () => {
    const seen = await spawn(() => {
      const timeout = new Timeout(5);
      const seen = [timeout.pending];
      timeout.start();
      seen.push(timeout.pending);
      try {
        sleep(forEver);
      } catch {}
      seen.push(timeout.pending);
      return seen;
    });
    expect(seen).toEqual([false, true, false]);
  });

  it("begins anew when it is started again", async () => {
    expect(
      await spawn(() => {
        const timeout = Timeout.start(30);
        for (let i = 0; i < 4; i++) {
          sleep(15);
          timeout.start();
        }
        timeout.cancel();
        return "never expired";
      }),
    ).toBe("never expired");
  });

  it("without end never expires, and keeps no process", async () => {
    const program = `
      const { spawn, sleep, Timeout } = require("runtime");
      spawn(() => { const timeout = Timeout.start(Infinity); sleep(5); console.log(timeout.pending); });`;
    expect(await run(program)).toEqual(printing("true"));
  });

  it("is cancelled at the end of a block that uses it", async () => {
    expect(
      await spawn(() => {
        const timeout = Timeout.start(5);
        timeout[Symbol.dispose]();
        sleep(20);
        return "went on";
      }),
    ).toBe("went on");
  });

  it("lets others of the same fiber go on after it has expired", async () => {
    const order = await spawn(() => {
      const [first, second] = [Timeout.start(5), Timeout.start(15)];
      const order: string[] = [];
      for (let i = 0; i < 2; i++) {
        try {
          sleep(forEver);
        } catch (error) {
          order.push(error === first ? "first" : error === second ? "second" : "another");
        }
      }
      return order;
    });
    expect(order).toEqual(["first", "second"]);
  });

  it("is no concern of a fiber that another one joins", async () => {
    const log: string[] = [];
    const other = spawn(() => {
      sleep(20);
      log.push("other ended");
    });
    await spawn(() => withTimeout(5, () => other.join(), log.push("timed out")));
    await other;
    expect(log).toEqual(["timed out", "other ended"]);
  });

  it("that has expired before a blocking call of a busy fiber throws at that call", async () => {
    const thrown = await spawn(() => {
      const timeout = Timeout.start(1);
      const end = performance.now() + 10;
      while (performance.now() < end);
      try {
        wait(new Promise((resolve) => setTimeout(resolve, 50)));
        return false;
      } catch (error) {
        return error === timeout;
      }
    });
    expect(thrown).toBe(true);
  });

  it("on the hub's stack does not start", () => {
    expect(() => Timeout.start(1)).toThrow(expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }));
  });
});

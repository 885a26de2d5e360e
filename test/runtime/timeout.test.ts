import { AsyncResource } from "node:async_hooks";
import { getEventListeners } from "node:events";
import { sleep, spawn, Timeout, wait, withTimeout } from "runtime";
import { describe, expect, it } from "vitest";
import { itFibers } from "../support/fibers";
import { printing, run } from "../support/run";
import { turn } from "../support/turns";

const forEver = Number.POSITIVE_INFINITY;

describe("withTimeout", () => {
  itFibers("returns what the function returns in time", async () => {
    expect(
      await spawn(() =>
        withTimeout(1000, () => {
          sleep(1);
          return "in time";
        }),
      ),
    ).toBe("in time");
  });

  itFibers("throws a Timeout when the time is over first", async () => {
    await expect(spawn(() => withTimeout(5, () => sleep(forEver)))).rejects.toThrow(Timeout);
  });

  itFibers("returns the fallback instead, if there is one, and even if that is undefined", async () => {
    expect(await spawn(() => withTimeout(5, () => sleep(forEver), "fallback"))).toBe("fallback");
    expect(await spawn(() => withTimeout(5, () => sleep(forEver), undefined))).toBe(undefined);
  });

  itFibers("throws what the function throws", async () => {
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

  itFibers("returns the fallback also when the signal is aborted already, and does not call the function", async () => {
    let called = false;
    const fn = () => {
      called = true;
    };
    expect(await spawn(() => withTimeout(AbortSignal.abort(), fn, "fallback"))).toBe("fallback");
    await expect(spawn(() => withTimeout(AbortSignal.abort(), fn))).rejects.toMatchObject({ code: "ABORT_ERR" });
    expect(called).toBe(false);
  });

  itFibers("runs the function's finally blocks", async () => {
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

  itFibers("nested: the inner one that expires is the inner call's affair", async () => {
    expect(
      await spawn(() => withTimeout(10_000, () => [withTimeout(5, () => sleep(forEver), "inner")], "outer")),
    ).toEqual(["inner"]);
  });

  itFibers("nested: the outer one that expires passes through the inner call", async () => {
    expect(await spawn(() => withTimeout(5, () => [withTimeout(10_000, () => sleep(forEver), "inner")], "outer"))).toBe(
      "outer",
    );
  });

  itFibers("nested: two that expire together throw once, not again at a later call", async () => {
    const log = await spawn(() => {
      const outcome = withTimeout(5, () => withTimeout(5, () => sleep(forEver), "inner"), "outer");
      sleep(20);
      return ["inner", "outer"].includes(outcome as string);
    });
    expect(log).toBe(true);
  });

  itFibers("leaves no timer behind", async () => {
    const program = `
      const { spawn, withTimeout } = require("runtime");
      spawn(() => console.log(withTimeout(1e8, () => "value")));`;
    expect(await run(program, { timeout: 20_000 })).toEqual(printing("value"));
  });

  itFibers("reaches the fiber inside runInAsyncScope", async () => {
    const value = await spawn(() =>
      withTimeout(5, () => new AsyncResource("TEST").runInAsyncScope(() => sleep(forEver)), "fallback"),
    );
    expect(value).toBe("fallback");
  });

  itFibers("works for a start inside runInAsyncScope", async () => {
    const value = await spawn(() =>
      new AsyncResource("TEST").runInAsyncScope(() => withTimeout(5, () => sleep(forEver), "fallback")),
    );
    expect(value).toBe("fallback");
  });

  itFibers("throws an AbortError, with the reason as its cause, when its signal is aborted first", async () => {
    const controller = new AbortController();
    const fiber = spawn(() => withTimeout(controller.signal, () => sleep(forEver)));
    fiber.link(() => {});
    await turn();
    const reason = new Error("the reason");
    controller.abort(reason);
    await expect(fiber).rejects.toMatchObject({ name: "AbortError", code: "ABORT_ERR", cause: reason });
  });

  itFibers("returns the fallback when its signal is aborted first, or the time is over first", async () => {
    const controller = new AbortController();
    const aborted = spawn(() => withTimeout(controller.signal, () => sleep(forEver), "fallback"));
    const expired = spawn(() =>
      withTimeout({ timeout: 5, signal: new AbortController().signal }, () => sleep(forEver), "fallback"),
    );
    await turn();
    controller.abort();
    expect([await aborted, await expired]).toEqual(["fallback", "fallback"]);
  });

  itFibers("refuses a signal that is aborted already, and does not call the function", async () => {
    let called = false;
    const call = () => {
      called = true;
    };
    await expect(spawn(() => withTimeout(AbortSignal.abort(), call))).rejects.toMatchObject({
      name: "AbortError",
    });
    expect(called).toBe(false);
  });

  itFibers("aborted by the fiber itself throws at its next blocking call", async () => {
    const log: string[] = [];
    const controller = new AbortController();
    const outcome = await spawn(() =>
      withTimeout(
        controller.signal,
        () => {
          controller.abort();
          log.push("goes on");
          sleep(forEver);
        },
        "fallback",
      ),
    );
    expect([outcome, log]).toEqual(["fallback", ["goes on"]]);
  });

  itFibers(
    "aborted by the fiber itself, which does not block any more, returns what the function returns",
    async () => {
      const seen = await spawn(() => {
        const controller = new AbortController();
        const value = withTimeout(controller.signal, () => {
          controller.abort();
          return "value";
        });
        sleep(0); // where it would appear, were it not taken back
        return value;
      });
      expect(seen).toBe("value");
    },
  );

  itFibers(
    "aborted by the fiber itself inside runInAsyncScope throws at its next blocking call, inside or after",
    async () => {
      const inside = (controller: AbortController) =>
        new AsyncResource("TEST").runInAsyncScope(() => {
          controller.abort();
          sleep(forEver);
        });
      const after = (controller: AbortController) => {
        new AsyncResource("TEST").runInAsyncScope(() => controller.abort());
        sleep(forEver);
      };
      const before = (controller: AbortController) => {
        controller.abort();
        new AsyncResource("TEST").runInAsyncScope(() => sleep(forEver));
      };
      for (const body of [inside, after, before]) {
        const controller = new AbortController();
        expect(await spawn(() => withTimeout(controller.signal, () => body(controller), "fallback"))).toBe("fallback");
      }
    },
  );

  itFibers("takes only its own AbortError for its own: another one passes through", async () => {
    const [outer, inner] = [new AbortController(), new AbortController()];
    const fiber = spawn(() =>
      withTimeout(outer.signal, () => withTimeout(inner.signal, () => sleep(forEver), "inner"), "outer"),
    );
    await turn();
    outer.abort();
    expect(await fiber).toBe("outer");
  });

  itFibers("leaves no listener on its signal", async () => {
    const { signal } = new AbortController();
    await spawn(() => withTimeout(signal, () => sleep(0)));
    const killed = spawn(() => withTimeout(signal, () => sleep(forEver)));
    await turn();
    killed.kill();
    await killed;
    expect(getEventListeners(signal, "abort").length).toBe(0);
  });

  it("on the hub's stack throws ERR_NOT_IN_FIBER", () => {
    expect(() => withTimeout(1, () => {})).toThrow(expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }));
  });
});

describe("Timeout", () => {
  itFibers("throws itself into the fiber that started it, and can be told from others", async () => {
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

  itFibers("throws another error in its place, if it is given one", async () => {
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

  itFibers("throws nothing once it is cancelled", async () => {
    expect(
      await spawn(() => {
        const timeout = Timeout.start(5);
        timeout.cancel();
        sleep(20);
        return timeout.pending;
      }),
    ).toBe(false);
  });

  itFibers("is pending from its start until it expires", async () => {
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

  itFibers("begins anew when it is started again", async () => {
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

  itFibers("without end never expires, and keeps no process", async () => {
    const program = `
      const { spawn, sleep, Timeout } = require("runtime");
      spawn(() => { const timeout = Timeout.start(Infinity); sleep(5); console.log(timeout.pending); });`;
    expect(await run(program)).toEqual(printing("true"));
  });

  itFibers("is cancelled at the end of a block that uses it", async () => {
    expect(
      await spawn(() => {
        const timeout = Timeout.start(5);
        timeout[Symbol.dispose]();
        sleep(20);
        return "went on";
      }),
    ).toBe("went on");
  });

  itFibers("lets others of the same fiber go on after it has expired", async () => {
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

  itFibers("is no concern of a fiber that another one joins", async () => {
    const log: string[] = [];
    const other = spawn(() => {
      sleep(20);
      log.push("other ended");
    });
    await spawn(() => withTimeout(5, () => other.join(), log.push("timed out")));
    await other;
    expect(log).toEqual(["timed out", "other ended"]);
  });

  itFibers("that has expired before a blocking call of a busy fiber throws at that call", async () => {
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

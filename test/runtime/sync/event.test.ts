import { AsyncResult, Event, Fiber, FiberExit, sleep, spawn, Timeout, wait } from "runtime";
import { describe, expect, it } from "vitest";
import { describeFibers } from "../../support/fibers";
import { printing, run } from "../../support/run";
import { turn } from "../../support/turns";

describe("an Event without fibers", () => {
  it("is clear at first, set by set, clear again by clear", () => {
    const event = new Event();
    const seen = [event.isSet];
    event.set();
    seen.push(event.isSet);
    event.clear();
    seen.push(event.isSet);
    expect(seen).toEqual([false, true, false]);
  });

  it("is ready while it is set", () => {
    const event = new Event();
    event.set();
    expect(event.ready).toBe(true);
    event.clear();
    expect(event.ready).toBe(false);
  });

  it("waits for nothing while it is set", () => {
    const event = new Event();
    event.set();
    expect(event.wait()).toBe(true);
  });

  it("can be awaited, before and after it is set", async () => {
    const event = new Event();
    const before = (async () => await event)();
    setImmediate(() => event.set());
    expect(await before).toBe(true);
    expect(await event).toBe(true);
  });

  it("awaited, then set and cleared at once, is over all the same", async () => {
    const event = new Event();
    const awaited = event.then(() => "over");
    event.set();
    event.clear();
    expect(await awaited).toBe("over");
  });
});

describe("a link to an Event", () => {
  it("is called with the event when it is set, and not before", async () => {
    const event = new Event();
    const seen: unknown[] = [];
    event.link((it) => seen.push(it));
    await turn();
    expect(seen).toEqual([]);
    event.set();
    await turn();
    expect(seen).toEqual([event]);
  });

  it("is called once, however often the event is set", async () => {
    const event = new Event();
    let calls = 0;
    event.link(() => calls++);
    for (let i = 0; i < 3; i++) {
      event.set();
      event.clear();
      await turn();
    }
    expect(calls).toBe(1);
  });

  it("to one that is set is called soon, never at once", async () => {
    const event = new Event();
    event.set();
    const log: string[] = [];
    event.link(() => log.push("called"));
    log.push("linked");
    await turn();
    expect(log).toEqual(["linked", "called"]);
  });

  it("is called in the order of the links", async () => {
    const event = new Event();
    const order: number[] = [];
    for (const i of [1, 2, 3]) event.link(() => order.push(i));
    event.set();
    await turn();
    expect(order).toEqual([1, 2, 3]);
  });

  it("that was taken back is not called", async () => {
    const event = new Event();
    let calls = 0;
    const link = () => calls++;
    event.link(link);
    event.unlink(link);
    event.set();
    await turn();
    expect(calls).toBe(0);
  });

  it("made twice, and taken back once, is called once", async () => {
    const event = new Event();
    let calls = 0;
    const link = () => calls++;
    event.link(link);
    event.link(link);
    event.unlink(link);
    event.set();
    await turn();
    expect(calls).toBe(1);
  });

  it("taken back that was never made changes nothing", () => {
    new Event().unlink(() => {});
  });

  it("that throws goes uncaught, and the others are called all the same", async () => {
    const program = `
      const { Event } = require("runtime");
      process.on("uncaughtException", (error) => console.log("uncaught:", error.message));
      const event = new Event();
      event.link(() => { throw new Error("link"); });
      event.link(() => console.log("called"));
      event.set();`;
    const { stdout, code } = await run(program);
    expect([stdout.split("\n").sort(), code]).toEqual([["", "called", "uncaught: link"], 0]);
  });
});

describeFibers("fibers that wait for an Event", () => {
  it("continue all, in the order in which they came", async () => {
    const event = new Event();
    const order: number[] = [];
    const fibers = [0, 1, 2, 3].map((i) =>
      spawn(() => {
        event.wait();
        order.push(i);
      }),
    );
    await turn();
    event.set();
    await Promise.all(fibers);
    expect(order).toEqual([0, 1, 2, 3]);
  });

  it("continue even if it is cleared before they have their turn", async () => {
    const event = new Event();
    const fibers = [0, 1].map(() => spawn(() => event.wait()));
    await turn();
    event.set();
    event.clear();
    expect(await Promise.all(fibers)).toEqual([true, true]);
  });

  it("wait anew if they come after it was cleared", async () => {
    const event = new Event();
    event.set();
    event.clear();
    expect(await spawn(() => event.wait(1))).toBe(false);
  });

  it("can be woken from a timer's callback, on the hub's stack", async () => {
    const event = new Event();
    const fiber = spawn(() => event.wait());
    const current = await new Promise((resolve) =>
      setTimeout(() => {
        event.set();
        resolve(Fiber.current);
      }, 1),
    );
    expect(current).toBe(null);
    expect(await fiber).toBe(true);
  });

  it("never continue before set has returned", async () => {
    const event = new Event();
    const log: string[] = [];
    const fiber = spawn(() => {
      event.wait();
      log.push("woken");
    });
    await turn();
    event.set();
    log.push("set");
    await fiber;
    expect(log).toEqual(["set", "woken"]);
  });

  it("are not woken by a set that came and went before", async () => {
    const event = new Event();
    const first = spawn(() => event.wait());
    await turn();
    event.set();
    event.clear();
    const second = spawn(() => event.wait());
    await first;
    await turn();
    expect(second.dead).toBe(false);
    event.set();
    await second;
  });

  it("and are killed leave the others waiting", async () => {
    const event = new Event();
    const [killed, other] = [0, 1].map(() => spawn(() => event.wait())) as [Fiber, Fiber];
    await turn();
    killed.kill();
    expect(await killed).toBeInstanceOf(FiberExit);
    event.set();
    expect(await other).toBe(true);
  });
});

describe("an AsyncResult without fibers", () => {
  it("has neither value nor error at first", () => {
    const { ready, successful, value, exception } = new AsyncResult();
    expect({ ready, successful, value, exception }).toEqual({
      ready: false,
      successful: false,
      value: undefined,
      exception: undefined,
    });
  });

  it("has the value that it was given", () => {
    const result = new AsyncResult<string>();
    result.set("value");
    const { ready, successful, value, exception } = result;
    expect({ ready, successful, value, exception }).toEqual({
      ready: true,
      successful: true,
      value: "value",
      exception: undefined,
    });
    expect(result.get()).toBe("value");
    expect(result.getNowait()).toBe("value");
    expect(result.wait()).toBe("value");
  });

  it("has the error that it was given, which get throws each time, and wait does not", () => {
    const error = new Error("given");
    const result = new AsyncResult();
    result.setException(error);
    const { ready, successful, value, exception } = result;
    expect({ ready, successful, value, exception }).toEqual({
      ready: true,
      successful: false,
      value: undefined,
      exception: error,
    });
    expect(() => result.get()).toThrow(error);
    expect(() => result.getNowait()).toThrow(error);
    expect(result.wait()).toBe(undefined);
  });

  it("may have undefined for a value, and for an error", async () => {
    const valued = new AsyncResult();
    valued.set(undefined);
    expect([valued.ready, valued.successful]).toEqual([true, true]);
    const failed = new AsyncResult();
    failed.setException(undefined);
    expect([failed.ready, failed.successful]).toEqual([true, false]);
    expect(
      await failed.then(
        () => "fulfilled",
        () => "rejected",
      ),
    ).toBe("rejected");
  });

  it("takes a new outcome in place of the old one", () => {
    const result = new AsyncResult<string>();
    result.set("first");
    result.setException(new Error("second"));
    expect(result.value).toBe(undefined);
    result.set("third");
    expect([result.value, result.exception]).toEqual(["third", undefined]);
  });

  it("throws a Timeout from getNowait before there is an outcome", () => {
    expect(() => new AsyncResult().getNowait()).toThrow(Timeout);
  });

  it("can be awaited, before and after there is an outcome", async () => {
    const result = new AsyncResult<string>();
    const before = (async () => await result)();
    result.set("value");
    expect([await before, await result]).toEqual(["value", "value"]);
  });

  it("brings each who awaits it the outcome that there is then, or the next one", async () => {
    const result = new AsyncResult<string>();
    const early = [result.then(), result.then()];
    result.set("first");
    const between = result.then();
    result.set("second");
    const late = result.then();
    result.setException(new Error("third"));
    expect(await Promise.all([...early, between, late])).toEqual(["first", "first", "first", "second"]);
    await expect(result).rejects.toThrow("third");
  });

  it("rejects who awaits it with its very error", async () => {
    const error = new Error("given");
    const result = new AsyncResult();
    result.setException(error);
    await expect(result).rejects.toBe(error);
  });

  it("whose error nobody looks at is no unhandled rejection", async () => {
    const program = `
      const { AsyncResult } = require("runtime");
      new AsyncResult().setException(new Error("nobody looks"));
      setTimeout(() => console.log("went on"), 5);`;
    expect(await run(program)).toEqual(printing("went on"));
  });

  it("follows another result to which it is linked", async () => {
    const [first, second, third] = [new AsyncResult(), new AsyncResult(), new AsyncResult()];
    const error = new Error("given");
    first.link(second);
    second.link(third);
    first.setException(error);
    await expect(third).rejects.toBe(error);
  });

  it("does not follow once the link is taken back", async () => {
    const [first, second] = [new AsyncResult(), new AsyncResult()];
    first.link(second);
    first.unlink(second);
    first.set("value");
    await turn();
    expect(second.ready).toBe(false);
  });

  it("calls a late link soon", async () => {
    const result = new AsyncResult();
    result.set(1);
    expect(await new Promise((resolve) => result.link((it) => resolve(it === result)))).toBe(true);
  });
});

describeFibers("an AsyncResult in fibers", () => {
  it("gives its value to all who wait, in the order in which they came", async () => {
    const result = new AsyncResult<string>();
    const log: string[] = [];
    const fibers = [0, 1, 2].map((i) => spawn(() => log.push(`${i}: ${result.get()}`)));
    await turn();
    result.set("value");
    await Promise.all(fibers);
    expect(log).toEqual(["0: value", "1: value", "2: value"]);
  });

  it("throws its very error into all who get it", async () => {
    const result = new AsyncResult();
    const error = new Error("given");
    const fibers = [0, 1].map(() =>
      spawn(() => {
        try {
          return result.get();
        } catch (caught) {
          return caught;
        }
      }),
    );
    await turn();
    result.setException(error);
    const caught = await Promise.all(fibers);
    expect(caught[0]).toBe(error);
    expect(caught[1]).toBe(error);
  });

  it("takes the value of a fiber to which it is linked", async () => {
    const result = new AsyncResult<string>();
    spawn(() => {
      sleep(1);
      return "of the fiber";
    }).link(result);
    expect(await spawn(() => result.get())).toBe("of the fiber");
  });

  it("takes the error of a fiber to which it is linked, which is no unhandled rejection", async () => {
    const result = new AsyncResult();
    const error = new Error("of the fiber");
    spawn(() => {
      throw error;
    }).link(result);
    await expect(result).rejects.toBe(error);
  });

  it("takes the FiberExit of a killed fiber as a value", async () => {
    const result = new AsyncResult();
    const fiber = spawn(() => sleep(1e8));
    fiber.link(result);
    await turn();
    fiber.kill();
    expect(await result).toBeInstanceOf(FiberExit);
  });

  it("is waited for by wait() as a promise is", async () => {
    const result = new AsyncResult<string>();
    const fiber = spawn(() => wait(result));
    result.set("value");
    expect(await fiber).toBe("value");
  });
});

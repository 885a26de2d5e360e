import {
  AsyncResult,
  Event,
  Fiber,
  FiberExit,
  Group,
  Pool,
  Semaphore,
  sleep,
  spawn,
  spawnLater,
  Timeout,
  wrap,
} from "runtime";
import { expect, it } from "vitest";
import { describeFibers } from "../../support/fibers";
import { turn } from "../../support/turns";

// biome-ignore lint/suspicious/noExplicitAny: what `yield` returns depends on what was yielded
type Steps = Generator<unknown, unknown, any>;

describeFibers("a fiber of a generator function", () => {
  it("has what the function returns for its value", async () => {
    // biome-ignore lint/correctness/useYield: one that never waits
    const fiber = spawn(function* () {
      return "value";
    });
    expect(await fiber).toBe("value");
  });

  it("passes arguments on", async () => {
    const fiber = spawn(
      function* (a: number, b: number): Generator<unknown, number, number> {
        return (yield a) + (yield b);
      },
      1,
      2,
    );
    expect(await fiber).toBe(3);
  });

  it("waits for a promise that it yields, and gets its value", async () => {
    const fiber = spawn(function* (): Steps {
      return [yield new Promise((resolve) => setImmediate(resolve, "later")), yield Promise.resolve("now")];
    });
    expect(await fiber).toEqual(["later", "now"]);
  });

  it("waits for a fiber, an event, a result, a semaphore, a Timeout", async () => {
    const event = new Event();
    const result = new AsyncResult();
    const semaphore = new Semaphore(0);
    const timeout = new Timeout(1);
    const fiber = spawn(function* (): Steps {
      return [yield spawn(() => "of a fiber"), yield event, yield result, yield semaphore, yield timeout];
    });
    await turn();
    event.set();
    result.set("of a result");
    semaphore.release();
    const [ofFiber, ofEvent, ofResult, ofSemaphore, ofTimeout] = (await fiber) as unknown[];
    expect([ofFiber, ofEvent, ofResult]).toEqual(["of a fiber", true, "of a result"]);
    expect([ofSemaphore === semaphore, ofTimeout === timeout]).toEqual([true, true]);
  });

  it("gets anything else back as it is", async () => {
    const object = {};
    const fiber = spawn(function* (): Steps {
      return [yield 1, yield undefined, (yield object) === object];
    });
    expect(await fiber).toEqual([1, undefined, true]);
  });

  it("sees a rejection thrown at the yield, and may catch it", async () => {
    const error = new Error("rejected");
    const fiber = spawn(function* (): Steps {
      try {
        yield Promise.reject(error);
      } catch (caught) {
        return [caught, yield "goes on"];
      }
    });
    expect(await fiber).toEqual([error, "goes on"]);
  });

  it("fails with a rejection that it does not catch", async () => {
    const error = new Error("rejected");
    const fiber = spawn(function* () {
      yield Promise.reject(error);
    });
    await expect(fiber).rejects.toBe(error);
  });

  it("fails with what the function throws", async () => {
    const fiber = spawn(function* () {
      yield null;
      throw new Error("own");
    });
    await expect(fiber).rejects.toThrow("own");
  });

  it("sees a failure of a fiber that it yields", async () => {
    const error = new Error("of the other");
    const fiber = spawn(function* (): Steps {
      try {
        yield spawn(() => {
          throw error;
        });
      } catch (caught) {
        return caught;
      }
    });
    expect(await fiber).toBe(error);
  });

  it("runs its finally blocks when it is killed, which may yield", async () => {
    const log: unknown[] = [];
    const fiber = spawn(function* () {
      try {
        yield new Event();
        log.push("not reached");
      } finally {
        log.push(yield Promise.resolve("in finally"));
      }
    });
    await turn();
    fiber.kill();
    expect(await fiber).toBeInstanceOf(FiberExit);
    expect(log).toEqual(["in finally"]);
  });

  it("that is killed before it began never runs", async () => {
    let ran = false;
    const fiber = spawn(function* () {
      ran = true;
      yield null;
    });
    fiber.kill();
    await fiber;
    expect(ran).toBe(false);
  });

  it("delegates by yield*", async () => {
    function* inner(): Steps {
      return (yield Promise.resolve(1)) + (yield Promise.resolve(2));
    }
    const fiber = spawn(function* (): Steps {
      return (yield* inner()) * 10;
    });
    expect(await fiber).toBe(30);
  });

  it("may block between its yields as any fiber", async () => {
    const fiber = spawn(function* (): Steps {
      sleep(0);
      const first = yield Promise.resolve("first");
      sleep(0);
      return first;
    });
    expect(await fiber).toBe("first");
  });

  it("may be the function's bound form, or a method, with its this", async () => {
    const object = {
      name: "object",
      *method(this: { name: string }): Steps {
        return [this.name, yield Promise.resolve(1)];
      },
    };
    expect(await spawn(object.method.bind(object) as () => unknown)).toEqual(["object", 1]);
  });

  it("is run by new Fiber", async () => {
    const fiber = new Fiber(function* (): Steps {
      return yield Promise.resolve("value");
    });
    expect(await fiber.start()).toBe("value");
  });

  it("is run by spawnLater", async () => {
    const fiber = spawnLater(
      1,
      function* (value: string): Steps {
        return yield Promise.resolve(value);
      },
      "value",
    );
    expect(await fiber).toBe("value");
  });

  it("is run by a Group and a Pool", async () => {
    function* steps(): Steps {
      return yield Promise.resolve("value");
    }
    expect([await new Group().spawn(steps), await new Pool(1).spawn(steps)]).toEqual(["value", "value"]);
  });

  it("is run by map", async () => {
    function* double(i: number): Steps {
      return 2 * (yield Promise.resolve(i));
    }
    expect(await spawn(() => new Group().map(double, [1, 2]))).toEqual([2, 4]);
  });

  it("is run by a wrapped handler", async () => {
    const event = new Event();
    const result = new AsyncResult();
    const handler = wrap(function* (value: string): Steps {
      yield event;
      result.set(value);
    });
    handler("handled");
    event.set();
    expect(await result).toBe("handled");
  });

  it("is timed out at its yield", async () => {
    const fiber = spawn(function* (): Steps {
      const timeout = Timeout.start(1);
      try {
        yield new Event();
      } catch (error) {
        return error === timeout;
      }
    });
    expect(await fiber).toBe(true);
  });
});

import fs from "node:fs";
import { patch, sleep, spawn, withTimeout } from "runtime";
import { beforeAll, expect, it } from "vitest";
import { describeFibers } from "../../support/fibers";
import { printing, run } from "../../support/run";
import { inFiber, thrown } from "../support";
import { Fiber, Future } from "./support";

beforeAll(() => patch());

/** A future that comes to `value` in one of the event loop's next turns. */
function later<T>(value: T) {
  const future = new Future<T>();
  setImmediate(() => future.return(value));
  return future;
}

function failing(error: unknown) {
  const future = new Future();
  setImmediate(() => future.throw(error));
  return future;
}

/** Runs `fn` in an old-style fiber. */
function inOldFiber<T>(fn: () => T): Promise<T> {
  return Future.task(fn).promise();
}

describeFibers("a future", () => {
  it("comes to a value, once", () => {
    const future = new Future<number>();
    expect(future.isResolved()).toBe(false);
    expect(() => future.get()).toThrow(new Error("Future must resolve before value is ready"));
    future.return(1);
    expect([future.isResolved(), future.get(), future.wait()]).toEqual([true, 1, 1]);
    expect(() => future.return(2)).toThrow(new Error("Future resolved more than once"));
    expect(() => future.throw(new Error("no"))).toThrow(new Error("Future resolved more than once"));
    expect(future.get()).toBe(1);
  });

  it("comes to an error, which is not empty", () => {
    const future = new Future();
    for (const nothing of [undefined, null, 0, ""]) {
      expect(() => future.throw(nothing)).toThrow(new Error("Must throw non-empty error"));
    }
    future.throw("no");
    expect([future.isResolved(), thrown(() => future.get()), thrown(() => future.wait())]).toEqual([true, "no", "no"]);
  });

  it("is waited for", async () => {
    expect(await inOldFiber(() => later("value").wait())).toBe("value");
    expect(await inOldFiber(() => thrown(() => failing("no").wait()))).toBe("no");
  });

  it("is waited for in fibers of all kinds", async () => {
    expect(await spawn(() => later("in ours").wait())).toBe("in ours");
    const fromCallback = new Promise((resolve) => setTimeout(() => resolve([later("in one").wait(), Fiber.current])));
    expect(await fromCallback).toEqual(["in one", undefined]);
  });

  it("is not waited for without a fiber", () => {
    expect(() => new Future().wait()).toThrow(new Error("Can't wait without a fiber"));
    expect(() => Future.wait([])).toThrow(new Error("Can't wait without a fiber"));
  });

  it("calls back, in order, at once if it is resolved", () => {
    const calls: unknown[][] = [];
    const future = new Future();
    expect(future.resolve((...args) => calls.push(args))).toBe(future);
    future.resolveSuccess((value) => calls.push([value]));
    future.resolve(new Future(), (value) => calls.push(["value", value]));
    future.return(1);
    future.resolve((...args) => calls.push(args), null);
    expect(calls).toEqual([[undefined, 1], [1], ["value", 1], [undefined, 1]]);
  });

  it("throws in another one, and tells who wants errors only", () => {
    const [future, first, second, third, fourth] = Array.from({ length: 5 }, () => new Future()) as [
      InstanceType<typeof Future>,
      ...InstanceType<typeof Future>[],
    ];
    const all = [first, second, third, fourth] as InstanceType<typeof Future>[];
    future.resolve(all[0] as never, () => expect.unreachable());
    future.resolveSuccess(() => expect.unreachable());
    future.proxyErrors([all[1], all[2]] as never);
    future.proxy(all[3] as never);
    future.throw("no");
    expect(all.map((one) => thrown(() => one.get()))).toEqual(["no", "no", "no", "no"]);
    const [value, copy] = [new Future(), new Future()];
    value.proxyErrors(copy);
    value.proxy(copy);
    value.return(1);
    expect(copy.get()).toBe(1);
  });

  it("resolves whatever can be resolved", () => {
    const future = new Future<number>();
    const seen: unknown[] = [];
    future.proxy({ return: (value) => seen.push(value), throw: () => expect.unreachable() });
    future.return(1);
    expect(seen).toEqual([1]);
  });

  it("is resolved by a callback", () => {
    const [value, error] = [new Future(), new Future()];
    value.resolver()(null, 1);
    error.resolver()("no", 1);
    expect([value.get(), thrown(() => error.get())]).toEqual([1, "no"]);
  });

  it("is a promise, and is made of one", async () => {
    expect(await later(1).promise()).toBe(1);
    await expect(failing("no").promise()).rejects.toBe("no");
    expect(await inOldFiber(() => Future.fromPromise(Promise.resolve(1)).wait())).toBe(1);
    expect(await inOldFiber(() => thrown(() => Future.fromPromise(Promise.reject("no")).wait()))).toBe("no");
  });

  it("is made by old-style subclasses", () => {
    function Sub(this: unknown) {
      (Future as unknown as (this: unknown) => void).call(this);
    }
    require("node:util").inherits(Sub, Future);
    const future = new (Sub as unknown as typeof Future)();
    future.return(1);
    expect([future instanceof Future, future.get()]).toEqual([true, 1]);
    class Modern extends Future {}
    expect(new Modern()).toBeInstanceOf(Future);
  });

  it("lets errors of callbacks go uncaught, and calls the others", async () => {
    const program = `
      const Future = require("runtime/fibers/future");
      const future = new Future();
      process.on("uncaughtException", (error) => console.log("uncaught", error.message));
      future.resolve(() => { throw new Error("first"); });
      future.resolve(() => console.log("second"));
      future.return();
      const detached = new Future();
      detached.detach();
      detached.throw(new Error("detached"));`;
    expect(await run(program)).toEqual(printing("second", "uncaught first", "uncaught detached"));
  });

  it("shows in an error's stack trace who waited for it, and where it comes from", async () => {
    function origin() {
      return new Error("two\nlines");
    }
    const error = origin();
    const before = error.stack;
    const { stack } = (await inOldFiber(function waits() {
      return thrown(function here() {
        failing(error).wait();
      });
    })) as Error;
    const [own, original] = (stack as string).split("    - - - - -\n");
    expect(own).toMatch(/^Error: two\nlines\n {4}at/);
    expect(own).toMatch(/at here .*\n/);
    expect(own).not.toMatch(/at origin/);
    expect(original).toMatch(/^ {4}at origin/);
    await inOldFiber(() => thrown(() => failing(error).wait()));
    expect((error.stack as string).split("- - - - -").length).toBe(2);
    expect((error as { futureStack?: unknown }).futureStack).toBe(before);
    const frozen = Object.freeze(new Error("frozen"));
    expect(await inOldFiber(() => thrown(() => failing(frozen).wait()))).toBe(frozen);
  });
});

describeFibers("Future.wait", () => {
  it("waits for many, and throws none of their errors", async () => {
    const futures = [later(1), failing("no"), later(2)];
    await inOldFiber(() => Future.wait(futures[0] as never, [futures[1], futures[2]] as never));
    expect(futures.every((future) => future.isResolved())).toBe(true);
  });

  it("takes one that is there twice, and some that are resolved", async () => {
    const done = new Future<number>();
    done.return(0);
    expect(
      await inOldFiber(() => {
        const one = later(1);
        Future.wait(one, [one, done], done);
        return [one.get(), done.get()];
      }),
    ).toEqual([1, 0]);
  });

  it("refuses what is no future", () => {
    expect(() => Future.wait(1 as never)).toThrow(new Error("1 is not a future"));
    expect(() => Future.wait([new Future(), "x"] as never)).toThrow(new Error("x is not a future"));
  });

  it("runs a function that has not begun in the fiber that waits for it", async () => {
    let same = false;
    await inOldFiber(() => {
      const own = Fiber.current;
      const other = later(1);
      const task = Future.task(() => {
        same = Fiber.current === own;
        return other.wait();
      });
      Future.wait(task, other);
      expect(task.get()).toBe(1);
    });
    expect(same).toBe(true);
  });

  it("leaves a fiber alone that was stopped while it waited", async () => {
    let lives = 0;
    const future = new Future();
    const fiber = Fiber(() => {
      lives++;
      future.wait();
    });
    fiber.run();
    expect(thrown(() => fiber.throwInto("stop"))).toBe("stop");
    future.return();
    expect([lives, fiber.started]).toEqual([1, false]);
  });

  it("ends with a time limit", async () => {
    const never = new Future();
    expect(await inOldFiber(() => withTimeout(2, () => never.wait(), "too late"))).toBe("too late");
    expect(await inFiber(() => withTimeout(2, () => never.wait(), "too late"))).toBe("too late");
    never.return();
  });

  it("goes by what is Fiber.yield at that moment", async () => {
    const own = Fiber.yield;
    const calls: unknown[] = [];
    Fiber.yield = (...args) => {
      calls.push(args);
      return own(...args);
    };
    try {
      await inOldFiber(() => later(1).wait());
    } finally {
      Fiber.yield = own;
    }
    expect(calls).toEqual([[]]);
  });
});

describeFibers("fn.future()", () => {
  it("runs a function in a fiber of its own, with this and arguments", async () => {
    const object = {
      base: 1,
      add: function (this: { base: number }, n: number) {
        return this.base + later(n).wait();
      }.future(),
    };
    const future = object.add(2);
    expect(future.isResolved()).toBe(false);
    expect(await future.promise()).toBe(3);
    const fn = () => {};
    expect(String(fn.future())).toBe(`<<Future ${fn}.future()>>`);
  });

  it("begins at the next tick, and runs beside others", async () => {
    const order: string[] = [];
    const work = ((name: string) => {
      order.push(`${name} begins`);
      sleep(1);
      order.push(`${name} ends`);
    }).future();
    const both = [work("a"), work("b")];
    expect(order).toEqual([]);
    await inOldFiber(() => {
      sleep(0);
      Future.wait(both);
    });
    expect(order).toEqual(["a begins", "b begins", "a ends", "b ends"]);
  });

  it("is not seen by loops over a function's properties", () => {
    const seen: string[] = [];
    for (const key in () => {}) seen.push(key);
    expect(seen).toEqual([]);
  });

  it("lets an error go uncaught when it is detached", async () => {
    const program = `
      require("runtime/fibers/future");
      process.on("uncaughtException", (error) => console.log("uncaught", error.message));
      (() => { throw new Error("no"); }).future(true)();`;
    expect(await run(program)).toEqual(printing("uncaught no"));
  });
});

describeFibers("Future.task", () => {
  it("runs one function, or several at once", async () => {
    expect(await Future.task(() => later(1).wait()).promise()).toBe(1);
    const all = Future.task(
      () => later(1).wait(),
      () => 2,
    );
    expect(await all.promise()).toEqual([1, 2]);
    await expect(
      Future.task(
        () => 1,
        () => failing("no").wait(),
      ).promise(),
    ).rejects.toBe("no");
  });

  it("wants functions", () => {
    expect(thrown(() => Future.task(1 as never))).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
    expect(thrown(() => Future.task(() => {}, 1 as never)).message).toMatch(/"fns\[1\]"/);
  });
});

describeFibers("Future.wrap", () => {
  it("wraps a function with a callback", async () => {
    const read = Future.wrap(fs.readFile);
    expect(await inOldFiber(() => read(__filename, "utf8").wait())).toBe(fs.readFileSync(__filename, "utf8"));
    expect(await inOldFiber(() => thrown(() => read("/does/not/exist").wait()).code)).toBe("ENOENT");
  });

  it("wraps all functions of an object, under a suffix", async () => {
    const object = {
      base: 1,
      add(n: number, callback: (error: null, sum: number) => void) {
        callback(null, this.base + n);
        return "returned";
      },
    };
    const future = Future.wrap(object).addFuture(2);
    expect([future.get(), future._]).toEqual([3, "returned"]);
    expect(Future.wrap(object, false, "Later").addLater(2).get()).toBe(3);
    expect(Future.wrap(object).base).toBe(1);
    expect(Future.wrap(fs).statFuture).toBeTypeOf("function");
  });

  it("takes several values of a callback", () => {
    const two = (callback: (...args: unknown[]) => void) => callback(null, 1, 2);
    expect(Future.wrap(two, true)().get()).toEqual([1, 2]);
    expect(Future.wrap({ two }, true).twoFuture().get()).toEqual([1, 2]);
  });

  it("wraps functions of functions, also of an object's", () => {
    const request = Object.assign((callback: (error: null, value: string) => void) => callback(null, "itself"), {
      get: (callback: (error: null, value: string) => void) => callback(null, "got"),
      version: 1,
    });
    const wrapped = Future.wrap(request);
    for (const one of [wrapped, Future.wrap({ request }).requestFuture]) {
      expect([one().get(), one.getFuture().get(), one.version]).toEqual(["itself", "got", 1]);
    }
  });

  it("refuses anything else", () => {
    for (const value of [undefined, null, 1]) {
      expect(thrown(() => Future.wrap(value as never)).code).toBe("ERR_INVALID_ARG_TYPE");
    }
  });
});

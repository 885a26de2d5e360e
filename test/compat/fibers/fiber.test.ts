import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import { execFileSync } from "node:child_process";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { Event, FiberExit, fibers, Fiber as OwnFiber, patch, sleep, spawn, wait, withTimeout } from "runtime";
import { afterEach, beforeAll, expect, it } from "vitest";
import { describeFibers } from "../../support/fibers";
import { printing, run } from "../../support/run";
import { until } from "../../support/turns";
import { settle, thrown } from "../support";
import { Fiber } from "./support";

beforeAll(() => patch());

const uncaught: unknown[] = [];
const listeners = process.listeners("uncaughtException");

/** Whatever goes uncaught in a test is noted, not the runner's concern. */
function noteUncaught(): void {
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", (error) => uncaught.push(error));
}

afterEach(() => {
  uncaught.length = 0;
  process.removeAllListeners("uncaughtException");
  for (const listener of listeners) process.on("uncaughtException", listener);
});

describeFibers("an old-style fiber", () => {
  it("is made with new, and without", () => {
    for (const fiber of [Fiber(() => {}), new Fiber(() => {})]) {
      expect(fiber).toBeInstanceOf(Fiber);
      expect(fiber.constructor).toBe(Fiber);
      expect(fiber.started).toBe(false);
    }
  });

  it("can be subclassed", () => {
    class Sub extends Fiber {}
    const fiber = new Sub(() => Fiber.current === fiber);
    expect(fiber).toBeInstanceOf(Sub);
    expect(fiber.run()).toBe(true);
  });

  it("refuses anything but one function", () => {
    const make = Fiber as unknown as (...args: unknown[]) => unknown;
    for (const args of [[], [() => {}, 1]])
      expect(() => make(...args)).toThrow(new TypeError("Fiber expects 1 argument"));
    for (const value of [undefined, {}, "f"]) {
      expect(() => make(value)).toThrow(new TypeError("Fiber expects a function"));
    }
  });

  it("passes values in and out", () => {
    const seen: unknown[] = [];
    const fiber = Fiber((first: unknown, ...rest: unknown[]) => {
      seen.push(first, rest.length);
      seen.push(Fiber.yield("a"));
      seen.push(Fiber.yield());
      return "c";
    });
    expect(fiber.run(1)).toBe("a");
    expect(fiber.started).toBe(true);
    expect(fiber.run(2)).toBe(undefined);
    expect(fiber.run()).toBe("c");
    expect(fiber.started).toBe(false);
    expect(seen).toEqual([1, 0, 2, undefined]);
  });

  it("gives its function no argument if it is run with none, and the global object as this", () => {
    const fiber = Fiber(function (this: unknown, ...args: unknown[]) {
      return [this, args.length];
    });
    expect(fiber.run()).toEqual([globalThis, 0]);
    expect(fiber.run(undefined)).toEqual([globalThis, 1]);
  });

  it("begins anew when it is run after its end", () => {
    let lives = 0;
    const fiber = Fiber((value: unknown) => {
      lives++;
      return Fiber.yield(value);
    });
    for (const life of [1, 2, 3]) {
      expect(fiber.run(life)).toBe(life);
      expect(fiber.run("end")).toBe("end");
      expect(lives).toBe(life);
    }
  });

  it("is a generator, endless if need be", () => {
    const fibonacci = Fiber(() => {
      for (let [a, b] = [0, 1]; ; [a, b] = [b, a + b]) Fiber.yield(a);
    });
    expect(Array.from({ length: 10 }, () => fibonacci.run())).toEqual([0, 1, 1, 2, 3, 5, 8, 13, 21, 34]);
  });

  it("yields to whoever ran it, however deep they run each other", () => {
    const order: string[] = [];
    const inner = Fiber(() => {
      order.push("inner");
      Fiber.yield();
      order.push("inner again");
    });
    const middle = Fiber(() => {
      inner.run();
      order.push("middle");
      Fiber.yield();
      inner.run();
      order.push("middle again");
    });
    Fiber(() => {
      middle.run();
      order.push("outer");
      middle.run();
    }).run();
    expect(order).toEqual(["inner", "middle", "outer", "inner again", "middle again"]);
  });

  it("can be run by another one than before", () => {
    const generator = Fiber(() => {
      for (let i = 0; ; i++) Fiber.yield(i);
    });
    const take = () => Fiber(() => generator.run()).run();
    expect([generator.run(), take(), generator.run(), take()]).toEqual([0, 1, 2, 3]);
  });

  it("walks a tree", () => {
    type Tree = { left?: Tree; value: number; right?: Tree };
    const walk = (tree: Tree | undefined): void => {
      if (!tree) return;
      walk(tree.left);
      Fiber.yield(tree.value);
      walk(tree.right);
    };
    const values = (tree: Tree) => {
      const walker = Fiber(() => walk(tree));
      const all: number[] = [];
      for (let value = walker.run(); walker.started; value = walker.run()) all.push(value);
      return all;
    };
    expect(values({ left: { value: 1 }, value: 2, right: { left: { value: 3 }, value: 4 } })).toEqual([1, 2, 3, 4]);
  });

  it("yields from anywhere on its stack", () => {
    const fiber = Fiber(() => [3, 1, 2].sort((a, b) => a - b + (Fiber.yield(a * b) as number)));
    let last: unknown = fiber.run();
    while (fiber.started) last = fiber.run(0);
    expect(last).toEqual([1, 2, 3]);
  });

  it("lets what it throws through to whoever ran it, and can be run again", () => {
    const error = new Error("oh no");
    let fails = true;
    const fiber = Fiber(() => {
      Fiber.yield();
      if (fails) throw error;
      return "fine";
    });
    fiber.run();
    expect(thrown(() => fiber.run())).toBe(error);
    expect(fiber.started).toBe(false);
    fails = false;
    fiber.run();
    expect(fiber.run()).toBe("fine");
  });

  it("throws anything at all", () => {
    for (const value of [undefined, null, "text", 0]) {
      let caught: unknown = "nothing";
      try {
        Fiber(() => {
          throw value;
        }).run();
      } catch (error) {
        caught = error;
      }
      expect(caught).toBe(value);
    }
  });

  it("is what Fiber.current is, while it runs", () => {
    const seen: unknown[] = [];
    const inner = Fiber(() => seen.push(Fiber.current));
    const outer = Fiber(() => {
      seen.push(Fiber.current);
      inner.run();
      seen.push(Fiber.current);
    });
    seen.push(Fiber.current);
    outer.run();
    seen.push(Fiber.current);
    expect(seen).toEqual([undefined, outer, inner, outer, undefined]);
  });

  it("keeps what a program puts into it", () => {
    const fiber = Fiber(() => {
      const current = Fiber.current as { note?: string };
      current.note = "kept";
      Fiber.yield();
      return (Fiber.current as { note?: string }).note;
    });
    fiber.run();
    expect(fiber.run()).toBe("kept");
    expect(Object.keys(fiber)).toEqual(["note"]);
  });

  it("refuses what is not possible, in the words of the original", () => {
    expect(() => Fiber.yield()).toThrow(new Error("yield() called with no fiber running"));
    const running = Fiber(() => {
      expect(() => running.run()).toThrow(new Error("This Fiber is already running"));
      expect(() => running.throwInto(1)).toThrow(new Error("This Fiber is not yielding"));
      expect(() => running.reset()).toThrow(new Error("This Fiber is not yielding"));
      Fiber(() => expect(() => running.run()).toThrow(new Error("This Fiber is already running"))).run();
      const yieldAny = Fiber.yield as (...args: unknown[]) => unknown;
      expect(() => yieldAny(1, 2)).toThrow(new TypeError("yield() expects 1 or no arguments"));
      Fiber.yield();
      return "went well";
    });
    expect(() => running.throwInto(1)).toThrow(new Error("This Fiber is not yielding"));
    running.run();
    const any = running as unknown as Record<string, (...args: unknown[]) => unknown>;
    expect(() => any.run?.(1, 2)).toThrow(new TypeError("run() excepts 1 or no arguments"));
    expect(() => any.throwInto?.(1, 2)).toThrow(new TypeError("throwInto() expects 1 or no arguments"));
    expect(() => any.reset?.(1)).toThrow(new TypeError("reset() expects no arguments"));
    expect(running.run()).toBe("went well");
    for (const method of ["run", "throwInto", "reset"]) {
      for (const other of [null, {}, Fiber.prototype]) {
        expect(() => any[method]?.call(other)).toThrow(new TypeError("Illegal invocation"));
      }
    }
    expect(Fiber.prototype.started).toBe(undefined);
  });

  it("cannot yield below what must not be left half-way", () => {
    const vm = require("node:vm") as typeof import("node:vm");
    const error = Fiber(() => {
      const context = vm.createContext({ pause: () => Fiber.yield("half-way") });
      return thrown(() => vm.runInContext("pause()", context, { timeout: 10_000 }));
    }).run();
    expect(error.code).toBe("ERR_CANNOT_SUSPEND");
  });

  it("survives a stack overflow, within and in a chain of fibers", () => {
    const overflow = (): number => overflow() + 1;
    const fiber = Fiber(() => {
      Fiber.yield(thrown(overflow) instanceof RangeError);
      return "lives";
    });
    expect(fiber.run()).toBe(true);
    expect(fiber.run()).toBe("lives");
    const deepen = (depth: number): number => {
      if (depth === 0) return Fiber.yield("bottom") as number;
      return Fiber(() => 1).run() + deepen(depth - 1);
    };
    const deep = Fiber(() => deepen(500));
    expect(deep.run()).toBe("bottom");
    expect(deep.run(0)).toBe(500);
    expect(() => Fiber(overflow).run()).toThrow(RangeError);
    const runs = (): number => Fiber(() => 1).run() + runs(); // the stack is full where it is run, perhaps
    expect(() => Fiber(runs).run()).toThrow(RangeError);
  });

  it("tells how many stacks there are, and takes a size of the pool", () => {
    const many = Array.from({ length: 300 }, () => Fiber(() => Fiber.yield()));
    for (const fiber of many) fiber.run();
    expect(Fiber.fibersCreated).toBeGreaterThanOrEqual(300);
    for (const fiber of many) fiber.run();
    Fiber.poolSize = 7;
    expect(Fiber.poolSize).toBe(7);
  });
});

describeFibers("throwInto", () => {
  it("throws where the fiber yields, and returns what it yields next", () => {
    const fiber = Fiber(() => {
      try {
        Fiber.yield();
      } catch (error) {
        Fiber.yield(error);
      }
      return "end";
    });
    fiber.run();
    expect(fiber.throwInto("news")).toBe("news");
    expect(fiber.run()).toBe("end");
  });

  it("leaves the error as it is", () => {
    const error = new Error("thrown into");
    const { stack } = error;
    const fiber = Fiber(() => thrown(() => Fiber.yield()));
    fiber.run();
    expect(fiber.throwInto(error)).toBe(error);
    expect(error.stack).toBe(stack);
  });

  it("throws right back what the fiber does not catch", () => {
    let unwound = false;
    const fiber = Fiber(() => {
      try {
        Fiber.yield();
      } finally {
        unwound = true;
      }
    });
    fiber.run();
    expect(thrown(() => fiber.throwInto("back"))).toBe("back");
    expect([unwound, fiber.started]).toEqual([true, false]);
  });
});

describeFibers("reset", () => {
  it("ends a fiber that yields, and lets it live again", () => {
    const order: string[] = [];
    const fiber = Fiber(() => {
      try {
        Fiber.yield(order.push("begun"));
      } finally {
        order.push("unwound");
      }
    });
    fiber.run();
    expect(fiber.reset()).toBe(undefined);
    expect(fiber.started).toBe(false);
    expect(fiber.run()).toBe(3);
    expect(order).toEqual(["begun", "unwound", "begun"]);
    expect(fiber.reset()).toBe(undefined);
  });

  it("does nothing to one that has not begun", () => {
    expect(Fiber(() => 1).reset()).toBe(undefined);
  });

  it("throws from every yield until the fiber ends, and returns what it returns", () => {
    const messages: string[] = [];
    const fiber = Fiber(() => {
      for (let i = 0; i < 3; i++) messages.push(thrown(() => Fiber.yield()).message);
      return "stubborn";
    });
    fiber.run();
    expect(fiber.reset()).toBe("stubborn");
    expect(messages).toEqual(Array(3).fill("This Fiber is a zombie"));
  });

  it("throws what the fiber throws instead", () => {
    const fiber = Fiber(() => {
      try {
        Fiber.yield();
      } finally {
        // biome-ignore lint/correctness/noUnsafeFinally: to see what comes of it
        throw new Error("another");
      }
    });
    fiber.run();
    expect(() => fiber.reset()).toThrow("another");
  });
});

describeFibers("an old-style fiber that blocks in another way than to yield", () => {
  it("lets run return undefined, and goes on by itself", async () => {
    let read = "";
    const fiber = Fiber(() => {
      sleep(1);
      read = readFileSync(__filename, "utf8");
      sleep(1);
      return "nobody's";
    });
    expect(fiber.run()).toBe(undefined);
    expect(fiber.started).toBe(true);
    await until(() => !fiber.started);
    expect(read).toBe(readFileSync(__filename, "utf8"));
  });

  it("lets others run meanwhile", async () => {
    const order: string[] = [];
    const event = new Event();
    const fiber = Fiber(() => {
      event.wait();
      order.push("woken");
    });
    fiber.run();
    await spawn(() => {
      order.push("another");
      event.set();
    });
    await until(() => !fiber.started);
    expect(order).toEqual(["another", "woken"]);
  });

  it("gets what it is run with when it yields next: a call that blocked the thread would be over by then", async () => {
    const seen: unknown[] = [];
    const fiber = Fiber(() => {
      sleep(2);
      seen.push(Fiber.yield());
      seen.push(Fiber.yield());
    });
    fiber.run();
    expect(fiber.run("first")).toBe(undefined);
    expect(fiber.run("second")).toBe(undefined);
    await until(() => !fiber.started);
    expect(seen).toEqual(["first", "second"]);
  });

  it("has an error thrown into that call", () => {
    const fiber = Fiber(() => {
      const error = thrown(() => sleep(60_000));
      Fiber.yield(error);
    });
    fiber.run();
    expect(fiber.throwInto("stop")).toBe("stop");
    expect(fiber.run()).toBe(undefined);
  });

  it("is reset there", () => {
    let unwound = false;
    const fiber = Fiber(() => {
      try {
        sleep(60_000);
      } finally {
        unwound = true;
      }
    });
    fiber.run();
    expect(fiber.reset()).toBe(undefined);
    expect([unwound, fiber.started]).toEqual([true, false]);
  });

  it("fails as a listener does, if nobody has run it last", async () => {
    noteUncaught();
    const error = new Error("late");
    Fiber(() => {
      sleep(1);
      throw error;
    }).run();
    await until(() => uncaught.length > 0);
    expect(uncaught).toEqual([error]);
  });

  it("unwinds by itself when it blocks as it is reset, without an error", async () => {
    noteUncaught();
    const order: string[] = [];
    const fiber = Fiber(() => {
      try {
        Fiber.yield();
      } finally {
        sleep(1);
        order.push("unwound");
      }
    });
    fiber.run();
    expect(fiber.reset()).toBe(undefined);
    await until(() => !fiber.started);
    expect([order, uncaught]).toEqual([["unwound"], []]);
  });
});

describeFibers("run, in a fiber", () => {
  const file = __filename;
  const size = readFileSync(file).length;
  /** Reads a file in steps, each of which goes to libuv's pool. */
  const readInSteps = () => {
    const fd = openSync(file, "r");
    try {
      return readSync(fd, Buffer.alloc(size), 0, size, null);
    } finally {
      closeSync(fd);
    }
  };
  const slowly = () => Number(execFileSync(process.execPath, ["-p", "1"], { encoding: "utf8" }));

  it("waits for what the fiber yields while that is in Node's own functions, as it would in plain Node", async () => {
    const generator = Fiber(() => {
      for (let n = 0; n < 3; n++) Fiber.yield(n + slowly());
      return "end";
    });
    expect(await spawn(() => Array.from({ length: 4 }, () => generator.run()))).toEqual([1, 2, 3, "end"]);
  });

  it("lets other fibers run meanwhile", async () => {
    const order: string[] = [];
    const one = spawn(() => order.push(`read ${Fiber(() => slowly()).run()}`));
    const other = spawn(() => order.push("other"));
    await Promise.all([one, other]);
    expect(order).toEqual(["other", "read 1"]);
  });

  it("waits through a chain of fibers", async () => {
    const inner = Fiber(() => Fiber.yield(slowly() + readInSteps()));
    const middle = Fiber(() => Fiber.yield(inner.run() as number));
    expect(await spawn(() => middle.run())).toBe(1 + size);
  });

  it("waits through async scopes", async () => {
    const resource = new AsyncResource("TEST");
    const fiber = Fiber(() => {
      const read = resource.runInAsyncScope(() => slowly() + slowly()) + slowly();
      return resource.runInAsyncScope(() => Fiber.yield(read));
    });
    expect(await spawn(() => [fiber.run(), fiber.run("end")])).toEqual([3, "end"]);
  });

  it("throws what the fiber throws after it", async () => {
    const fiber = Fiber(() => {
      slowly();
      throw new Error("after that");
    });
    expect((await spawn(() => thrown(() => fiber.run()))).message).toBe("after that");
    expect(fiber.started).toBe(false);
  });

  it("returns undefined as soon as the fiber waits for what only fibers know", async () => {
    const event = new Event();
    const fiber = Fiber(() => {
      slowly();
      event.wait();
      return "nobody's";
    });
    expect(await spawn(() => [fiber.run(), fiber.started])).toEqual([undefined, true]);
    event.set();
    await until(() => !fiber.started);
  });

  it("is killed without the fiber that it waits for", async () => {
    let read = 0;
    const fiber = Fiber(() => {
      read = slowly();
      return Fiber.yield();
    });
    const runner = spawn(() => fiber.run());
    await until(() => fiber.started);
    await spawn(() => runner.kill());
    expect([runner.value instanceof FiberExit, read]).toEqual([true, 0]);
    await until(() => read === 1);
    expect(fiber.run("goes on")).toBe("goes on");
  });

  it("tells the process of an error that comes after it was killed", async () => {
    noteUncaught();
    const fiber = Fiber(() => {
      slowly();
      throw new Error("for nobody");
    });
    const runner = spawn(() => fiber.run());
    await until(() => fiber.started);
    await spawn(() => runner.kill());
    await until(() => uncaught.length > 0);
    expect(uncaught).toMatchObject([{ message: "for nobody" }]);
  });

  it("does not wait twice: who throws into the fiber gets undefined while it is still busy", async () => {
    const seen: unknown[] = [];
    const fiber = Fiber(() => {
      seen.push(thrown(slowly));
      seen.push(slowly());
      return "end";
    });
    const runner = spawn(() => fiber.run());
    await until(() => fiber.started);
    expect(await spawn(() => fiber.throwInto("in between"))).toBe(undefined);
    expect(await runner).toBe("end");
    expect(seen).toEqual(["in between", 1]);
  });

  it("gets what the fiber yields, before another who has run it meanwhile", async () => {
    const fiber = Fiber(() => [slowly(), Fiber.yield("to the first"), Fiber.yield("to the second")]);
    const first = spawn(() => fiber.run());
    await until(() => fiber.started);
    expect(fiber.run("early")).toBe(undefined);
    expect(await first).toBe("to the first");
    await settle();
    expect(fiber.run("last")).toEqual([1, "early", "last"]);
  });

  it("does not wait on the event loop's own stack", async () => {
    const fiber = Fiber(() => slowly());
    expect(fiber.run()).toBe(undefined);
    await until(() => !fiber.started);
  });
});

describeFibers("an old-style fiber beside ours", () => {
  it("is one of ours", () => {
    const seen: unknown[] = [];
    const fiber = Fiber(function work() {
      const own = OwnFiber.current as OwnFiber;
      seen.push(own.name, own.dead, fibers().find(({ id }) => id === own.id)?.state);
      Fiber.yield(own);
    });
    const own: OwnFiber = fiber.run();
    const listed = fibers().find(({ id }) => id === own.id);
    expect([listed?.state, listed?.where.startsWith("work (")]).toEqual(["suspended", true]);
    fiber.run();
    expect(own.dead).toBe(true);
    expect(seen).toEqual(["work", false, "running"]);
  });

  it("is announced at its beginning and its end, also when another one runs it", async () => {
    const told: string[] = [];
    const tell = (event: string) => (message: unknown) => {
      const { fiber, error } = message as { fiber: OwnFiber; error?: Error };
      told.push([event, fiber.name, error?.message].join(" ").trim());
    };
    const [spawned, ended] = [tell("spawn"), tell("end")];
    subscribe("runtime:fiber:spawn", spawned);
    subscribe("runtime:fiber:end", ended);
    await spawn(function outer() {
      Fiber(function inner() {}).run();
      thrown(() =>
        Fiber(function failing() {
          throw new Error("no");
        }).run(),
      );
      sleep(0);
    });
    unsubscribe("runtime:fiber:spawn", spawned);
    unsubscribe("runtime:fiber:end", ended);
    expect(told.filter((text) => /inner|failing/.test(text))).toEqual([
      "spawn inner",
      "spawn failing",
      "end inner",
      "end failing no",
    ]);
  });

  it("can be killed where it yields", async () => {
    let error: unknown;
    const fiber = Fiber(() => {
      try {
        Fiber.yield(OwnFiber.current);
      } catch (caught) {
        error = caught;
        throw caught;
      }
    });
    const own: OwnFiber = fiber.run();
    own.kill();
    await own;
    expect(error).toBeInstanceOf(FiberExit);
    expect(fiber.started).toBe(false);
  });

  it("can be waited for", async () => {
    const fiber = Fiber(() => {
      Fiber.yield(OwnFiber.current);
      return "value";
    });
    const own: OwnFiber = fiber.run();
    const waiting = spawn(() => own.get());
    await until(() => fibers().length >= 2);
    fiber.run();
    expect(await waiting).toBe("value");
  });

  it("is bounded by a time limit", async () => {
    let seen: unknown;
    const fiber = Fiber(() => {
      seen = withTimeout(5, () => Fiber.yield(), "too late");
    });
    fiber.run();
    await until(() => !fiber.started);
    expect(seen).toBe("too late");
  });

  it("shows a fiber of ours to what runs in it: it yields, and is run", async () => {
    let view: typeof Fiber.current;
    const own = spawn(() => {
      view = Fiber.current;
      (view as { note?: number }).note = 1;
      const value = Fiber.yield();
      return [value, Fiber.current === view, (Fiber.current as { note?: number }).note];
    });
    await until(() => view !== undefined);
    expect(view).toBeInstanceOf(Fiber);
    await until(() => view?.started && fibers().every(({ state }) => state === "suspended"));
    expect(view?.run("news")).toEqual(["news", true, 1]);
    expect(await own).toEqual(["news", true, 1]);
    expect(view?.run("late")).toBe(undefined);
  });

  it("is not there for callbacks, which are not in one in plain Node", async () => {
    const seen: unknown[] = [];
    await new Promise<void>((resolve) =>
      setTimeout(() => resolve(void seen.push(OwnFiber.current?.started, Fiber.current))),
    );
    expect(seen).toEqual([true, undefined]);
    const inMain = `
      const { Fiber, runMain } = require("runtime");
      const main = runMain(() => console.log(Fiber.current !== null, require("runtime/fibers").current));`;
    expect(await run(inMain)).toEqual(printing("true undefined"));
  });

  it("throws into a fiber of ours, and resets it", async () => {
    const views: NonNullable<typeof Fiber.current>[] = [];
    const pause = () => {
      views.push(Fiber.current as NonNullable<typeof Fiber.current>);
      return Fiber.yield();
    };
    const [thrownInto, reset] = [spawn(() => thrown(pause)), spawn(pause)];
    await until(() => views.length === 2);
    await settle();
    expect(views[0]?.throwInto("news")).toBe("news");
    expect(await thrownInto).toBe("news");
    expect(views[1]?.reset()).toBe(undefined);
    expect(await reset).toBeInstanceOf(FiberExit);
  });

  it("resumes several fibers of ours from one", async () => {
    const got: unknown[] = [];
    const views: NonNullable<typeof Fiber.current>[] = [];
    const all = [1, 2, 3].map((n) =>
      spawn(() => {
        views.push(Fiber.current as NonNullable<typeof Fiber.current>);
        got.push([n, Fiber.yield()]);
      }),
    );
    await spawn(() => {
      while (views.length < 3) sleep(0);
      sleep(0);
      for (const [index, view] of views.entries()) view.run(`v${index}`);
      got.push("runner");
    });
    await Promise.all(all);
    expect(got).toEqual([[1, "v0"], [2, "v1"], [3, "v2"], "runner"]);
  });

  it("keeps its async context", async () => {
    const storage = new AsyncLocalStorage<string>();
    const fiber = storage.run("born", () => {
      const made = Fiber(() => {
        const seen = [storage.getStore()];
        Fiber.yield();
        seen.push(storage.getStore());
        storage.run("inner", () => {
          Fiber.yield();
          seen.push(storage.getStore());
        });
        seen.push(storage.getStore());
        return seen;
      });
      made.run();
      return made;
    });
    storage.run("other", () => {
      fiber.run();
      expect(storage.getStore()).toBe("other");
    });
    expect(fiber.run()).toEqual(["born", "born", "inner", "born"]);
    expect(storage.getStore()).toBe(undefined);
  });

  it("yields from within an async scope, and goes on after it at once", () => {
    const resource = new AsyncResource("TEST");
    const fiber = Fiber(() => {
      const inner = resource.runInAsyncScope(() => Fiber.yield("in scope"));
      const outer = Fiber.yield("after scope");
      return [inner, outer];
    });
    expect(fiber.run()).toBe("in scope");
    expect(fiber.run(1)).toBe("after scope");
    expect(fiber.run(2)).toEqual([1, 2]);
  });

  it("throws out of an async scope to whoever has run it", () => {
    const resource = new AsyncResource("TEST");
    const fiber = Fiber(() => resource.runInAsyncScope(() => Fiber.yield()));
    fiber.run();
    expect(thrown(() => fiber.throwInto("out"))).toBe("out");
  });

  it("waits for promises", async () => {
    let value: unknown;
    const fiber = Fiber(() => {
      value = wait(Promise.resolve().then(() => "later"));
    });
    fiber.run();
    await until(() => !fiber.started);
    expect(value).toBe("later");
  });

  it("runs in the thousands, in any order", () => {
    const all = Array.from({ length: 2000 }, (_, n) => Fiber(() => n + (Fiber.yield(n) as number)));
    expect(all.map((fiber) => fiber.run())).toEqual(all.map((_, n) => n));
    expect(all.reverse().map((fiber) => fiber.run(1))).toEqual(all.map((_, n) => 2000 - n));
  });
});

const collect = `
  const { setImmediate: turn } = require("node:timers/promises");
  const { FiberExit } = require("runtime");
  const Fiber = require("runtime/fibers");
  async function until(condition) {
    for (let i = 0; i < 2000; i++) {
      if (condition()) return;
      gc();
      await turn();
    }
    console.log("not so:", String(condition));
    process.exit(1);
  }`;

describeFibers("an old-style fiber that nobody can run any more", () => {
  const check = (program: string) => run(`${collect}\n(async () => {${program}})();`, { flags: ["--expose-gc"] });

  it("is unwound when it is garbage", async () => {
    expect(
      await check(`
        const order = [];
        (() => { Fiber(() => { try { Fiber.yield({}); } catch (e) { order.push(e instanceof FiberExit); throw e; } finally { order.push("unwound"); } }).run(); })();
        await until(() => order.length === 2);
        console.log(order.join());`),
    ).toEqual(printing("true,unwound"));
  });

  it("cannot yield on while it unwinds", async () => {
    expect(
      await check(`
        const messages = [];
        (() => { Fiber(() => { for (let i = 0; i < 3; i++) try { Fiber.yield(); } catch (e) { messages.push(e.message); } }).run(); })();
        await until(() => messages.length === 3);
        console.log(messages.slice(1).join());`),
    ).toEqual(printing("This Fiber is a zombie,This Fiber is a zombie"));
  });

  it("gives its stack back", async () => {
    expect(
      await check(`
        const round = () => { for (let i = 0; i < 100; i++) Fiber(() => Fiber.yield()).run(); };
        let unwound = 0;
        const watch = () => { for (let i = 0; i < 100; i++) Fiber(() => { try { Fiber.yield(); } finally { unwound++; } }).run(); };
        watch();
        await until(() => unwound === 100);
        const { fibersCreated } = Fiber;
        watch();
        console.log(Fiber.fibersCreated === fibersCreated);
        process.exit();`),
    ).toEqual(printing("true"));
  });
});

describeFibers("an old-style fiber and the process", () => {
  it("does not keep it alive", async () => {
    expect(
      await run(`require("runtime/fibers")(() => require("runtime/fibers").yield()).run(); console.log("end");`),
    ).toEqual(printing("end"));
  });

  it("may exit it", async () => {
    const program = `
      const Fiber = require("runtime/fibers");
      Fiber(() => Fiber.yield()).run();
      Fiber(() => Fiber(() => process.exit(3)).run()).run();`;
    expect(await run(program)).toMatchObject({ code: 3, stdout: "", stderr: "" });
  });

  it("shows the line of an error that goes uncaught after a suspension", async () => {
    const program = `
      const Fiber = require("runtime/fibers");
      const { sleep } = require("runtime");
      Fiber(() => { sleep(1); throw new Error("boom"); }).run();`;
    const { code, stderr } = await run(program);
    expect(code).toBe(1);
    expect(stderr).toContain('throw new Error("boom")');
  });

  it("runs on a worker thread", async () => {
    const program = `
      const { Worker, isMainThread, parentPort } = require("node:worker_threads");
      if (isMainThread) new Worker(__filename).on("message", (sum) => console.log(sum));
      else {
        const Fiber = require("runtime/fibers");
        const numbers = Fiber(() => { for (let i = 1; i < 4; i++) Fiber.yield(i); return 0; });
        let sum = 0;
        for (let n; (n = numbers.run()); ) sum += n;
        parentPort.postMessage(sum);
      }`;
    expect(await run(program)).toEqual(printing("6"));
  });
});

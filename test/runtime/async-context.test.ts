import {
  AsyncLocalStorage,
  AsyncResource,
  executionAsyncId,
  executionAsyncResource,
  triggerAsyncId,
} from "node:async_hooks";
import { EventEmitterAsyncResource } from "node:events";
import { Fiber, sleep, spawn, wait, wrap } from "runtime";
import { describe, expect, it } from "vitest";
import { deferred } from "../support/deferred";
import { describeFibers, itFibers } from "../support/fibers";
import { turn } from "../support/turns";

describeFibers("AsyncLocalStorage in a fiber", () => {
  it("has the store of the place where the fiber was spawned", async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen = await storage.run("spawner", () =>
      spawn(() => {
        const before = storage.getStore();
        sleep(1);
        return [before, storage.getStore()];
      }),
    );
    expect(seen).toEqual(["spawner", "spawner"]);
  });

  it("run: keeps its store over a suspension, and takes it back at the end", async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen = await storage.run("outer", () =>
      spawn(() => {
        const inner = storage.run("inner", () => {
          sleep(1);
          return storage.getStore();
        });
        return [inner, storage.getStore()];
      }),
    );
    expect(seen).toEqual(["inner", "outer"]);
  });

  it("run: takes its store back when the fiber is killed inside", async () => {
    const storage = new AsyncLocalStorage<string>();
    const fiber = storage.run("outer", () =>
      spawn(() => {
        try {
          storage.run("inner", () => sleep(1e6));
        } catch {}
        return storage.getStore();
      }),
    );
    await turn();
    fiber.kill();
    expect(await fiber).toBe("outer");
  });

  it("enterWith: changes this fiber's store, also after it was suspended", async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen = await spawn(() => {
      storage.enterWith("entered");
      sleep(1);
      return storage.getStore();
    });
    expect(seen).toBe("entered");
  });

  it("enterWith: is not seen by other fibers, nor by the hub", async () => {
    const storage = new AsyncLocalStorage<string>();
    const gate = deferred();
    const fiber = spawn(() => {
      storage.enterWith("mine");
      wait(gate.promise);
    });
    await turn();
    const others = [storage.getStore(), await spawn(() => storage.getStore())];
    gate.resolve();
    await fiber;
    expect(others).toEqual([undefined, undefined]);
  });

  it("exit: has no store inside, over a suspension, and has it again after", async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen = await storage.run("outer", () =>
      spawn(() => {
        const inside = storage.exit(() => {
          const before = storage.getStore();
          sleep(1);
          return [before, storage.getStore()];
        });
        return [...inside, storage.getStore()];
      }),
    );
    expect(seen).toEqual([undefined, undefined, "outer"]);
  });

  it("exit: takes nobody else's store away while the fiber is suspended inside", async () => {
    const storage = new AsyncLocalStorage<string>();
    const gate = deferred();
    const fiber = storage.run("outer", () => spawn(() => storage.exit(() => wait(gate.promise))));
    await turn();
    const other = await storage.run("other", () => spawn(() => storage.getStore()));
    const hub = storage.run("hub", () => storage.getStore());
    gate.resolve();
    await fiber;
    expect([other, hub]).toEqual(["other", "hub"]);
  });

  it("exit: leaves others theirs while the fiber is suspended inside, and they do not bring its own back", async () => {
    const storage = new AsyncLocalStorage<string>();
    const gate = deferred();
    const [exited, other] = storage.run("outer", () => [
      spawn(() =>
        storage.exit(() => {
          wait(gate.promise);
          return storage.getStore();
        }),
      ),
      spawn(() => {
        const before = storage.getStore();
        const inner = storage.run("inner", () => storage.getStore());
        gate.resolve();
        sleep(1);
        return [before, inner, storage.getStore()];
      }),
    ]);
    expect([await exited, await other]).toEqual([undefined, ["outer", "inner", "outer"]]);
  });

  it("is each fiber's own when many take turns", async () => {
    const storage = new AsyncLocalStorage<number>();
    const fibers = Array.from({ length: 100 }, (_, i) =>
      storage.run(i, () =>
        spawn(() => {
          const seen = new Set<number | undefined>();
          for (let k = 0; k < 10; k++) {
            sleep((i * 7 + k) % 5);
            seen.add(storage.getStore());
          }
          return [...seen];
        }),
      ),
    );
    expect(await Promise.all(fibers)).toEqual(fibers.map((_, i) => [i]));
  });

  it("is the resumer's own again after it has resumed a fiber", async () => {
    const storage = new AsyncLocalStorage<string>();
    const gate = deferred();
    const fiber = storage.run("fiber", () => spawn(() => wait(gate.promise)));
    await turn();
    const seen = await storage.run("hub", async () => {
      gate.resolve();
      await gate.promise; // its reactions, which resume the fiber, have run before this continues
      return storage.getStore();
    });
    await fiber;
    expect(seen).toBe("hub");
  });

  it("goes along into timers and promises that a fiber starts", async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen = await spawn(() =>
      storage.run("of the fiber", () => {
        sleep(1);
        const timer = new Promise((resolve) => setTimeout(() => resolve(storage.getStore()), 1));
        const promise = Promise.resolve().then(() => storage.getStore());
        return [wait(timer), wait(promise)];
      }),
    );
    expect(seen).toEqual(["of the fiber", "of the fiber"]);
  });

  it("snapshot: runs a function in the captured context, which may suspend", async () => {
    const storage = new AsyncLocalStorage<string>();
    const snapshot = storage.run("captured", () => AsyncLocalStorage.snapshot());
    const seen = await storage.run("fiber", () =>
      spawn(() => {
        const inside = snapshot(() => {
          sleep(1);
          return storage.getStore();
        });
        return [inside, storage.getStore()];
      }),
    );
    expect(seen).toEqual(["captured", "fiber"]);
  });

  it("bind: runs a function in the context of its making, which may suspend", async () => {
    const storage = new AsyncLocalStorage<string>();
    const bound = storage.run("bound", () =>
      AsyncLocalStorage.bind(() => {
        sleep(1);
        return storage.getStore();
      }),
    );
    const seen = await storage.run("fiber", () => spawn(() => [bound(), storage.getStore()]));
    expect(seen).toEqual(["bound", "fiber"]);
  });

  it("goes with a wrapped handler", async () => {
    const storage = new AsyncLocalStorage<string>();
    const seen = deferred<unknown>();
    const handler = wrap(() => {
      sleep(1);
      seen.resolve(storage.getStore());
    });
    storage.run("caller", () => handler());
    expect(await seen.promise).toBe("caller");
  });
});

describeFibers("executionAsyncId", () => {
  it("is the fiber's own, before and after a suspension", async () => {
    const [before, after] = await spawn(() => {
      const before = executionAsyncId();
      sleep(1);
      return [before, executionAsyncId()];
    });
    expect(before).toBe(after);
    expect(before).not.toBe(executionAsyncId());
  });

  it("differs between fibers", async () => {
    const ids = await Promise.all(Array.from({ length: 10 }, () => spawn(() => executionAsyncId())));
    expect(new Set(ids).size).toBe(10);
  });

  it("has the spawner's as its trigger", async () => {
    const [parent, trigger] = await spawn(() => {
      const parent = executionAsyncId();
      return [parent, spawn(() => triggerAsyncId()).get()];
    });
    expect(trigger).toBe(parent);
  });

  it("goes with executionAsyncResource, which stays the fiber's", async () => {
    const [before, after] = await spawn(() => {
      const before = executionAsyncResource();
      sleep(1);
      return [before, executionAsyncResource()];
    });
    expect(before).toBe(after);
  });

  it("is the hub's own again while a fiber is suspended", async () => {
    const gate = deferred();
    const before = executionAsyncId();
    const fiber = spawn(() => wait(gate.promise));
    const during = await new Promise((resolve) => setImmediate(() => resolve(executionAsyncId())));
    gate.resolve();
    await fiber;
    expect(during).not.toBe(before); // an immediate has one of its own
    expect(await spawn(() => executionAsyncId())).not.toBe(during);
  });
});

describe("runInAsyncScope in a fiber", () => {
  itFibers("may suspend inside, and returns what its function returns", async () => {
    const resource = new AsyncResource("TEST");
    const value = await spawn(() =>
      resource.runInAsyncScope(() => {
        sleep(1);
        return "value";
      }),
    );
    expect(value).toBe("value");
  });

  itFibers("calls its function with this and arguments", async () => {
    const self = {};
    const seen = await spawn(() =>
      new AsyncResource("TEST").runInAsyncScope(
        function (this: unknown, ...args: number[]) {
          return [this, args];
        },
        self,
        1,
        2,
      ),
    );
    expect(seen).toEqual([self, [1, 2]]);
    expect(seen[0]).toBe(self);
  });

  itFibers("throws what its function throws, also after a suspension", async () => {
    const error = new Error("inside");
    const caught = await spawn(() => {
      try {
        new AsyncResource("TEST").runInAsyncScope(() => {
          sleep(1);
          throw error;
        });
      } catch (thrown) {
        return thrown;
      }
    });
    expect(caught).toBe(error);
  });

  itFibers("runs in the resource's id and context, over a suspension, and leaves it at the end", async () => {
    const storage = new AsyncLocalStorage<string>();
    const resource = storage.run("resource", () => new AsyncResource("TEST"));
    const seen = await storage.run("fiber", () =>
      spawn(() => {
        const own = executionAsyncId();
        const inside = resource.runInAsyncScope(() => {
          sleep(1);
          return [executionAsyncId() === resource.asyncId(), storage.getStore()];
        });
        return [...inside, executionAsyncId() === own, storage.getStore()];
      }),
    );
    expect(seen).toEqual([true, "resource", true, "fiber"]);
  });

  itFibers("is still the same fiber inside", async () => {
    const fiber: Fiber<boolean> = spawn(() =>
      new AsyncResource("TEST").runInAsyncScope(() => {
        const before = Fiber.current;
        sleep(1);
        return before === fiber && Fiber.current === fiber;
      }),
    );
    expect(await fiber).toBe(true);
  });

  itFibers("nests, each level suspending", async () => {
    const descend = (levels: number): number => {
      sleep(levels % 2);
      return levels === 0 ? 0 : 1 + new AsyncResource("TEST").runInAsyncScope(descend, null, levels - 1);
    };
    expect(await spawn(() => descend(20))).toBe(20);
  });

  itFibers("of many fibers interleaves in any order", async () => {
    const fibers = Array.from({ length: 50 }, (_, i) =>
      spawn(() => {
        const resource = new AsyncResource("TEST");
        return [1, 2, 3].map((k) =>
          resource.runInAsyncScope(() => {
            sleep((i * 7 + k * 3) % 6);
            return executionAsyncId() === resource.asyncId();
          }),
        );
      }),
    );
    for (const fiber of fibers) expect(await fiber).toEqual([true, true, true]);
  });

  itFibers("of one resource may be open in two fibers at once", async () => {
    const resource = new AsyncResource("TEST");
    const enter = (ms: number) =>
      spawn(() =>
        resource.runInAsyncScope(() => {
          sleep(ms);
          return executionAsyncId() === resource.asyncId();
        }),
      );
    expect(await Promise.all([enter(10), enter(1), enter(5)])).toEqual([true, true, true]);
  });

  itFibers("keeps enterWith inside the scope, as on the hub", async () => {
    const storage = new AsyncLocalStorage<string>();
    const resource = new AsyncResource("TEST");
    const seen = await spawn(() => {
      resource.runInAsyncScope(() => {
        storage.enterWith("inside");
        sleep(1);
      });
      return storage.getStore();
    });
    expect(seen).toBe(undefined);
  });

  itFibers("by way of AsyncResource.bind may suspend, too", async () => {
    const bound = AsyncResource.bind((value: string) => {
      sleep(1);
      return `${value} in fiber ${Fiber.current !== null}`;
    });
    expect(await spawn(() => bound("bound"))).toBe("bound in fiber true");
  });

  itFibers("by way of an EventEmitterAsyncResource may suspend in its listeners", async () => {
    const emitter = new EventEmitterAsyncResource({ name: "TEST" });
    const seen: unknown[] = [];
    emitter.on("event", (value) => {
      sleep(1);
      seen.push(value, executionAsyncId() === emitter.asyncId);
    });
    await spawn(() => emitter.emit("event", "value"));
    expect(seen).toEqual(["value", true]);
  });

  it("on the hub's stack is Node's own", () => {
    const resource = new AsyncResource("TEST");
    expect(resource.runInAsyncScope(() => executionAsyncId())).toBe(resource.asyncId());
    expect([resource.runInAsyncScope.name, resource.runInAsyncScope.length]).toEqual(["runInAsyncScope", 2]);
  });

  itFibers("of what is no function throws as Node does", async () => {
    const call = () => {
      try {
        new AsyncResource("TEST").runInAsyncScope(1 as never);
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(await spawn(call)).toBe(call());
  });
});

import { getEventListeners } from "node:events";
import {
  AsyncResult,
  Channel,
  Condition,
  Empty,
  Event,
  Fiber,
  Full,
  Group,
  JoinableQueue,
  joinAll,
  killAll,
  type Limit,
  Pool,
  Queue,
  RLock,
  Semaphore,
  sleep,
  spawn,
  Timeout,
  wait,
  waitAll,
} from "runtime";
import { describe, expect, it } from "vitest";
import { deferred } from "../../support/deferred";
import { describeFibers, hasFibers } from "../../support/fibers";
import { printing, run } from "../../support/run";
import { turn } from "../../support/turns";

const forEver = Number.POSITIVE_INFINITY;

/** A call that has to wait, and what lets it go on. */
interface Case {
  call(limit?: Limit): unknown;
  wake(): void;
  /** What it returns when it is over in time. */
  value?: unknown;
}

/** What it does when the time is over first: returns a value, or throws an error of a class. */
type Expiry = { returns: unknown } | { throws: new (...args: never[]) => Error };

const fails = (error: new (...args: never[]) => Error): Expiry => ({ throws: error });
const returns = (value: unknown): Expiry => ({ returns: value });

function lockedByHub<L extends RLock | Condition>(lock: L): L {
  lock.acquire();
  return lock;
}

// Each takes its limit in any form, and can be asked on the hub's stack too.
const anywhere: [string, Expiry, () => Case][] = [
  [
    "Event#wait",
    returns(false),
    () => {
      const event = new Event();
      return { call: (limit) => event.wait(limit), wake: () => event.set(), value: true };
    },
  ],
  [
    "AsyncResult#get",
    fails(Timeout),
    () => {
      const result = new AsyncResult<string>();
      return { call: (limit) => result.get(limit), wake: () => result.set("value"), value: "value" };
    },
  ],
  [
    "AsyncResult#wait",
    returns(undefined),
    () => {
      const result = new AsyncResult<string>();
      return { call: (limit) => result.wait(limit), wake: () => result.set("value"), value: "value" };
    },
  ],
  [
    "Semaphore#acquire",
    returns(false),
    () => {
      const semaphore = new Semaphore(0);
      return { call: (limit) => semaphore.acquire(limit), wake: () => semaphore.release(), value: true };
    },
  ],
  [
    "Semaphore#wait",
    returns(false),
    () => {
      const semaphore = new Semaphore(0);
      return { call: (limit) => semaphore.wait(limit), wake: () => semaphore.release(), value: true };
    },
  ],
  [
    "Semaphore#hold",
    fails(Timeout),
    () => {
      const semaphore = new Semaphore(0);
      return { call: (limit) => semaphore.hold(limit)[Symbol.dispose](), wake: () => semaphore.release() };
    },
  ],
  [
    "Semaphore#runExclusive",
    fails(Timeout),
    () => {
      const semaphore = new Semaphore(0);
      return {
        call: (limit) => semaphore.runExclusive(() => "ran", limit),
        wake: () => semaphore.release(),
        value: "ran",
      };
    },
  ],
  [
    "Queue#get",
    fails(Empty),
    () => {
      const queue = new Queue<string>();
      return { call: (limit) => queue.get(limit), wake: () => queue.put("item"), value: "item" };
    },
  ],
  [
    "Queue#peek",
    fails(Empty),
    () => {
      const queue = new Queue<string>();
      return { call: (limit) => queue.peek(limit), wake: () => queue.put("item"), value: "item" };
    },
  ],
  [
    "Queue#put",
    fails(Full),
    () => {
      const queue = new Queue<string>(1, ["first"]);
      return { call: (limit) => queue.put("second", limit), wake: () => queue.get() };
    },
  ],
  [
    "Channel#get",
    fails(Empty),
    () => {
      const channel = new Channel<string>();
      return {
        call: (limit) => channel.get(limit),
        wake: () => channel.put("item"),
        value: "item",
      };
    },
  ],
  [
    "Channel#put",
    fails(Full),
    () => {
      const channel = new Channel<string>();
      return { call: (limit) => channel.put("item", limit), wake: () => channel.get() };
    },
  ],
  [
    "JoinableQueue#join",
    returns(false),
    () => {
      const queue = new JoinableQueue<string>(1, ["item"]);
      return { call: (limit) => queue.join(limit), wake: () => queue.taskDone(), value: true };
    },
  ],
];

// These need a fiber to begin with, or suspend another one.
const inFibers: [string, Expiry, () => Case][] = [
  [
    "RLock#acquire",
    returns(false),
    () => {
      const lock = lockedByHub(new RLock());
      return { call: (limit) => lock.acquire(limit), wake: () => lock.release(), value: true };
    },
  ],
  [
    "Condition#acquire",
    returns(false),
    () => {
      const condition = lockedByHub(new Condition());
      return { call: (limit) => condition.acquire(limit), wake: () => condition.release(), value: true };
    },
  ],
  [
    "Condition#wait",
    returns(false),
    () => {
      const condition = new Condition();
      return {
        call: (limit) => condition.runExclusive(() => condition.wait(limit)),
        wake: () => condition.runExclusive(() => condition.notify()),
        value: true,
      };
    },
  ],
  [
    "Condition#waitFor",
    returns(undefined),
    () => {
      const condition = new Condition();
      let state: string | undefined;
      return {
        call: (limit) => condition.runExclusive(() => condition.waitFor(() => state, limit)),
        wake: () => {
          state = "as wanted";
          condition.runExclusive(() => condition.notify());
        },
        value: "as wanted",
      };
    },
  ],
  [
    "Fiber#join",
    returns(false),
    () => {
      const gate = new Event();
      const fiber = spawn(() => gate.wait());
      return { call: (limit) => fiber.join(limit), wake: () => gate.set(), value: true };
    },
  ],
  [
    "Fiber#get",
    fails(Timeout),
    () => {
      const gate = new Event();
      const fiber = spawn(() => gate.wait());
      return { call: (limit) => fiber.get(limit), wake: () => gate.set(), value: true };
    },
  ],
  [
    "Group#join",
    returns(false),
    () => {
      const gate = new Event();
      const group = new Group();
      group.spawn(() => gate.wait());
      return { call: (limit) => group.join(limit), wake: () => gate.set(), value: true };
    },
  ],
  [
    "Pool#waitAvailable",
    returns(false),
    () => {
      const gate = new Event();
      const pool = new Pool(1);
      pool.spawn(() => gate.wait());
      return { call: (limit) => pool.waitAvailable(limit), wake: () => gate.set(), value: true };
    },
  ],
  [
    "Pool#add",
    fails(Full),
    () => {
      const gate = new Event();
      const pool = new Pool(1);
      pool.spawn(() => gate.wait());
      return { call: (limit) => pool.add(new Fiber(() => {}), limit), wake: () => gate.set() };
    },
  ],
  [
    "Pool#start",
    fails(Full),
    () => {
      const gate = new Event();
      const pool = new Pool(1);
      pool.spawn(() => gate.wait());
      return { call: (limit) => pool.start(new Fiber(() => {}), limit), wake: () => gate.set() };
    },
  ],
  [
    "wait(event)",
    fails(Timeout),
    () => {
      const event = new Event();
      return { call: (limit) => wait(event, limit), wake: () => event.set(), value: true };
    },
  ],
  [
    "wait(promise)",
    fails(Timeout),
    () => {
      const gate = deferred<string>();
      return { call: (limit) => wait(gate.promise, limit), wake: () => gate.resolve("value"), value: "value" };
    },
  ],
  [
    "waitAll",
    returns([]),
    () => {
      const event = new Event();
      return {
        call: (limit = forEver) => waitAll([event], options(limit)).length === 1 || [],
        wake: () => event.set(),
        value: true,
      };
    },
  ],
  [
    "joinAll",
    returns([]),
    () => {
      const gate = new Event();
      const fiber = spawn(() => gate.wait());
      return {
        call: (limit = forEver) => joinAll([fiber], options(limit)).length === 1 || [],
        wake: () => gate.set(),
        value: true,
      };
    },
  ],
];

// Some take limits as options only.
function options(limit: Limit) {
  if (typeof limit === "number") return { timeout: limit };
  return "aborted" in limit ? { signal: limit } : limit;
}

const all = [...anywhere, ...inFibers];

function outcome(call: () => unknown): Expiry {
  try {
    return { returns: call() };
  } catch (error) {
    return { throws: (error as Error).constructor as never };
  }
}

const listeners = (signal: AbortSignal) => getEventListeners(signal, "abort").length;

describeFibers("a call that blocks, whatever its limit, returns when it is over in time", () => {
  describe.each(all)("%s", (_, __, make) => {
    it.each<[string, () => Limit | undefined]>([
      ["no limit", () => undefined],
      ["Infinity", () => forEver],
      ["milliseconds", () => 1e8],
      ["an AbortSignal", () => new AbortController().signal],
      ["{ timeout }", () => ({ timeout: 1e8 })],
      ["{ signal }", () => ({ signal: new AbortController().signal })],
      ["{ timeout, signal }", () => ({ timeout: 1e8, signal: new AbortController().signal })],
      ["{}", () => ({})],
    ])("%s", async (_, limit) => {
      const { call, wake, value } = make();
      const fiber = spawn(() => call(limit()));
      await turn();
      expect(fiber.dead).toBe(false);
      wake();
      expect(await fiber).toEqual(value);
    });
  });
});

describeFibers("a call whose time is over first does what it documents", () => {
  describe.each(all)("%s", (_, expired, make) => {
    it.each<[string, Limit]>([
      ["milliseconds", 1],
      ["{ timeout }", { timeout: 1 }],
      ["{ timeout, signal }", { timeout: 1, signal: new AbortController().signal }],
    ])("%s", async (_, limit) => {
      const { call } = make();
      expect(await spawn(() => outcome(() => call(limit)))).toEqual(expired);
    });
  });
});

describeFibers("a call with the limit 0 does not wait", () => {
  it.each(all)("%s", async (_, expired, make) => {
    const { call } = make();
    await turn();
    const seen = await spawn(() => {
      let othersRan = false;
      spawn(() => {
        othersRan = true;
      });
      return [outcome(() => call(0)), othersRan];
    });
    expect(seen).toEqual([expired, false]);
  });
});

describe("on the hub's stack a call with the limit 0 does not wait, and does what it documents", () => {
  it.each(anywhere)("%s", (_, expired, make) => {
    expect(outcome(() => make().call(0))).toEqual(expired);
  });
});

describe("on the hub's stack what would wait throws ERR_NOT_IN_FIBER", () => {
  const notTheHubs = inFibers.filter(([name]) => !/^(RLock|Condition)#acquire/.test(name));
  it.each(hasFibers ? [...anywhere, ...notTheHubs] : anywhere)("%s", (_, __, make) => {
    const { call } = make();
    expect(() => call()).toThrow(expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }));
  });
});

describe("a signal that is aborted already throws an AbortError before anything else", () => {
  it.each(hasFibers ? all : anywhere)("%s", (name, _, make) => {
    const { call, wake } = make();
    if (!name.startsWith("Channel")) wake(); // which nobody would wait for
    const reason = new Error("the reason");
    expect(() => call(AbortSignal.abort(reason))).toThrow(
      expect.objectContaining({ name: "AbortError", code: "ABORT_ERR", cause: reason }),
    );
    expect(() => call({ signal: AbortSignal.abort(reason), timeout: 0 })).toThrow(
      expect.objectContaining({ name: "AbortError" }),
    );
  });
});

describeFibers("a call whose signal is aborted throws an AbortError, with the reason as its cause", () => {
  describe.each(all)("%s", (_, __, make) => {
    it.each<[string, (signal: AbortSignal) => Limit]>([
      ["an AbortSignal", (signal) => signal],
      ["{ signal }", (signal) => ({ signal })],
      ["{ timeout, signal }", (signal) => ({ timeout: 1e8, signal })],
    ])("%s", async (_, limit) => {
      const { call } = make();
      const controller = new AbortController();
      const fiber = spawn(() => call(limit(controller.signal)));
      fiber.link(() => {});
      await turn();
      const reason = new Error("the reason");
      controller.abort(reason);
      await expect(fiber).rejects.toMatchObject({ name: "AbortError", code: "ABORT_ERR", cause: reason });
    });
  });

  it.each(all)("%s: also when another fiber aborts it", async (_, __, make) => {
    const { call } = make();
    const controller = new AbortController();
    const fiber = spawn(() => outcome(() => call(controller.signal)));
    await turn();
    spawn(() => controller.abort());
    expect(await fiber).toEqual({ throws: expect.objectContaining({ name: "AbortError" }) });
  });
});

describeFibers("a sleep whose signal is aborted throws an AbortError", () => {
  it.each<[string, (signal: AbortSignal) => { signal?: AbortSignal }]>([
    ["{ signal }", (signal) => ({ signal })],
    ["an AbortSignal", (signal) => signal as never],
  ])("%s", async (_, options) => {
    const controller = new AbortController();
    const fiber = spawn(() => sleep(forEver, options(controller.signal)));
    fiber.link(() => {});
    await turn();
    const reason = new Error("the reason");
    controller.abort(reason);
    await expect(fiber).rejects.toMatchObject({ name: "AbortError", code: "ABORT_ERR", cause: reason });
  });
});

describeFibers("a call that is over leaves no listener on its signal", () => {
  const ends: [string, (run: { wake(): void; fiber: Fiber; controller: AbortController }) => void][] = [
    ["when it returned", ({ wake }) => wake()],
    ["when its fiber was killed", ({ fiber }) => fiber.kill()],
    ["when it was aborted", ({ controller }) => controller.abort()],
  ];
  describe.each(all)("%s", (_, __, make) => {
    it.each(ends)("%s", async (_, end) => {
      const { call, wake } = make();
      const controller = new AbortController();
      const fiber = spawn(() => outcome(() => call({ signal: controller.signal, timeout: 1e8 })));
      await turn();
      expect(listeners(controller.signal)).toBe(1);
      end({ wake, fiber: fiber as Fiber, controller });
      await fiber;
      expect(listeners(controller.signal)).toBe(0);
    });

    it("when the time was over", async () => {
      const { call } = make();
      const { signal } = new AbortController();
      await spawn(() => outcome(() => call({ signal, timeout: 1 })));
      expect(listeners(signal)).toBe(0);
    });
  });

  it("sleep", async () => {
    const controllers = [new AbortController(), new AbortController(), new AbortController()] as const;
    const [slept, killed, aborted] = controllers.map(({ signal }, i) =>
      spawn(() => outcome(() => sleep(i === 0 ? 1 : 1e8, { signal }))),
    ) as [Fiber, Fiber, Fiber];
    await turn();
    killed.kill();
    controllers[2].abort();
    await Promise.all([slept, killed, aborted]);
    expect(controllers.map(({ signal }) => listeners(signal))).toEqual([0, 0, 0]);
  });

  it("kill", async () => {
    const { signal } = new AbortController();
    const fiber = spawn(() => sleep(forEver));
    await turn();
    await spawn(() => fiber.kill(undefined, { signal }));
    expect(listeners(signal)).toBe(0);
  });

  it("killAll", async () => {
    const { signal } = new AbortController();
    const fiber = spawn(() => sleep(forEver));
    await turn();
    await spawn(() => killAll([fiber], undefined, { signal }));
    expect(listeners(signal)).toBe(0);
  });
});

describeFibers("a call whose fiber was killed leaves no timer that keeps the process", () => {
  it.each([
    ["Event#wait", "new Event().wait(1e8)"],
    ["AsyncResult#get", "new AsyncResult().get(1e8)"],
    ["Semaphore#acquire", "new Semaphore(0).acquire(1e8)"],
    ["Semaphore#wait", "new Semaphore(0).wait(1e8)"],
    ["RLock#acquire", "lockedByHub.acquire(1e8)"],
    ["Condition#wait", "condition.runExclusive(() => condition.wait(1e8))"],
    ["Condition#waitFor", "condition.runExclusive(() => condition.waitFor(() => false, 1e8))"],
    ["Queue#get", "new Queue().get(1e8)"],
    ["Queue#peek", "new Queue().peek(1e8)"],
    ["Queue#put", "new Queue(1, [1]).put(2, 1e8)"],
    ["Channel#put", "new Channel().put(1, 1e8)"],
    ["JoinableQueue#join", "new JoinableQueue(1, [1]).join(1e8)"],
    ["Fiber#join", "new Fiber(() => {}).join(1e8)"],
    ["Group#join", "new Group([new Fiber(() => {})]).join(1e8)"],
    ["Pool#waitAvailable", "new Pool(0).waitAvailable(1e8)"],
    ["Pool#add", "new Pool(0).add(new Fiber(() => {}), 1e8)"],
    ["wait(promise)", "wait(new Promise(() => {}), 1e8)"],
    ["wait(timeout)", "wait(new Timeout(1e8))"],
    ["waitAll", "waitAll([new Event()], { timeout: 1e8 })"],
    ["joinAll", "joinAll([new Fiber(() => {})], { timeout: 1e8 })"],
    ["sleep", "sleep(1e8)"],
    ["withTimeout", "withTimeout(1e8, () => new Event().wait())"],
  ])("%s", async (_, call) => {
    const program = `
      Object.assign(globalThis, require("runtime"));
      const lockedByHub = new RLock(), condition = new Condition();
      lockedByHub.acquire();
      const fiber = spawn(() => { ${call}; });
      setImmediate(() => {
        console.log(fiber.dead);
        fiber.kill();
      });`;
    expect(await run(program, { timeout: 20_000 })).toEqual(printing("false"));
  });
});

// Of what is woken directly: the waker's turn decides, whatever comes before the woken fiber continues.
const direct = all.filter(([name]) => !/^(Fiber|Group|Pool|waitAll|joinAll|wait\(promise)/.test(name));

describeFibers("a call that was woken has what it waited for, though its limit is reached before it continues", () => {
  it.each(direct)("%s: timeout", async (_, __, make) => {
    const { call, wake, value } = make();
    const fiber = spawn(() => call(5));
    await turn();
    wake();
    const end = performance.now() + 20;
    while (performance.now() < end); // the timer is due before the fiber has its turn
    expect(await fiber).toEqual(value);
  });

  it.each(direct)("%s: abort", async (_, __, make) => {
    const { call, wake, value } = make();
    const controller = new AbortController();
    const fiber = spawn(() => call(controller.signal));
    await turn();
    wake();
    controller.abort();
    expect(await fiber).toEqual(value);
  });
});

// What one waiter did not take, the next one has: a permit, an item, a place.
const passedOn = direct.filter(([name]) => /^(Semaphore|RLock|Condition|Queue#(get|put)|Channel#(get|put))/.test(name));

describeFibers("what a waiter gives up goes to the next one, who waits", () => {
  const ends: [string, (fiber: Fiber, controller: AbortController) => void][] = [
    ["killed", (fiber) => fiber.throw(new Error("killed"))],
    ["aborted", (_, controller) => controller.abort()],
  ];
  describe.each(passedOn)("%s", (_, __, make) => {
    it.each(ends)("%s before it is woken, in one turn", async (_, end) => {
      const { call, wake, value } = make();
      const controller = new AbortController();
      const first = spawn(() => outcome(() => call(controller.signal)));
      const second = spawn(() => call());
      await turn();
      end(first as Fiber, controller);
      wake();
      expect(await first).toHaveProperty("throws");
      expect(await second).toEqual(value);
    });
  });

  const given = passedOn.filter(([name]) => !name.endsWith("#put")); // an item that was taken in stays in
  it.each(given)("%s: killed at the moment when it is woken", async (_, __, make) => {
    const { call, wake, value } = make();
    const first = spawn(() => outcome(() => call()));
    const second = spawn(() => call());
    await turn();
    wake();
    first.throw(new Error("killed"));
    expect(await first).toHaveProperty("throws");
    expect(await second).toEqual(value);
  });

  const anybodysToWake = given.filter(([name]) => !/^(RLock|Condition)#acquire/.test(name)); // not only the hub's
  it.each(anybodysToWake)("%s: killed at that moment by the fiber that wakes it", async (_, __, make) => {
    const { call, wake, value } = make();
    const first = spawn(() => outcome(() => call()));
    const second = spawn(() => call());
    await turn();
    await spawn(() => {
      wake();
      first.throw(new Error("killed"));
    });
    expect(await first).toHaveProperty("throws");
    expect(await second).toEqual(value);
  });
});

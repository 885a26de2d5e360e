import {
  AsyncResult,
  BoundedSemaphore,
  Channel,
  Condition,
  configure,
  Event,
  Fiber,
  FiberLocal,
  Group,
  iwait,
  JoinableQueue,
  joinAll,
  killAll,
  LifoQueue,
  Pool,
  PriorityQueue,
  Queue,
  RLock,
  runMain,
  Semaphore,
  sleep,
  spawn,
  spawnLater,
  Timeout,
  wait,
  waitAll,
  withTimeout,
  wrap,
} from "runtime";
import { describe, expect, it } from "vitest";
import { describeFibers, hasFibers } from "../support/fibers";
import { run } from "../support/run";

// biome-ignore lint/suspicious/noExplicitAny: these calls are wrong on purpose
const wrong = (value: unknown) => value as any;
const fiber = () => new Fiber(() => {});

const aType = (name: string) =>
  expect.objectContaining({
    name: "TypeError",
    code: "ERR_INVALID_ARG_TYPE",
    message: expect.stringContaining(`"${name}"`),
  });
const aRange = (name: string) =>
  expect.objectContaining({
    name: "RangeError",
    code: "ERR_OUT_OF_RANGE",
    message: expect.stringContaining(`"${name}"`),
  });

/** Calls that take a limit, with all else right. */
const limits: [string, (limit: never) => unknown][] = [
  ["wait", (limit) => wait(1, limit)],
  ["Event#wait", (limit) => new Event().wait(limit)],
  ["AsyncResult#get", (limit) => new AsyncResult().get(limit)],
  ["AsyncResult#wait", (limit) => new AsyncResult().wait(limit)],
  ["Semaphore#acquire", (limit) => new Semaphore().acquire(limit)],
  ["Semaphore#wait", (limit) => new Semaphore().wait(limit)],
  ["Semaphore#hold", (limit) => new Semaphore().hold(limit)],
  ["Semaphore#runExclusive", (limit) => new Semaphore().runExclusive(() => {}, limit)],
  ["BoundedSemaphore#acquire", (limit) => new BoundedSemaphore().acquire(limit)],
  ["RLock#acquire", (limit) => new RLock().acquire(limit)],
  ["RLock#hold", (limit) => new RLock().hold(limit)],
  ["RLock#runExclusive", (limit) => new RLock().runExclusive(() => {}, limit)],
  ["Condition#acquire", (limit) => new Condition().acquire(limit)],
  ["Condition#wait", (limit) => new Condition().wait(limit)],
  ["Condition#waitFor", (limit) => new Condition().waitFor(() => true, limit)],
  ["Queue#put", (limit) => new Queue().put(1, limit)],
  ["Queue#get", (limit) => new Queue(1, [1]).get(limit)],
  ["Queue#peek", (limit) => new Queue(1, [1]).peek(limit)],
  ["Channel#put", (limit) => new Channel().put(1, limit)],
  ["JoinableQueue#join", (limit) => new JoinableQueue().join(limit)],
  ["Group#join", (limit) => new Group().join(limit)],
  ["Pool#waitAvailable", (limit) => new Pool().waitAvailable(limit)],
  ["withTimeout", (limit) => withTimeout(limit, () => {})],
];

/** The same, which need a fiber. */
const limitsOfFibers: [string, (limit: never) => unknown][] = [
  ["Fiber#join", (limit) => fiber().join(limit)],
  ["Fiber#get", (limit) => fiber().get(limit)],
  ["Pool#add", (limit) => new Pool().add(fiber(), limit)],
  ["Pool#start", (limit) => new Pool().start(fiber(), limit)],
];

describe("a limit of the wrong type is named by the error", () => {
  describe.each(hasFibers ? [...limits, ...limitsOfFibers] : limits)("%s", (_, call) => {
    it.each<[string, unknown]>([
      ["limit", "1"],
      ["limit", null],
      ["limit", 1n],
      ["limit", () => {}],
      ["limit.timeout", { timeout: "1" }],
      ["limit.timeout", { timeout: null }],
      ["limit.signal", { signal: "abort" }],
      ["limit.signal", { signal: null }],
      ["limit.signal", { signal: {} }],
    ])("%s: %o", (name, limit) => {
      expect(() => call(wrong(limit))).toThrow(aType(name));
    });

    it.each<[string, unknown]>([
      ["limit", -1],
      ["limit", Number.NaN],
      ["limit", Number.NEGATIVE_INFINITY],
      ["limit.timeout", { timeout: -1 }],
      ["limit.timeout", { timeout: Number.NaN }],
    ])("%s out of range: %o", (name, limit) => {
      expect(() => call(wrong(limit))).toThrow(aRange(name));
    });
  });
});

describe("an argument of the wrong type to what needs no fiber is named by the error", () => {
  it.each<[string, string, () => unknown]>([
    ["sleep", "options", () => sleep(1, wrong(null))],
    ["sleep", "options.signal", () => sleep(1, { signal: wrong("abort") })],
    ["Event#link", "link", () => new Event().link(wrong({}))],
    ["Event#unlink", "link", () => new Event().unlink(wrong(null))],
    ["AsyncResult#link", "link", () => new AsyncResult().link(wrong(1))],
    ["AsyncResult#unlink", "link", () => new AsyncResult().unlink(wrong(1))],
    ["Semaphore", "value", () => new Semaphore(wrong("1"))],
    ["Semaphore#link", "link", () => new Semaphore().link(wrong("link"))],
    ["Semaphore#unlink", "link", () => new Semaphore().unlink(wrong("link"))],
    ["Semaphore#runExclusive", "fn", () => new Semaphore().runExclusive(wrong(1))],
    ["BoundedSemaphore", "value", () => new BoundedSemaphore(wrong(null))],
    ["RLock#runExclusive", "fn", () => new RLock().runExclusive(wrong(1))],
    ["Condition", "lock", () => new Condition(wrong("lock"))],
    ["Condition#waitFor", "predicate", () => new Condition().waitFor(wrong(true))],
    ["Condition#notify", "count", () => new Condition().notify(wrong("1"))],
    ["Queue", "maxSize", () => new Queue(wrong("1"))],
    ["Queue", "items", () => new Queue(1, wrong(1))],
    ["LifoQueue", "maxSize", () => new LifoQueue(wrong("1"))],
    ["LifoQueue", "items", () => new LifoQueue(1, wrong(1))],
    ["PriorityQueue", "compare", () => new PriorityQueue(wrong(5))],
    ["PriorityQueue", "maxSize", () => new PriorityQueue(undefined, wrong("1"))],
    ["PriorityQueue", "items", () => new PriorityQueue(undefined, 1, wrong({}))],
    ["JoinableQueue", "maxSize", () => new JoinableQueue(wrong("1"))],
    ["JoinableQueue", "items", () => new JoinableQueue(1, wrong(null))],
    ["iwait", "objects", () => iwait(wrong(1))],
    ["iwait", "objects[1]", () => iwait([new Event(), wrong({})])],
    ["iwait", "options", () => iwait([], wrong(null))],
    ["iwait", "options.count", () => iwait([], { count: wrong("1") })],
    ["iwait", "options.timeout", () => iwait([], { timeout: wrong("1") })],
    ["iwait", "options.signal", () => iwait([], { signal: wrong("1") })],
    ["waitAll", "objects", () => waitAll(wrong(null))],
    ["waitAll", "objects[0]", () => waitAll([wrong(1)])],
    ["waitAll", "options.count", () => waitAll([], { count: wrong(null) })],
    ["joinAll", "fibers", () => joinAll(wrong(1))],
    ["joinAll", "fibers[0]", () => joinAll([wrong(Promise.resolve())])],
    ["joinAll", "options.count", () => joinAll([], { count: wrong("1") })],
    ["joinAll", "options.raiseError", () => joinAll([], { raiseError: wrong(1) })],
    ["killAll", "fibers", () => killAll(wrong(1))],
    ["killAll", "fibers[0]", () => killAll([wrong(1)])],
    ["killAll", "options", () => killAll([], undefined, wrong(null))],
    ["killAll", "options.block", () => killAll([], undefined, { block: wrong(1) })],
    ["killAll", "options.timeout", () => killAll([], undefined, { timeout: wrong("1") })],
    ["Group", "fibers", () => new Group(wrong(1))],
    ["Group", "fiber", () => new Group([wrong(1)])],
    ["Group#add", "fiber", () => new Group().add(wrong({}))],
    ["Group#start", "fiber", () => new Group().start(wrong({}))],
    ["Group#spawn", "fn", () => new Group().spawn(wrong(1))],
    ["Group#join", "limit.raiseError", () => new Group().join({ raiseError: wrong(1) })],
    ["Group#kill", "options.block", () => new Group().kill(undefined, { block: wrong(1) })],
    ["Group#apply", "fn", () => new Group().apply(wrong(1))],
    ["Group#applyAsync", "fn", () => new Group().applyAsync(wrong(1))],
    ["Group#map", "fn", () => new Group().map(wrong(1), [])],
    ["Group#map", "items", () => new Group().map(String, wrong(1))],
    ["Group#mapAsync", "fn", () => new Group().mapAsync(wrong(1), [])],
    ["Group#mapAsync", "items", () => new Group().mapAsync(() => {}, wrong(1))],
    ["Group#imap", "fn", () => new Group().imap(wrong(1), [])],
    ["Group#imap", "items", () => new Group().imap(() => {}, wrong(1))],
    ["Group#imap", "options", () => new Group().imap(() => {}, [], wrong(null))],
    ["Group#imap", "options.maxSize", () => new Group().imap(() => {}, [], { maxSize: wrong("1") })],
    ["Group#imapUnordered", "fn", () => new Group().imapUnordered(wrong(1), [])],
    ["Pool", "size", () => new Pool(wrong("1"))],
    ["Pool#add", "fiber", () => new Pool().add(wrong(1))],
    ["Pool#start", "fiber", () => new Pool().start(wrong(1))],
    ["Pool#spawn", "fn", () => new Pool().spawn(wrong(1))],
    ["FiberLocal", "initial", () => new FiberLocal(wrong("value"))],
  ])("%s: %s", (_, name, call) => {
    expect(call).toThrow(aType(name));
  });
});

describe("a number out of range to what needs no fiber is named by the error", () => {
  it.each<[string, string, () => unknown]>([
    ["Semaphore, negative", "value", () => new Semaphore(-1)],
    ["Semaphore, a fraction", "value", () => new Semaphore(1.5)],
    ["Semaphore, NaN", "value", () => new Semaphore(Number.NaN)],
    ["BoundedSemaphore, negative", "value", () => new BoundedSemaphore(-1)],
    ["Condition#notify, 0", "count", () => new Condition().notify(0)],
    ["Queue, 0", "maxSize", () => new Queue(0)],
    ["Queue, negative", "maxSize", () => new Queue(-1)],
    ["Queue, a fraction", "maxSize", () => new Queue(1.5)],
    ["LifoQueue, 0", "maxSize", () => new LifoQueue(0)],
    ["PriorityQueue, 0", "maxSize", () => new PriorityQueue(undefined, 0)],
    ["JoinableQueue, 0", "maxSize", () => new JoinableQueue(0)],
    ["iwait, negative", "options.count", () => iwait([], { count: -1 })],
    ["iwait, negative", "options.timeout", () => iwait([], { timeout: -1 })],
    ["joinAll, a fraction", "options.count", () => joinAll([], { count: 1.5 })],
    ["killAll, negative", "options.timeout", () => killAll([], undefined, { timeout: -1 })],
    ["Pool, negative", "size", () => new Pool(-1)],
    ["Pool, a fraction", "size", () => new Pool(0.5)],
    ["Group#imap, 0", "options.maxSize", () => new Group().imap(() => {}, [], { maxSize: 0 })],
  ])("%s: %s", (_, name, call) => {
    expect(call).toThrow(aRange(name));
  });
});

describeFibers("an argument of the wrong type to a fiber's method is named by the error", () => {
  it.each<[string, string, () => unknown]>([
    ["Fiber#join", "limit", () => fiber().join(wrong("1"))],
    ["Fiber#get", "limit", () => fiber().get(wrong("1"))],
    ["Fiber#link", "link", () => fiber().link(wrong(undefined))],
    ["Fiber#unlink", "link", () => fiber().unlink(wrong(undefined))],
    ["Fiber#kill", "options.timeout", () => fiber().kill(undefined, { timeout: wrong("1") })],
    ["Fiber#kill", "options", () => fiber().kill(undefined, wrong(null))],
    ["Fiber#kill", "options.block", () => fiber().kill(undefined, { block: wrong("no") })],
    ["Fiber#kill", "options.signal", () => fiber().kill(undefined, { signal: wrong("abort") })],
  ])("%s: %s", (_, name, call) => {
    expect(call).toThrow(aType(name));
  });
});

describe("an argument of the wrong type is named by the error", () => {
  it.each<[string, string, () => unknown]>([
    ["spawn", "fn", () => spawn(wrong(1))],
    ["new Fiber", "fn", () => new Fiber(wrong("text"))],
    ["new Fiber", "options", () => new Fiber(() => {}, wrong(null))],
    ["new Fiber", "options.name", () => new Fiber(() => {}, { name: wrong(1) })],
    ["new Fiber", "options.stackSize", () => new Fiber(() => {}, { stackSize: wrong("1 MiB") })],
    ["spawnLater", "ms", () => spawnLater(wrong("1"), () => {})],
    ["spawnLater", "fn", () => spawnLater(1, wrong({}))],
    ["sleep", "ms", () => sleep(wrong("1"))],
    ["wait", "limit", () => wait(1, wrong(null))],
    ["runMain", "fn", () => runMain(wrong(1))],
    ["Timeout", "ms", () => new Timeout(wrong("1"))],
    ["withTimeout", "fn", () => withTimeout(1, wrong(1))],
    ["configure", "options", () => configure(wrong(null))],
    ["configure", "options.stackSize", () => configure({ stackSize: wrong("1") })],
    ["wrap", "handler", () => wrap(wrong(undefined))],
    ["AsyncResult#follow", "source", () => new AsyncResult().follow(wrong(null))],
    ["Queue#shutdown", "immediate", () => new Queue().shutdown(wrong("yes"))],
  ])("%s: %s", (_, name, call) => {
    expect(call).toThrow(aType(name));
  });
});

describeFibers("a number out of range, to a fiber's method, is named by the error", () => {
  it.each<[string, string, () => unknown]>([["Fiber#join, NaN", "limit", () => fiber().join(Number.NaN)]])(
    "%s: %s",
    (_, name, call) => {
      expect(call).toThrow(aRange(name));
    },
  );
});

describe("a number out of range is named by the error", () => {
  it.each<[string, string, () => unknown]>([
    ["sleep, negative", "ms", () => sleep(-1)],
    ["sleep, NaN", "ms", () => sleep(Number.NaN)],
    ["wait, negative", "limit", () => wait(1, -1)],
    ["spawnLater, negative", "ms", () => spawnLater(-1, () => {})],
    ["Timeout, negative", "ms", () => new Timeout(-1)],
    ["new Fiber, too small", "options.stackSize", () => new Fiber(() => {}, { stackSize: 1024 })],
    ["new Fiber, too large", "options.stackSize", () => new Fiber(() => {}, { stackSize: 2 ** 31 })],
    ["new Fiber, a fraction", "options.stackSize", () => new Fiber(() => {}, { stackSize: 100_000.5 })],
    ["configure, too small", "options.stackSize", () => configure({ stackSize: 1 })],
  ])("%s: %s", (_, name, call) => {
    expect(call).toThrow(aRange(name));
  });

  it("RUNTIME_STACK_SIZE in the environment", async () => {
    const { code, stderr } = await run(`require("runtime")`, { env: { RUNTIME_STACK_SIZE: "plenty" } });
    expect(code).toBe(1);
    expect(stderr).toContain('"RUNTIME_STACK_SIZE"');
  });

  it("RUNTIME_SWITCH in the environment", async () => {
    const { code, stderr } = await run(`require("runtime").spawn(() => {})`, { env: { RUNTIME_SWITCH: "magic" } });
    expect(code).toBe(1);
    expect(stderr).toContain('"RUNTIME_SWITCH"');
  });
});

describeFibers("a function whose name is not a text", () => {
  it("is as good as one without a name", async () => {
    const odd = Object.defineProperty(() => "ran", "name", { value: 5 });
    expect(await spawn(odd)).toBe("ran");
  });
});

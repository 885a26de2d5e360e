import { configure, Fiber, sleep, spawn, spawnLater, Timeout, wait, withTimeout, wrap } from "runtime";
import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { run } from "../support/run";

// biome-ignore lint/suspicious/noExplicitAny: these calls are wrong on purpose
const wrong = (value: unknown) => value as any;
const fiber = () => new Fiber(() => {});

describeFibers("an argument of the wrong type is named by the error", () => {
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
    ["Fiber#join", "limit", () => fiber().join(wrong("1"))],
    ["Fiber#get", "limit", () => fiber().get(wrong("1"))],
    ["Fiber#link", "link", () => fiber().link(wrong(undefined))],
    ["Fiber#unlink", "link", () => fiber().unlink(wrong(undefined))],
    ["Fiber#kill", "options.timeout", () => fiber().kill(undefined, { timeout: wrong("1") })],
    ["Timeout", "ms", () => new Timeout(wrong("1"))],
    ["withTimeout", "fn", () => withTimeout(1, wrong(1))],
    ["configure", "options", () => configure(wrong(null))],
    ["configure", "options.stackSize", () => configure({ stackSize: wrong("1") })],
    ["wrap", "handler", () => wrap(wrong(undefined))],
  ])("%s: %s", (_, name, call) => {
    expect(call).toThrow(
      expect.objectContaining({
        name: "TypeError",
        code: "ERR_INVALID_ARG_TYPE",
        message: expect.stringContaining(`"${name}"`),
      }),
    );
  });
});

describeFibers("a number out of range is named by the error", () => {
  it.each<[string, string, () => unknown]>([
    ["sleep, negative", "ms", () => sleep(-1)],
    ["sleep, NaN", "ms", () => sleep(Number.NaN)],
    ["wait, negative", "limit", () => wait(1, -1)],
    ["spawnLater, negative", "ms", () => spawnLater(-1, () => {})],
    ["Fiber#join, NaN", "limit", () => fiber().join(Number.NaN)],
    ["Timeout, negative", "ms", () => new Timeout(-1)],
    ["new Fiber, too small", "options.stackSize", () => new Fiber(() => {}, { stackSize: 1024 })],
    ["new Fiber, too large", "options.stackSize", () => new Fiber(() => {}, { stackSize: 2 ** 31 })],
    ["new Fiber, a fraction", "options.stackSize", () => new Fiber(() => {}, { stackSize: 100_000.5 })],
    ["configure, too small", "options.stackSize", () => configure({ stackSize: 1 })],
  ])("%s: %s", (_, name, call) => {
    expect(call).toThrow(
      expect.objectContaining({
        name: "RangeError",
        code: "ERR_OUT_OF_RANGE",
        message: expect.stringContaining(`"${name}"`),
      }),
    );
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

import "runtime/patch";
import timers from "node:timers";
import { sleep, spawn, withTimeout } from "runtime";
import { describe, expect, test } from "vitest";
import { active, describeBoth, describeFibers, inFiber, progress, settle, thrown, until } from "./support";

describeBoth("sleepSync", (run) => {
  test("returns after that many milliseconds", async () => {
    const before = performance.now();
    await run(() => timers.sleepSync(20));
    expect(performance.now() - before).toBeGreaterThanOrEqual(19);
  });

  test("takes 0 and fractions", async () => {
    await run(() => timers.sleepSync(0));
    await run(() => timers.sleepSync(0.4));
  });

  test("refuses what is no duration", async () => {
    await run(() => {
      expect(thrown(() => timers.sleepSync("1" as never))).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
      expect(thrown(() => timers.sleepSync(-1))).toMatchObject({ code: "ERR_OUT_OF_RANGE" });
      expect(thrown(() => timers.sleepSync(Number.NaN))).toMatchObject({ code: "ERR_OUT_OF_RANGE" });
    });
  });
});

describeFibers("sleepSync in fibers", () => {
  test("lets the event loop and other fibers go on", async () => {
    expect(await progress(() => timers.sleepSync(50))).toBeGreaterThan(1);
  });

  test("200 fibers sleep at once", async () => {
    let [asleep, most] = [0, 0];
    const body = () => {
      most = Math.max(most, ++asleep);
      timers.sleepSync(50);
      asleep--;
    };
    await Promise.all(Array.from({ length: 200 }, () => spawn(body)));
    expect(most).toBeGreaterThan(100);
  });

  test("killed, it leaves no timer behind", async () => {
    const before = active("Timeout"); // the test runner's own, which come and go
    const fibers = Array.from({ length: 100 }, () => spawn(() => timers.sleepSync(60_000)));
    await until(() => active("Timeout") >= before + 90);
    await inFiber(() => {
      for (const fiber of fibers) fiber.kill();
    });
    await until(() => active("Timeout") < before + 10);
  });

  test("a timeout reaches it, with the fiber's frames in the stack", async () => {
    const error = await inFiber(function sleeper() {
      return thrown(() => withTimeout(10, () => timers.sleepSync(60_000)));
    });
    expect(error).toMatchObject({ name: "Timeout", code: "ERR_TIMEOUT" });
    expect(error.stack).toContain("sleeper");
  });

  test("without end, it can be killed", async () => {
    const fiber = spawn(() => timers.sleepSync(Number.POSITIVE_INFINITY));
    await settle();
    await inFiber(() => fiber.kill());
    expect(fiber.dead).toBe(true);
  });

  test("a fiber that does not sleep is not held up", async () => {
    const order: string[] = [];
    const slow = spawn(() => {
      timers.sleepSync(10);
      order.push("slow");
    });
    const quick = spawn(() => {
      sleep(0);
      order.push("quick");
    });
    await Promise.all([slow, quick]);
    expect(order).toEqual(["quick", "slow"]);
  });
});

describe("sleepSync", () => {
  test("has its name and length", () => {
    expect(timers.sleepSync).toHaveProperty("name", "sleepSync");
    expect(timers.sleepSync).toHaveLength(1);
  });
});

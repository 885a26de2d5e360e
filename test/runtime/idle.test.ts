import { idle, sleep, spawn } from "runtime";
import { describe, expect, it } from "vitest";
import { itFibers } from "../support/fibers";
import { printing, run } from "../support/run";

describe("idle", () => {
  itFibers("returns when no other fiber has anything to do", async () => {
    expect(await spawn(() => idle())).toBe(true);
  });

  itFibers("lets fibers that are always ready go first", async () => {
    const log: string[] = [];
    const busy = spawn(() => {
      for (let i = 0; i < 100; i++) sleep(0);
      log.push("busy ended");
    });
    await spawn(() => {
      idle();
      log.push("idle");
    });
    await busy;
    expect(log).toEqual(["busy ended", "idle"]);
  });

  itFibers("does not wait for fibers that are suspended", async () => {
    const suspended = spawn(() => sleep(1e6));
    expect(await spawn(() => idle())).toBe(true);
    expect(suspended.dead).toBe(false);
    suspended.kill();
  });

  itFibers("returns false when the time is over first", async () => {
    const busy = spawn(() => {
      for (;;) sleep(0);
    });
    expect(await spawn(() => idle(5))).toBe(false);
    busy.kill();
  });

  itFibers("ends with an AbortError when its signal is aborted", async () => {
    const busy = spawn(() => {
      for (;;) sleep(0);
    });
    await expect(spawn(() => idle(AbortSignal.timeout(5)))).rejects.toMatchObject({ code: "ABORT_ERR" });
    busy.kill();
  });

  itFibers("killed, keeps no process", async () => {
    const program = `
      const { idle, sleep, spawn } = require("runtime");
      const busy = spawn(() => { for (;;) sleep(0); });
      const fiber = spawn(() => idle());
      setTimeout(() => { fiber.kill(); busy.kill(); console.log("killed"); }, 5);`;
    expect(await run(program)).toEqual(printing("killed"));
  });

  itFibers("two at a time both return", async () => {
    expect(await Promise.all([spawn(() => idle()), spawn(() => idle())])).toEqual([true, true]);
  });

  it("on the hub's stack throws ERR_NOT_IN_FIBER", () => {
    expect(() => idle()).toThrow(expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }));
  });
});

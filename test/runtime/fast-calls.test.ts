// Garbage collections in the middle of a function that optimized code calls directly, with stacks suspended.
import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

describeFibers("a collection in a fast API call", () => {
  it.each(["runtime", "runtime/patch"])("sees every suspended stack, with %s loaded first", async (first) => {
    const program = `
      require("${first}");
      const { sleep, spawn } = require("runtime");
      const fibers = Array.from({ length: 50 }, (_, at) =>
        spawn(() => {
          const held = [{ at }, [at, String(at)]];
          sleep(300);
          return held[0].at + held[1].length;
        }),
      );
      const measure = (text) => {
        let sum = 0;
        // To count the bytes, one string is made of the two: that allocates.
        for (let at = 0; at < 2000; at++) sum += Buffer.byteLength(text + at) - text.length;
        return sum;
      };
      setImmediate(() => {
        let total = 0;
        for (let round = 0; round < 300; round++) total += measure("x".repeat(500) + round);
        console.log(total / 300);
      });
      Promise.all(fibers).then((values) => console.log(values.every((value, at) => value === at + 2)));`;
    expect(await run(program)).toEqual(printing("6890", "true"));
  });
});

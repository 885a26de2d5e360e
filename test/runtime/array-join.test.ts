import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

// V8 keeps the arrays that are being joined, to notice cycles, in one list for all stacks. In processes of their own,
// since it ends the process when it does not find in it what it looks for.
const prelude = `
  const { sleep, spawn } = require("runtime");
  const slow = (text, ms = 1) => ({ toString() { sleep(ms); return text; }, toLocaleString() { sleep(ms); return text; } });`;

describeFibers("Array#join in a fiber", () => {
  it("may suspend in an element's toString", async () => {
    const program = `${prelude}
      spawn(() => console.log([1, slow("x"), null, undefined, , 3].join("-"), String([1, [2, slow("y")]])));`;
    expect(await run(program)).toEqual(printing("1-x----3 1,2,y"));
  });

  it("in many fibers at once, which come back in any order, does not crash the process", async () => {
    const program = `${prelude}
      let right = 0;
      for (let i = 0; i < 40; i++) {
        spawn(() => {
          for (let k = 0; k < 5; k++) if ([1, slow("x" + i, (i * 7 + k) % 5), 3].join() === "1,x" + i + ",3") right++;
        });
      }
      process.on("exit", () => console.log(right));`;
    expect(await run(program)).toEqual(printing("200"));
  });

  it("of one array in two fibers gives both its text: neither takes the other for a cycle", async () => {
    const program = `${prelude}
      const array = [1, slow("x"), 3];
      for (let i = 0; i < 2; i++) spawn(() => console.log(array.join(), String(array)));`;
    expect(await run(program)).toEqual(printing("1,x,3 1,x,3", "1,x,3 1,x,3"));
  });

  it("leaves a cycle out, as ever", async () => {
    const program = `${prelude}
      const array = [1, slow("x")];
      array.push(array, [array]);
      spawn(() => console.log(array.join()));`;
    expect(await run(program)).toEqual(printing("1,x,,"));
  });

  it("works on what is like an array, and throws what an element's toString throws", async () => {
    const program = `${prelude}
      spawn(() => {
        console.log(Array.prototype.join.call({ length: 2, 0: slow("a"), 1: "b" }, { toString: () => "+" }));
        try { [{ toString() { sleep(1); throw new Error("own"); } }].join(); } catch (error) { console.log(error.message); }
        try { [Symbol("s")].join(); } catch (error) { console.log(error.name); }
        try { Array.prototype.join.call(null); } catch (error) { console.log(error.name); }
        console.log([1, slow("x")].join());
      });`;
    expect(await run(program)).toEqual(printing("a+b", "own", "TypeError", "TypeError", "1,x"));
  });

  it("by way of toLocaleString does not crash the process either: it suspends, or refuses", async () => {
    const program = `${prelude}
      const outcomes = new Set();
      for (let i = 0; i < 40; i++) {
        spawn(() => {
          try {
            outcomes.add([1, slow("x", (i * 7) % 5)].toLocaleString() === "1,x");
          } catch (error) {
            outcomes.add(error.code === "ERR_CANNOT_SUSPEND");
          }
        });
      }
      process.on("exit", () => console.log([...outcomes].join()));`;
    expect(await run(program)).toEqual(printing("true"));
  });
});

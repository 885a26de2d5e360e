import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import { sleep, spawn, wait } from "runtime";
import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";
import { thenable } from "../support/thenable";

describeFibers("the hub", () => {
  it("runs ready fibers in the order in which they became ready", async () => {
    const order: number[] = [];
    const fibers = Array.from({ length: 50 }, (_, i) => spawn(() => order.push(i)));
    await Promise.all(fibers);
    expect(order).toEqual(fibers.map((_, i) => i));
  });

  it("runs what fibers spawn after what was ready before", async () => {
    const order: string[] = [];
    const first = spawn(() => {
      const inner = spawn(() => order.push("inner"));
      order.push("first");
      return inner;
    });
    const second = spawn(() => order.push("second"));
    await Promise.all([first.then((inner) => inner), second]);
    expect(order).toEqual(["first", "second", "inner"]);
  });

  it("resumes a fiber right from the callback of its operation, before the next one runs", async () => {
    const order: string[] = [];
    const immediate = (name: string) =>
      spawn(() => {
        wait(thenable<null>((resolve) => setImmediate(resolve, null)));
        order.push(name);
      });
    const fibers = [immediate("a"), immediate("b")];
    await Promise.all(fibers);
    expect(order).toEqual(["a", "b"]);
  });

  it("lets timers fire while fibers are always ready", async () => {
    let busy = true;
    const spinners = [0, 1].map(() =>
      spawn(() => {
        while (busy) sleep(0);
      }),
    );
    await new Promise((resolve) => setTimeout(resolve, 20));
    busy = false;
    await Promise.all(spinners);
  });

  it("lets timers fire while a fiber begins others, and waits for each", async () => {
    let late = false;
    setTimeout(() => {
      late = true;
    }, 20);
    const count = await spawn(() => {
      let count = 0;
      for (const end = Date.now() + 5000; !(late && count > 100) && Date.now() < end; count++)
        spawn(() => count).join();
      return count;
    });
    expect([late, count > 100]).toEqual([true, true]);
  });

  it("lets sockets be read while fibers are always ready", async () => {
    let busy = true;
    const spinners = [0, 1].map(() =>
      spawn(() => {
        while (busy) sleep(0);
      }),
    );
    const server = net.createServer((socket) => void socket.end("answer")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const socket = net.connect((server.address() as AddressInfo).port, "127.0.0.1");
    const [chunk] = await once(socket, "data");
    busy = false;
    await Promise.all(spinners);
    server.close();
    expect(String(chunk)).toBe("answer");
  });

  it("lets an immediate have its turn among many fibers that are ready", async () => {
    let left = 100_000;
    for (let i = 0; i < 20; i++) {
      spawn(() => {
        while (left > 0) {
          left--;
          sleep(0);
        }
      });
    }
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    expect(left).toBeGreaterThan(0);
    left = 0;
  });

  it("keeps the process for a fiber that is ready, not for one that nothing will resume", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      spawn(() => { for (let i = 0; i < 1000; i++) sleep(0); console.log("ready to the end"); });
      spawn(() => { sleep(Infinity); console.log("never"); });`;
    expect(await run(program)).toEqual(printing("ready to the end"));
  });

  it("does not depend on global functions that a program replaces", async () => {
    const program = `
      const { sleep, spawn } = require("runtime");
      globalThis.setImmediate = globalThis.setTimeout = () => {};
      globalThis.performance = { now: () => 0 };
      spawn(() => { sleep(1); console.log("ran"); });`;
    expect(await run(program)).toEqual(printing("ran"));
  });

  it("runs 10,000 fibers at once", async () => {
    const fibers = Array.from({ length: 10_000 }, (_, i) =>
      spawn(() => {
        const mine = { i };
        sleep(1 + (i % 7));
        sleep(0);
        return mine.i;
      }),
    );
    const values = await Promise.all(fibers);
    expect(values.every((value, i) => value === i)).toBe(true);
  }, 120_000);
});

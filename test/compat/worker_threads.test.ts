import "runtime/patch";
import { execFileSync } from "node:child_process";
import path from "node:path";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { sleep, spawn, withTimeout } from "runtime";
import { describe, expect, test } from "vitest";
import { active, describeFibers, inFiber, progress, settle, thrown, until } from "./support";

const isReferenced = (port: MessagePort) => (port as MessagePort & { hasRef(): boolean }).hasRef();

/** Answers each message with the same in capitals; ends at "end", fails at "fail". */
const shouting = `
const { parentPort } = require("node:worker_threads");
parentPort.on("message", (text) => {
  if (text === "fail") throw new TypeError("failed");
  if (text === "end") parentPort.close();
  else parentPort.postMessage(text.toUpperCase());
});`;

function worker(program = shouting): Worker {
  return new Worker(program, { eval: true, execArgv: [], env: {} });
}

const root = path.join(__dirname, "..", "..");
const run = (program: string) =>
  execFileSync(process.execPath, ["-r", "runtime/patch", "-e", program], {
    cwd: root,
    encoding: "utf8",
    timeout: 20_000,
  });

describeFibers("MessagePort#receiveSync", () => {
  test("returns the message itself, and lets others go on meanwhile", async () => {
    const { port1, port2 } = new MessageChannel();
    let message: unknown;
    const turns = await progress(
      () => {
        message = port1.receiveSync();
      },
      () => port2.postMessage({ text: "x" }),
    );
    expect(message).toEqual({ text: "x" });
    expect(turns).toBeGreaterThanOrEqual(5);
    port1.close();
  });

  test("gives all messages in order, also those that came before, between and in a crowd; also undefined", async () => {
    const { port1, port2 } = new MessageChannel();
    for (const message of [1, undefined, null]) port2.postMessage(message);
    const received = await inFiber(() => {
      const first = [port1.receiveSync(), port1.receiveSync()];
      sleep(5);
      port2.postMessage(4);
      sleep(5);
      return [...first, port1.receiveSync(), port1.receiveSync()];
    });
    expect(received).toEqual([1, undefined, null, 4]);
    port1.close();
  });

  test("several fibers each get another message, first come first served", async () => {
    const { port1, port2 } = new MessageChannel();
    const fibers = Array.from({ length: 5 }, () => spawn(() => port1.receiveSync()));
    await settle();
    for (let i = 0; i < 5; i++) port2.postMessage(i);
    expect(await Promise.all(fibers)).toEqual([0, 1, 2, 3, 4]);
    port1.close();
  });

  test("killed, it takes no message along", async () => {
    const { port1, port2 } = new MessageChannel();
    const [first, second] = [1, 2].map(() => spawn(() => port1.receiveSync()));
    await settle();
    await inFiber(() => first?.kill());
    port2.postMessage("for the second");
    expect(await second).toBe("for the second");
    // Killed when it has been given the message already, and did not continue yet.
    const third = spawn(() => port1.receiveSync());
    await settle();
    port1.once("message", () => third.kill(undefined, { block: false }));
    port2.postMessage("for the next");
    expect(await third).toMatchObject({ code: "ERR_FIBER_EXIT" });
    expect(await inFiber(() => port1.receiveSync(0))).toBe("for the next");
    port1.close();
  });

  test("is referenced while somebody waits, and only then", async () => {
    const { port1, port2 } = new MessageChannel();
    const fibers = [1, 2].map(() => spawn(() => port1.receiveSync()));
    await settle();
    expect(isReferenced(port1)).toBe(true);
    port2.postMessage(1);
    await fibers[0];
    expect(isReferenced(port1)).toBe(true);
    await inFiber(() => fibers[1]?.kill());
    expect(isReferenced(port1)).toBe(false);
    expect(["message", "messageerror", "close"].map((name) => port1.listenerCount(name))).toEqual([1, 1, 1]);
    port1.close();
  });

  test("a process ends though it has received from a port that is open", () => {
    const program = `const { spawn } = require("runtime"); const { port1, port2 } = new MessageChannel();
      spawn(() => { port2.postMessage("seen"); console.log(port1.receiveSync()); });`;
    expect(run(program)).toBe("seen\n");
  });

  test("when the port closes, what was sent is received, then ERR_CLOSED_MESSAGE_PORT", async () => {
    const { port1, port2 } = new MessageChannel();
    port2.postMessage("last");
    port2.close();
    await inFiber(function receiver() {
      expect(port1.receiveSync()).toBe("last");
      for (const limit of [undefined, 5, 0]) {
        const error = thrown(() => port1.receiveSync(limit));
        expect(error).toMatchObject({ code: "ERR_CLOSED_MESSAGE_PORT" });
        expect(error.stack).toContain("receiver");
      }
    });
  });

  test("closed by whichever side, all who wait are told", async () => {
    for (const side of ["port1", "port2"] as const) {
      const channel = new MessageChannel();
      const fibers = [1, 2].map(() => spawn(() => thrown(() => channel.port1.receiveSync())));
      await settle();
      channel[side].close();
      for (const fiber of fibers) expect(await fiber).toMatchObject({ code: "ERR_CLOSED_MESSAGE_PORT" });
    }
  });

  test("a port that was closed, or given away, says so", async () => {
    const { port1, port2 } = new MessageChannel();
    port1.close();
    await until(() => !isReferenced(port1));
    await settle();
    expect(await inFiber(() => thrown(() => port1.receiveSync()))).toMatchObject({ code: "ERR_CLOSED_MESSAGE_PORT" });
    expect(thrown(() => port2.receiveSync())).toMatchObject({ code: "ERR_CLOSED_MESSAGE_PORT" });
    const [given, other] = [new MessageChannel(), new MessageChannel()];
    other.port1.postMessage(null, [given.port1]);
    const error = await inFiber(() => thrown(() => given.port1.receiveSync()));
    expect(error).toMatchObject({ code: "ERR_CLOSED_MESSAGE_PORT" });
    other.port1.close();
    given.port2.close();
  });

  test("a Timeout when the time is over, an AbortError when it is aborted; the next message is not lost", async () => {
    const { port1, port2 } = new MessageChannel();
    const controller = new AbortController();
    const timers = active("Timeout"); // the test runner's own, which come and go
    await inFiber(() => {
      expect(thrown(() => port1.receiveSync(5))).toMatchObject({ code: "ERR_TIMEOUT", ms: 5 });
      expect(thrown(() => port1.receiveSync(0))).toMatchObject({ code: "ERR_TIMEOUT" });
      expect(withTimeout(5, () => port1.receiveSync(), "late")).toBe("late");
      spawn(() => controller.abort());
      expect(thrown(() => port1.receiveSync({ signal: controller.signal }))).toMatchObject({ code: "ABORT_ERR" });
      for (let i = 0; i < 20; i++) {
        port2.postMessage(`next ${i}`);
        expect(port1.receiveSync(60_000)).toBe(`next ${i}`);
      }
    });
    expect(active("Timeout")).toBeLessThan(timers + 10);
    port1.close();
  });

  test("a listener of the program's own gets the messages for which nobody waits", async () => {
    const { port1, port2 } = new MessageChannel();
    const heard: unknown[] = [];
    port2.postMessage(1);
    expect(await inFiber(() => port1.receiveSync())).toBe(1);
    port1.on("message", (message) => heard.push(message));
    port2.postMessage(2);
    await until(() => heard.length === 1);
    expect(await inFiber(() => thrown(() => port1.receiveSync(5)))).toMatchObject({ code: "ERR_TIMEOUT" });
    expect(isReferenced(port1)).toBe(true);
    port1.close();
  });
});

describeFibers("parentPort.receiveSync and Worker#receiveSync", () => {
  test("parent and worker talk in blocking style, both in fibers", async () => {
    const program = `require("runtime/patch"); const { spawn } = require("runtime"); const { parentPort } = require("worker_threads");
      spawn(() => {
        for (let text; (text = parentPort.receiveSync()) !== "end";) parentPort.postMessage(text + "!");
      });`;
    const other = new Worker(program, { eval: true, execArgv: [], env: process.env });
    const answers = await inFiber(() =>
      ["a", "b", "c"].map((text) => {
        other.postMessage(text);
        return other.receiveSync();
      }),
    );
    expect(answers).toEqual(["a!", "b!", "c!"]);
    const ended = new Promise((resolve) => other.once("exit", resolve));
    other.postMessage("end"); // it ends by itself: nobody waits at its port any more
    expect(await ended).toBe(0);
  });

  test("lets others go on, and serves several in order", async () => {
    const other = worker();
    const fibers = Array.from({ length: 3 }, () => spawn(() => other.receiveSync()));
    await settle();
    for (const text of ["a", "b", "c"]) other.postMessage(text);
    expect(await Promise.all(fibers)).toEqual(["A", "B", "C"]);
    const turns = await progress(
      () => expect(other.receiveSync()).toBe("D"),
      () => other.postMessage("d"),
    );
    expect(turns).toBeGreaterThanOrEqual(5);
    await other.terminate();
  });

  test("the end of the worker is an error, after its last message", async () => {
    const other = worker();
    await inFiber(() => {
      for (const text of ["a", "b", "end"]) other.postMessage(text);
      expect(other.receiveSync()).toBe("A");
      sleep(1);
      expect(other.receiveSync()).toBe("B");
      expect(thrown(() => other.receiveSync())).toMatchObject({ code: "ERR_WORKER_NOT_RUNNING" });
    });
    expect(thrown(() => other.receiveSync())).toMatchObject({ code: "ERR_WORKER_NOT_RUNNING" });
    const ended = worker("");
    await new Promise((resolve) => ended.once("exit", resolve));
    expect(thrown(() => ended.receiveSync())).toMatchObject({ code: "ERR_WORKER_NOT_RUNNING" });
  });

  test("what the worker fails with is thrown", async () => {
    const other = worker();
    const error = await inFiber(function parent() {
      other.postMessage("fail");
      return thrown(() => other.receiveSync());
    });
    expect(error).toMatchObject({ name: "TypeError", message: "failed" });
    expect(await inFiber(() => thrown(() => other.receiveSync()))).toMatchObject({ code: "ERR_WORKER_NOT_RUNNING" });
  });
});

describe("receiveSync, anywhere", () => {
  test("names the argument that is wrong", () => {
    const { port1 } = new MessageChannel();
    for (const [limit, code] of [
      ["1", "ERR_INVALID_ARG_TYPE"],
      [-1, "ERR_OUT_OF_RANGE"],
      [null, "ERR_INVALID_ARG_TYPE"],
    ] as const) {
      const error = thrown(() => port1.receiveSync(limit as never));
      expect(error).toMatchObject({ code, message: expect.stringContaining('"limit"') });
    }
    expect(port1.listenerCount("message")).toBe(0);
    port1.close();
  });

  test("out of a fiber, the port is as it was", () => {
    const { port1, port2 } = new MessageChannel();
    port2.postMessage(1);
    expect(port1.receiveSync()).toBe(1);
    expect([port1.listenerCount("message"), isReferenced(port1)]).toEqual([0, false]);
    port1.close();
  });
});

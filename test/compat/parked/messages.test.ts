import "runtime/patch";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { settle, thrown, until } from "../support";

function worker(program: string, port?: MessagePort): Worker {
  const options = { eval: true, execArgv: [], env: {}, workerData: port, transferList: port ? [port] : [] };
  return new Worker(`const { parentPort, workerData } = require("node:worker_threads"); ${program}`, options);
}

describe("receiveSync out of a fiber", () => {
  test("waits for what another thread sends, in order", async () => {
    const { port1, port2 } = new MessageChannel();
    const other = worker(
      `setTimeout(() => { workerData.postMessage({ a: [1] }); workerData.postMessage("b"); }, 20);`,
      port2,
    );
    expect([port1.receiveSync(), port1.receiveSync(60_000)]).toEqual([{ a: [1] }, "b"]);
    port1.close();
    await other.terminate();
  });

  test("what is there is taken at once; a time limit ends it, and leaves the next one working", () => {
    const { port1, port2 } = new MessageChannel();
    port2.postMessage(1);
    expect(port1.receiveSync(0)).toBe(1);
    expect(thrown(() => port1.receiveSync(0))).toMatchObject({ name: "Timeout" });
    expect(
      thrown(function caller() {
        port1.receiveSync({ timeout: 20 });
      }),
    ).toMatchObject({ name: "Timeout", message: "timed out after 20 ms", stack: expect.stringMatching(/caller/) });
    port2.postMessage(undefined);
    expect(port1.receiveSync()).toBe(undefined);
    port1.close();
  });

  test("a port that is closed, from either side, or that was transferred, is told", async () => {
    const [first, second, third] = [new MessageChannel(), new MessageChannel(), new MessageChannel()];
    first.port1.close();
    expect(thrown(() => first.port1.receiveSync())).toMatchObject({ code: "ERR_CLOSED_MESSAGE_PORT" });
    const other = worker(`workerData.postMessage("last"); workerData.close();`, second.port2);
    expect(second.port1.receiveSync()).toBe("last");
    expect(thrown(() => second.port1.receiveSync())).toMatchObject({ code: "ERR_CLOSED_MESSAGE_PORT" });
    new MessageChannel().port1.postMessage(third.port1, [third.port1]);
    expect(thrown(() => third.port1.receiveSync())).toMatchObject({ code: "ERR_CLOSED_MESSAGE_PORT" });
    await settle();
    for (const { port1 } of [first, second, third]) {
      expect(thrown(() => port1.receiveSync())).toMatchObject({ code: "ERR_CLOSED_MESSAGE_PORT" });
    }
    await other.terminate();
  });

  test("in a listener for 'close', too", async () => {
    const { port1, port2 } = new MessageChannel();
    const code = new Promise((resolve) => {
      port1.on("close", () => setImmediate(() => resolve(thrown(() => port1.receiveSync()).code)));
    });
    port2.close();
    expect(await code).toBe("ERR_CLOSED_MESSAGE_PORT");
  });

  test("of a worker: its messages, then its end", async () => {
    const other = worker(`for (let i = 0; i < 3; i++) parentPort.postMessage(i);`);
    expect([1, 2, 3].map(() => other.receiveSync())).toEqual([0, 1, 2]);
    expect(thrown(() => other.receiveSync())).toMatchObject({ code: "ERR_WORKER_NOT_RUNNING" });
    await until(() => other.threadId === -1);
    expect(thrown(() => other.receiveSync())).toMatchObject({ code: "ERR_WORKER_NOT_RUNNING" });
  });

  test("works in a worker, with its parentPort", async () => {
    const other = worker(`
      require(${JSON.stringify(require.resolve("../../../dist/patch.js"))});
      parentPort.postMessage([parentPort.receiveSync(), parentPort.receiveSync()]);`);
    const answer = new Promise((resolve, reject) => other.once("message", resolve).once("error", reject));
    other.postMessage("a");
    other.postMessage("b");
    expect(await answer).toEqual(["a", "b"]);
    await other.terminate();
  });

  test("where the program listens itself, or for a signal, it is refused", () => {
    const { port1 } = new MessageChannel();
    expect(thrown(() => port1.receiveSync(AbortSignal.abort()))).toMatchObject({ name: "AbortError" });
    expect(thrown(() => port1.receiveSync(AbortSignal.timeout(60_000)))).toMatchObject({
      code: "ERR_NOT_IN_FIBER",
      message: expect.stringContaining("limit.signal"),
    });
    port1.on("message", () => {});
    expect(thrown(() => port1.receiveSync())).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    port1.close();
  });
});

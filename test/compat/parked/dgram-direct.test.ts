import "runtime/patch";
import dgram from "node:dgram";
import { once } from "node:events";
import net from "node:net";
import { networkInterfaces } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { spawn } from "runtime";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { hasFibers } from "../../support/fibers";
import { printing, run } from "../../support/run";
import { describeFibers, inFiber, settle, thrown } from "../support";
import { Web } from "./web";

const IPv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === "::1"));

let web: Web;
const open: dgram.Socket[] = [];

beforeAll(async () => {
  web = await Web.start();
});

afterEach(() => {
  for (const one of open.splice(0)) if (!closed(one)) one.close();
});

afterAll(() => web.stop());

function closed(socket: dgram.Socket): boolean {
  try {
    socket.address();
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ERR_SOCKET_DGRAM_NOT_RUNNING";
  }
}

function made(options: dgram.SocketOptions | dgram.SocketType = "udp4"): dgram.Socket {
  const socket = dgram.createSocket(options as dgram.SocketOptions);
  open.push(socket);
  return socket;
}

async function bound(
  options: dgram.SocketOptions | dgram.SocketType = "udp4",
  address = "127.0.0.1",
): Promise<dgram.Socket> {
  const socket = made(options).bind(0, address);
  await once(socket, "listening");
  return socket;
}

const portOf = (socket: dgram.Socket) => socket.address().port;
const texts = (socket: dgram.Socket, count: number) =>
  Array.from({ length: count }, () => String(socket.recvSync(10_000).msg));

/** Sends after a while, in a thread of its own. */
function sendLater(ms: number, text: string, port: number): void {
  const program = `const { ms, text, port } = require("worker_threads").workerData;
    const socket = require("dgram").createSocket("udp4");
    setTimeout(() => socket.send(text, port, "127.0.0.1", () => socket.close()), ms);`;
  new Worker(program, { eval: true, execArgv: [], env: {}, workerData: { ms, text, port } });
}

describeFibers("out of a fiber, a bound socket of this thread", () => {
  test("sends, and receives what is there or comes while the thread sleeps", async () => {
    const socket = await bound();
    expect(socket.sendSync("2 h\u00e4llo", web.ports.udp, "127.0.0.1")).toBe(8);
    const { msg, rinfo } = socket.recvSync();
    expect([Buffer.isBuffer(msg), String(msg)]).toEqual([true, "h\u00e4llo"]);
    expect(rinfo).toEqual({ address: "127.0.0.1", family: "IPv4", port: web.ports.udp, size: 6 });
    expect(String(socket.recvSync().msg)).toBe("h\u00e4llo");
    sendLater(30, "late", portOf(socket));
    await settle(); // so that the other thread is under way
    expect(String(socket.recvSync().msg)).toBe("late");
  });

  test("tells of a datagram what Node's event does", async () => {
    const socket = await bound();
    const heard = once(socket, "message");
    socket.sendSync("2 same", web.ports.udp, "127.0.0.1");
    const [, expected] = await heard;
    socket.sendSync("1 same", web.ports.udp, "127.0.0.1");
    const { rinfo } = socket.recvSync();
    expect([rinfo, Object.keys(rinfo)]).toEqual([expected, Object.keys(expected)]);
  });

  test("takes all that send takes", async () => {
    const socket = await bound();
    const port = portOf(socket);
    expect(socket.sendSync(["ab", Buffer.from("cd")], port, "127.0.0.1")).toBe(4);
    expect(socket.sendSync(Buffer.from("abcdef"), 2, 3, port, "127.0.0.1")).toBe(3);
    expect(socket.sendSync(new DataView(Buffer.from("view").buffer, 0, 1), port)).toBe(1);
    expect(socket.sendSync("", port, "localhost")).toBe(0);
    const [first, second, third, fourth] = [1, 2, 3, 4].map(() => socket.recvSync().msg);
    expect([String(first), String(second), third?.length, fourth?.length]).toEqual(["abcd", "cde", 1, 0]);
  });

  test("large ones are whole, and each has bytes of its own", async () => {
    const socket = await bound({ type: "udp4", recvBufferSize: 400_000 });
    const sizes = [65_507, 1, 40_000];
    for (const size of sizes) socket.sendSync(Buffer.alloc(size, size % 256), portOf(socket), "127.0.0.1");
    const all = sizes.map(() => socket.recvSync().msg);
    expect(all.map(({ length }) => length)).toEqual(sizes);
    expect(all.map((msg) => msg.every((byte) => byte === msg.length % 256))).toEqual([true, true, true]);
  });

  test("many more than the system takes at once are sent", async () => {
    const socket = await bound({ type: "udp4", sendBufferSize: 4096 });
    const bytes = Buffer.alloc(30_000);
    const sent = Array.from({ length: 200 }, () => socket.sendSync(bytes, portOf(socket), "127.0.0.1"));
    expect(new Set(sent)).toEqual(new Set([30_000]));
  });

  test("what Node has read before comes first", async () => {
    const socket = await bound();
    expect(thrown(() => socket.recvSync(0))).toMatchObject({ code: "ERR_TIMEOUT" });
    socket.sendSync("2 one", web.ports.udp, "127.0.0.1");
    await delay(50); // the event loop turns, and takes them
    socket.sendSync("1 two", web.ports.udp, "127.0.0.1");
    expect(texts(socket, 3)).toEqual(["one", "one", "two"]);
  });

  test("what was kept for fibers comes first, and fibers go on afterwards", async () => {
    const socket = await inFiber(() => {
      const one = made();
      one.bindSync({ address: "127.0.0.1" });
      return one;
    });
    socket.sendSync("1 kept", web.ports.udp, "127.0.0.1");
    await delay(50);
    socket.sendSync("2 new", web.ports.udp, "127.0.0.1");
    expect(texts(socket, 2)).toEqual(["kept", "new"]);
    expect(await spawn(() => String(socket.recvSync().msg))).toBe("new");
  });

  test("a time limit ends recvSync, and an aborted signal", async () => {
    const socket = await bound();
    const start = Date.now();
    expect(thrown(() => socket.recvSync(30))).toMatchObject({ name: "Timeout", message: "timed out after 30 ms" });
    expect(Date.now() - start).toBeGreaterThanOrEqual(29);
    expect(thrown(() => socket.recvSync({ timeout: 0 }))).toMatchObject({ name: "Timeout" });
    expect(thrown(() => socket.recvSync(AbortSignal.abort()))).toMatchObject({ name: "AbortError" });
    expect(thrown(() => socket.recvSync({ timeout: 9, signal: new AbortController().signal }))).toMatchObject({
      code: "ERR_NOT_IN_FIBER",
      message: expect.stringContaining("limit.signal"),
    });
    socket.sendSync("1 still", web.ports.udp, "127.0.0.1");
    expect(texts(socket, 1)).toEqual(["still"]);
  });

  test("errors are those of send, and the socket works afterwards", async () => {
    const socket = await bound();
    const { port } = socket.address();
    const fromNode = await new Promise<NodeJS.ErrnoException>((resolve) => {
      socket.send(Buffer.alloc(70_000), port, "127.0.0.1", (error) => resolve(error as Error));
    });
    const error = thrown(function caller() {
      socket.sendSync(Buffer.alloc(70_000), port, "127.0.0.1");
    });
    expect({ ...error, message: error.message }).toEqual({ ...fromNode, message: fromNode.message });
    expect(error.stack).toMatch(/caller/);
    expect(thrown(() => socket.sendSync("x", 9, "nothing.invalid"))).toMatchObject({ code: "ENOTFOUND" });
    expect(thrown(() => socket.sendSync("x", 9, "::1"))).toMatchObject({ code: "EINVAL", syscall: "send" });
    for (const args of [[5], ["x", "y"], ["x", 70_000], ["x", 0], [[1], 9], [Buffer.alloc(3), 2, 5, 9], ["x", 9, 5]]) {
      const expected = thrown(() => (socket.send as (...args: unknown[]) => void)(...args));
      const refused = thrown(() => (socket.sendSync as (...args: unknown[]) => void)(...args));
      expect([refused.code, refused.message]).toEqual([expected.code, expected.message]);
    }
    socket.sendSync("1 fine", web.ports.udp, "127.0.0.1");
    expect(texts(socket, 1)).toEqual(["fine"]);
  });

  test("connected, it sends to whom it is connected, and is told who is not there", async () => {
    const socket = await bound();
    socket.connect(web.ports.udp, "127.0.0.1");
    await once(socket, "connect");
    expect(socket.sendSync("1 own")).toBe(5);
    expect(texts(socket, 1)).toEqual(["own"]);
    expect(thrown(() => socket.sendSync("x", 0, 1, 9))).toMatchObject({ code: "ERR_SOCKET_DGRAM_IS_CONNECTED" });
    const gone = await bound();
    const { port } = gone.address();
    gone.close();
    const lonely = await bound();
    lonely.connect(port, "127.0.0.1");
    await once(lonely, "connect");
    lonely.sendSync("x");
    const error = thrown(() => lonely.recvSync(10_000));
    expect(error).toMatchObject({ message: "recvmsg ECONNREFUSED", code: "ECONNREFUSED", syscall: "recvmsg" });
    expect(error.errno).toBeLessThan(0);
  });

  test.runIf(IPv6)("speaks IPv6", async () => {
    const socket = await bound("udp6", "::1");
    const { port } = socket.address();
    socket.sendSync("six", port);
    expect(socket.recvSync().rinfo).toEqual({ address: "::1", family: "IPv6", port, size: 3 });
    const both = await bound("udp6", "::");
    both.sendSync("1 four", web.ports.udp, "::ffff:127.0.0.1");
    const { msg, rinfo } = both.recvSync();
    expect([String(msg), rinfo.address, rinfo.family]).toEqual(["four", "::ffff:127.0.0.1", "IPv6"]);
  });

  test("closed, it says so", async () => {
    const socket = await bound();
    expect(thrown(() => socket.recvSync(0))).toMatchObject({ code: "ERR_TIMEOUT" });
    socket.close();
    const unused = await bound();
    unused.close();
    for (const one of [socket, unused]) {
      for (const call of [() => one.recvSync(), () => one.recvSync(0), () => one.sendSync("x", 9)]) {
        expect(thrown(call)).toMatchObject({ code: "ERR_SOCKET_DGRAM_NOT_RUNNING" });
      }
    }
  });

  test("with listeners of the program's own it sends, but recvSync leaves them what comes", async () => {
    const socket = await bound();
    const heard: string[] = [];
    socket.on("message", (msg) => heard.push(String(msg)));
    socket.sendSync("1 theirs", web.ports.udp, "127.0.0.1");
    expect(thrown(() => socket.recvSync(0))).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    expect(socket.listenerCount("message")).toBe(1);
    await once(socket, "message");
    expect(heard).toEqual(["theirs"]);
  });

  test("not bound, but with listeners of the program's own, it binds and sends at once", async () => {
    const socket = made();
    const heard = new Promise((resolve) => socket.on("message", (msg) => resolve(String(msg))));
    socket.sendSync("1 answer", web.ports.udp, "127.0.0.1");
    expect(await heard).toBe("answer");
  });

  test("addresses that are blocked are", async () => {
    const blockList = new net.BlockList();
    blockList.addAddress("127.0.0.1");
    const [receiver, sender] = [{ receiveBlockList: blockList }, { sendBlockList: blockList }];
    const socket = await bound({ type: "udp4", ...receiver } as dgram.SocketOptions, "0.0.0.0");
    const other = await bound({ type: "udp4", ...sender } as dgram.SocketOptions);
    const sent = await new Promise<NodeJS.ErrnoException | null>((resolve) => {
      other.send("x", portOf(socket), "127.0.0.1", resolve);
    });
    if (sent === null) return; // an older Node, which knows of no such lists
    const error = thrown(() => other.sendSync("x", portOf(socket), "127.0.0.1"));
    expect([error.code, error.message]).toEqual([sent.code, sent.message]);
    socket.sendSync("blocked", portOf(socket), "127.0.0.1");
    socket.sendSync("let through", portOf(socket), "127.0.0.2");
    expect(thrown(() => socket.recvSync(50))).toMatchObject({ code: "ERR_TIMEOUT" });
  });

  test("bindSync leaves it in this thread: listeners can come later", async () => {
    const socket = made();
    const { port } = socket.bindSync({ address: "127.0.0.1" });
    expect(socket.address()).toMatchObject({ address: "127.0.0.1", family: "IPv4", port });
    await once(socket, "listening");
    expect(thrown(() => socket.bindSync())).toMatchObject({ code: "ERR_SOCKET_ALREADY_BOUND" });
    const other = made();
    const taken = thrown(() => other.bindSync({ port, address: "127.0.0.1" }));
    expect(taken).toMatchObject({ code: "EADDRINUSE", syscall: "bind", address: "127.0.0.1", port });
    other.bindSync({ address: "127.0.0.1" });
    other.sendSync("now", port, "127.0.0.1");
    expect(texts(socket, 1)).toEqual(["now"]);
    const heard = once(socket, "message");
    other.sendSync("later", port, "127.0.0.1");
    expect(String((await heard)[0])).toBe("later");
  });

  test("what comes after bindSync is kept while the event loop turns; errors stay Node's", async () => {
    const socket = made();
    const { port } = socket.bindSync({ address: "127.0.0.1" });
    const sender = await bound();
    sender.sendSync("early", port, "127.0.0.1");
    await delay(50);
    expect(socket.listenerCount("error")).toBe(0);
    expect(texts(socket, 1)).toEqual(["early"]);
  });

  test("works in a worker, and one that is terminated meanwhile ends", async () => {
    const outcome = await run(
      `require("runtime/patch");
      const { isMainThread, parentPort, Worker } = require("node:worker_threads");
      if (isMainThread) {
        const worker = new Worker(__filename);
        worker.once("message", (text) => {
          console.log(text);
          worker.terminate();
        });
        worker.on("exit", (code) => console.log(code));
      } else {
        const socket = require("node:dgram").createSocket("udp4");
        socket.bindSync({ address: "127.0.0.1" });
        socket.sendSync("1 x", +process.env.UDP, "127.0.0.1");
        parentPort.postMessage(String(socket.recvSync().msg));
        socket.recvSync();
      }`,
      { env: { UDP: String(web.ports.udp) } },
    );
    expect(outcome).toEqual(printing("x", "1"));
  });
});

describe("out of a fiber, a socket of this thread", () => {
  test("that is being bound is refused, and is as it was", async () => {
    const socket = made().bind(0, "127.0.0.1");
    for (const call of [() => socket.sendSync("x", 9), () => socket.recvSync()]) {
      expect(thrown(call)).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    }
    await once(socket, "listening");
    expect([socket.listenerCount("message"), socket.listenerCount("error")]).toEqual([0, 0]);
  });

  test.skipIf(hasFibers)("is refused without the addon", async () => {
    const socket = await bound();
    for (const call of [() => socket.sendSync("x", 9), () => socket.recvSync()]) {
      expect(thrown(call)).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    }
    expect(socket.listenerCount("message")).toBe(0);
  });
});

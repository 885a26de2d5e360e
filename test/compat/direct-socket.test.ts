import "runtime/patch";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { sleep, spawn, withTimeout } from "runtime";
import { afterEach, beforeEach, expect, test } from "vitest";
import { describeFibers, inFiber, settle, thrown, until } from "./support";

/** Whether a fiber reads the socket past Node's streams: the one thing that shows. */
const isDirect = (socket: net.Socket) => socket.listenerCount("newListener") === 1;

const onLinux = process.platform === "linux";

/** Both ends of a connection: `socket` for fibers, `far` for the test, in plain Node. */
let socket: net.Socket;
let far: net.Socket;
let server: net.Server;

async function connect(listening: net.ListenOptions): Promise<void> {
  server = net.createServer({ allowHalfOpen: true });
  const accepted = new Promise<net.Socket>((resolve) => server.once("connection", resolve));
  await new Promise<void>((resolve) => server.listen(listening, resolve));
  const address = server.address();
  const target = typeof address === "string" ? { path: address } : { port: (address as net.AddressInfo).port };
  socket = await inFiber(() => net.connectSync({ ...target, allowHalfOpen: true } as net.NetConnectOpts));
  far = await accepted;
  far.on("error", () => {});
}

/** Starts a fiber, and waits until it has nothing to do but to wait for the socket. */
async function waiting<T>(fn: () => T) {
  const fiber = spawn(fn);
  await settle();
  return [fiber] as const; // a fiber alone would be awaited
}

describeFibers("a socket that is a fiber's alone", () => {
  beforeEach(() => connect({ port: 0, host: "127.0.0.1" }));

  afterEach(() => {
    socket.destroy();
    far.destroy();
    server.close();
  });

  test("is read and written past Node's streams, and Node knows how much that was", async () => {
    const [reader] = await waiting(() => [socket.readSync(), socket.bytesRead]);
    expect(isDirect(socket)).toBe(onLinux);
    far.write("12345");
    expect(await reader).toEqual([Buffer.from("12345"), 5]);
    await inFiber(() => socket.writeSync("\u00e4\u20ac"));
    await inFiber(() => socket.writeSync(new Uint8Array([1, 2])));
    expect(socket.bytesWritten).toBe(7);
    let got = "";
    far.setEncoding("latin1").on("data", (piece: string) => {
      got += piece;
    });
    await until(() => got.length >= 7);
    expect(got).toBe(Buffer.from("\u00e4\u20ac\x01\x02").toString("latin1"));
  });

  test("gives small chunks that stay as they were, and may not be moved away from under others", async () => {
    const texts = [
      "first",
      "second",
      "x".repeat(3000),
      ...Array.from({ length: 20 }, (_, i) => String(i).repeat(1000)),
    ];
    const chunks: Buffer[] = [];
    const [reader] = await waiting(() => {
      for (let chunk = socket.readSync(); chunk !== null; chunk = socket.readSync()) chunks.push(chunk as Buffer);
    });
    for (const [i, text] of texts.entries()) {
      far.write(text);
      await until(() => chunks.length > i);
    }
    far.end();
    await reader;
    expect(chunks.map(String)).toEqual(texts);
    const [first] = chunks as [Buffer, ...Buffer[]];
    try {
      structuredClone(first, { transfer: [first.buffer as ArrayBuffer] }); // Node 20 copies it
    } catch (error) {
      expect(error).toMatchObject({ name: "DataCloneError" });
    }
    expect(chunks.map(String)).toEqual(texts);
  });

  test("is Node's again when no fiber reads: it hears of what comes, and of its end", async () => {
    const [reader] = await waiting(() => socket.readSync());
    far.write("a");
    expect(String(await reader)).toBe("a");
    await settle();
    expect(isDirect(socket)).toBe(false);
    const events: string[] = [];
    socket.on("data", (chunk) => events.push(String(chunk))).on("end", () => events.push("end"));
    far.end("b");
    await until(() => events.length === 2);
    expect(events).toEqual(["b", "end"]);
    expect(socket.bytesRead).toBe(2);
  });

  test("gives what came with the end, and then the end", async () => {
    const [reader] = await waiting(() => [String(socket.readSync()), socket.readSync(), socket.readSync()]);
    far.end("last");
    expect(await reader).toEqual(["last", null, null]);
    expect(socket.readableEnded).toBe(true);
  });

  test("gives the end that comes after the data", async () => {
    const [reader] = await waiting(() => [String(socket.readSync()), socket.readSync()]);
    far.write("last");
    await settle();
    far.end();
    expect(await reader).toEqual(["last", null]);
  });

  test("throws when the connection is reset", async () => {
    const [reader] = await waiting(() => thrown(() => socket.readSync()));
    far.resetAndDestroy();
    const error = await reader;
    expect(error).toMatchObject({ code: "ECONNRESET", syscall: "read", errno: -104, message: "read ECONNRESET" });
    expect(socket.errored).toBe(error);
    expect(error.stack).toContain(__filename);
  });

  test("throws when the other end no longer reads", async () => {
    far.resetAndDestroy();
    const error = await inFiber(() =>
      thrown(() => {
        for (;;) {
          socket.writeSync("x".repeat(1000));
          sleep(0);
        }
      }),
    );
    expect(["EPIPE", "ECONNRESET", "ERR_STREAM_DESTROYED"]).toContain(error.code);
    expect(socket.destroyed).toBe(true);
  });

  test("is waited for no longer when it is destroyed", async () => {
    const [reader] = await waiting(() => thrown(() => socket.readSync()));
    socket.destroy();
    expect(await reader).toMatchObject({ code: "ERR_STREAM_PREMATURE_CLOSE" });
  });

  test("can be destroyed with an error of one's own", async () => {
    const [reader] = await waiting(() => thrown(() => socket.readSync()));
    const error = new Error("enough");
    socket.destroy(error);
    expect(await reader).toBe(error);
  });

  test("keeps its timeout, and stays open", async () => {
    socket.setTimeout(20);
    expect(await inFiber(() => thrown(() => socket.readSync()))).toMatchObject({ code: "ETIMEDOUT", syscall: "read" });
    far.write("late");
    socket.setTimeout(0);
    expect(String(await inFiber(() => socket.readSync()))).toBe("late");
  });

  test("leaves no listener behind when its fiber is killed, and loses nothing", async () => {
    const before = socket.eventNames().map((name) => [name, socket.listenerCount(name)]);
    expect(await inFiber(() => withTimeout(5, () => socket.readSync(), "none"))).toBe("none");
    await settle();
    far.write("kept");
    expect(String(await inFiber(() => socket.readSync()))).toBe("kept");
    await settle();
    const after = socket.eventNames().map((name) => [name, socket.listenerCount(name)]);
    expect(after).toEqual(
      [...before, ["error", 1]].filter(([name], i, all) => all.findIndex(([n]) => n === name) === i),
    );
  });

  test("goes back to its stream when a listener for data comes", async () => {
    const [reader] = await waiting(() => socket.readSync());
    const heard: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => heard.push(chunk));
    await settle();
    expect(isDirect(socket)).toBe(false);
    far.write("for both");
    await reader;
    await until(() => heard.length > 0);
    expect(String(Buffer.concat(heard))).toBe("for both");
  });

  test("makes text if it was told to", async () => {
    socket.setEncoding("hex");
    const [reader] = await waiting(() => socket.readSync());
    expect(isDirect(socket)).toBe(false);
    far.write("a");
    expect(await reader).toBe("61");
  });

  test("is read so many bytes at a time, by line, and to the end", async () => {
    const [reader] = await waiting(() => {
      const parts = [String(socket.readSync(3)), socket.readLineSync(), String(socket.readSync(2)), socket.textSync()];
      return parts;
    });
    for (const piece of ["a", "bcd", "e\nf", "g", "h", "i"]) {
      far.write(piece);
      await settle();
    }
    far.end("j");
    expect(await reader).toEqual(["abc", "de", "fg", "hij"]);
  });

  test("takes and gives more than the system keeps", async () => {
    const bytes = Buffer.alloc(8 << 20, "0123456789abcdef");
    const received: Buffer[] = [];
    const writer = spawn(() => {
      socket.writeSync(bytes);
      socket.writeSync("end");
      return socket.bytesWritten;
    });
    await settle();
    expect(writer.dead).toBe(false); // nobody reads yet
    far.on("data", (chunk: Buffer) => received.push(chunk));
    expect(await writer).toBe(bytes.length + 3);
    await until(() => received.reduce((sum, { length }) => sum + length, 0) === bytes.length + 3);
    expect(Buffer.concat(received).equals(Buffer.concat([bytes, Buffer.from("end")]))).toBe(true);
    const reader = spawn(() => {
      const chunks: Buffer[] = [];
      for (let chunk = socket.readSync(); chunk !== null; chunk = socket.readSync()) chunks.push(chunk);
      return Buffer.concat(chunks);
    });
    far.end(bytes);
    expect((await reader).equals(bytes)).toBe(true);
  });

  test("does not overtake what Node still has to write", async () => {
    const big = "x".repeat(4 << 20);
    socket.write(big);
    const writer = spawn(() => socket.writeSync("after"));
    let text = "";
    far.setEncoding("latin1").on("data", (piece: string) => {
      text += piece;
    });
    await writer;
    await until(() => text.length === big.length + 5);
    expect(text.endsWith("xafter")).toBe(true);
    socket.cork();
    socket.write("1");
    const second = spawn(() => socket.writeSync("2"));
    await settle();
    socket.uncork();
    await second;
    await until(() => text.endsWith("12"));
  });

  test("shows a program that has put its own write into it all that is written", async () => {
    const seen: unknown[] = [];
    const { write } = socket;
    socket.write = function (this: net.Socket, ...args: unknown[]) {
      seen.push(args[0]);
      return Reflect.apply(write, this, args);
    } as typeof write;
    await inFiber(() => socket.writeSync("mine"));
    expect(seen).toEqual(["mine"]);
  });

  test("refuses an encoding that there is none of, with bytes too", async () => {
    const codes = await inFiber(() => {
      socket.writeSync("some");
      return [Buffer.from("bytes"), "text"].map((data) => thrown(() => socket.writeSync(data, "utf9" as "utf8")).code);
    });
    expect(codes).toEqual(["ERR_UNKNOWN_ENCODING", "ERR_UNKNOWN_ENCODING"]);
    expect(socket.bytesWritten).toBe(4);
  });

  test("keeps the default encoding, and refuses what is no data", async () => {
    socket.setDefaultEncoding("hex");
    await inFiber(() => socket.writeSync("6162"));
    expect(String(await new Promise((resolve) => far.once("data", resolve)))).toBe("ab");
    expect(await inFiber(() => thrown(() => socket.writeSync(5)))).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
    expect(await inFiber(() => thrown(() => socket.writeSync("a", "none" as never)))).toMatchObject({
      code: "ERR_UNKNOWN_ENCODING",
    });
  });

  test("leaves the loop alone once it is told to", async () => {
    const [reader] = await waiting(() => socket.readSync());
    expect(socket.unref()).toBe(socket);
    await settle();
    expect(isDirect(socket)).toBe(false);
    far.write("still read");
    expect(String(await reader)).toBe("still read");
  });

  test("is read by two fibers in turn", async () => {
    const readers = [1, 1].map((size) => spawn(() => String(socket.readSync(size))));
    await settle();
    far.write("ab");
    expect(await Promise.all(readers)).toEqual(["a", "b"]);
  });

  test("sees, from one chunk to the next, what has become of its stream", async () => {
    const reader = spawn(() => {
      const next = (text: string) => {
        far.write(text);
        return socket.readSync();
      };
      const seen: unknown[] = [next("a"), next("b")];
      socket.unshift("back");
      seen.push(socket.readSync(), next("c"), socket.readSync(0));
      socket.setEncoding("hex");
      seen.push(next("d"));
      const listened: string[] = [];
      const listener = (text: string) => listened.push(text);
      socket.on("data", listener);
      far.write("e");
      while (listened.length === 0) sleep(1);
      socket.off("data", listener).pause();
      seen.push(...listened, next("f"));
      far.end("g");
      seen.push(socket.readSync(), socket.readSync(), socket.readSync());
      return seen.map(String);
    });
    expect(await reader).toEqual(["a", "b", "back", "c", "", "64", "65", "66", "67", "null", "null"]);
  });

  test("is read by turns, chunk by chunk, by fibers that wait for it", async () => {
    const order: string[] = [];
    const readers = ["x", "y"].map((name) =>
      spawn(() => {
        for (let chunk = socket.readSync(); chunk !== null; chunk = socket.readSync()) order.push(`${name}${chunk}`);
      }),
    );
    for (const text of ["1", "2", "3", "4"]) {
      await settle();
      far.write(text);
      await until(() => order.length === Number(text));
    }
    far.end();
    for (const reader of readers) await reader;
    expect(order).toEqual(["x1", "y2", "x3", "y4"]);
  });

  test("is written nothing by a fiber into which an error was thrown, and the rest by its next call", async () => {
    const got = far.setEncoding("latin1").toArray();
    const [fiber] = await waiting(() => {
      socket.writeSync("first ");
      const first = thrown(() => sleep(10_000));
      const second = thrown(() => socket.writeSync("lost "));
      socket.writeSync("last");
      socket.endSync();
      return [first.message, second.message, second.stack?.includes("direct-socket.test")];
    });
    fiber.throw(new Error("one"));
    fiber.throw(new Error("two"));
    expect(await fiber).toEqual(["one", "two", true]);
    expect((await got).join("")).toBe("first last");
  });

  test("can be of the system's own kind", async () => {
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "direct-")), "socket");
    socket.destroy();
    far.destroy();
    server.close();
    await connect({ path: file });
    const [reader] = await waiting(() => String(socket.readSync()));
    expect(isDirect(socket)).toBe(onLinux);
    far.write("local");
    expect(await reader).toBe("local");
  });

  test("is left alone by a fiber that wakes up after it was destroyed, though its descriptor is in use again", async () => {
    const [one, other] = [socket, far];
    const server2 = net.createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => server2.once("listening", resolve));
    const port = (server2.address() as net.AddressInfo).port;
    let next: net.Socket | undefined;
    const connection = new Promise<net.Socket>((resolve) => server2.once("connection", resolve));
    const killer = await inFiber(() => net.connectSync(port, "127.0.0.1"));
    const accepted = await connection;
    // Both are told of in one go, and the first one to wake up destroys the other's socket.
    const first = spawn(() => {
      killer.readSync();
      one.destroy();
      next = net.connectSync(port, "127.0.0.1");
      return next.readSync(1);
    });
    const second = spawn(() => thrown(() => one.readSync()));
    await settle();
    server2.once("connection", (socket) => socket.write("x"));
    accepted.write("go");
    other.write("lost");
    expect(await second).toBeInstanceOf(Error);
    expect(String(await first)).toBe("x");
    for (const open of [killer, accepted, next]) open?.destroy();
    server2.close();
  });
});

describeFibers("standard input that is a pipe", () => {
  test("is no socket, and is read all the same", () => {
    const program = `
      require("runtime/patch");
      require("runtime").spawn(() => {
        console.log(String(process.stdin.readSync()), process.stdin.readSync());
        process.stdout.writeSync("written\\n");
      });`;
    const root = path.join(__dirname, "..", "..");
    const command = `printf piped | "${process.execPath}" -e '${program}' | cat`;
    expect(execFileSync("sh", ["-c", command], { cwd: root, encoding: "utf8" })).toBe("piped null\nwritten\n");
  });
});

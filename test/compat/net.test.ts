import "runtime/patch";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { sleepSync } from "node:timers";
import { sleep, spawn, withTimeout, wrap } from "runtime";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { active, describeBoth, describeFibers, inFiber, Peer, progress, settle, thrown, until } from "./support";

let peer: Peer;

beforeAll(async () => {
  peer = await Peer.start();
});

/** How many sockets this process has, beside those that Node itself leaves when `net.connect` throws. */
let idle = 0;
const sockets = () => active("TCPSocketWrap") - idle;

beforeEach(() => {
  idle = active("TCPSocketWrap");
});

afterAll(async () => {
  await peer.stop();
});

/** Connects to the peer, and says what it is to do. */
function connected(...commands: string[]): net.Socket {
  const socket = net.connectSync(peer.port, "127.0.0.1");
  for (const command of commands) socket.writeSync(`${command}\n`);
  return socket;
}

/** A port on which nobody listens. */
async function unusedPort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as net.AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function listenersOf(emitter: NodeJS.EventEmitter): Record<string, number> {
  return Object.fromEntries(emitter.eventNames().map((name) => [name, emitter.listenerCount(name)]));
}

describeBoth("net", (run) => {
  test("connects, writes, reads lines, ends", async () => {
    await run(() => {
      const socket = net.connectSync(peer.port, "127.0.0.1");
      expect(socket).toBeInstanceOf(net.Socket);
      socket.writeSync("echo one\necho two\n");
      expect(socket.readLineSync()).toBe("one");
      expect(socket.readLineSync()).toBe("two");
      socket.endSync();
      expect(socket.readLineSync()).toBe("bye");
      expect(socket.readLineSync()).toBe(null);
      expect(socket.readSync()).toBe(null);
    });
    await until(async () => (await peer.open()) === 0);
  });

  test("a socket tells both its ends", async () => {
    await run(() => {
      const socket = connected();
      expect(socket).toMatchObject({ remoteAddress: "127.0.0.1", remotePort: peer.port, remoteFamily: "IPv4" });
      expect(socket).toMatchObject({
        localAddress: "127.0.0.1",
        connecting: false,
        pending: false,
        readyState: "open",
      });
      expect(socket.address()).toEqual({ address: "127.0.0.1", family: "IPv4", port: socket.localPort });
      socket.writeSync("echo 1234\n");
      expect(socket.readLineSync()).toBe("1234");
      expect([socket.bytesWritten, socket.bytesRead]).toEqual([10, 5]);
      socket.destroy();
      expect(socket.destroyed).toBe(true);
    });
  });

  test("connects by options, with a host name, and to a path", async () => {
    const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "net-")), "socket");
    await run(() => {
      net.connectSync({ port: peer.port, host: "localhost", family: 4 }).destroy();
      expect(thrown(() => net.connectSync(file))).toMatchObject({ code: "ENOENT", syscall: "connect", address: file });
      expect(thrown(() => net.connectSync({ path: file }))).toMatchObject({ code: "ENOENT" });
    });
  });

  test("lines: whole ones, however they come in", async () => {
    const pieces = ["a", "b\nc", "\n\n", "last\r", "\nd\u00c3", "\u00a4e\n"];
    await run(() => {
      const socket = connected(
        `pieces ${JSON.stringify(pieces).replaceAll("\u00c3", "\\u00c3").replaceAll("\u00a4", "\\u00a4")}`,
      );
      const lines = Array.from({ length: 5 }, () => socket.readLineSync());
      expect(lines).toEqual(["ab", "c", "", "last", "d\u00e4e"]);
      socket.destroy();
    });
  });

  test("lines: in another encoding, and what follows is left for other reads", async () => {
    await run(() => {
      const socket = connected("echo d\u00e4e", "echo next", "echo rest");
      expect(socket.readLineSync("latin1")).toBe("d\u00c3\u00a4e");
      expect(socket.readSync(6).toString()).toBe("next\nr");
      expect(socket.readLineSync()).toBe("est");
      socket.destroy();
    });
  });

  test("lines: the last one need not end", async () => {
    await run(() => {
      const socket = connected(`pieces ["x\\ny"]`);
      expect(socket.readLineSync()).toBe("x");
      expect(socket.readSync(1).toString()).toBe("y");
      socket.writeSync(`pieces ["no end"]\nlater 20 \n`);
      expect(socket.readSync(3).toString()).toBe("no ");
      socket.writeSync("end\n");
      expect(socket.readLineSync()).toBe("end");
      expect(socket.readLineSync()).toBe(null);
      socket.destroy();
    });
  });

  test("reads so many bytes, and fewer at the end", async () => {
    await run(() => {
      const socket = connected("bytes 200000");
      expect(socket.readSync(150_000)).toEqual(Buffer.alloc(150_000, 7));
      expect(socket.readSync(0)).toEqual(Buffer.alloc(0));
      socket.writeSync("end\n");
      expect(socket.readSync(60_000)).toHaveLength(50_000);
      expect(socket.readSync(1)).toBe(null);
      socket.destroy();
    });
  });

  test("text until the end; chunks until the loop is left", async () => {
    await run(() => {
      const socket = connected("echo one", "echo two", "end");
      expect(socket.textSync()).toBe("one\ntwo\n");
      const other = connected("echo one");
      for (const chunk of other.chunksSync()) {
        expect(String(chunk)).toBe("one\n");
        break;
      }
      expect(other.destroyed).toBe(true);
    });
  });

  test("with an encoding of its own, it reads text", async () => {
    await run(() => {
      const socket = connected("echo text", "echo line", "echo more");
      socket.setEncoding("utf8");
      expect(socket.readSync(5)).toBe("text\n");
      expect(socket.readLineSync()).toBe("line");
      expect(socket.readLineSync()).toBe("more");
      expect(socket.readSync(0)).toBe("");
      socket.destroy();
    });
  });

  test("bytes go through unchanged, in any amount", async () => {
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
    await run(() => {
      const socket = connected("count");
      expect(socket.readLineSync()).toBe("ready");
      socket.writeSync(Buffer.alloc(3_000_000, 1));
      socket.writeSync(new Uint8Array(bytes.buffer, bytes.byteOffset + 16, 100));
      socket.writeSync("\u00e4", "latin1");
      socket.endSync(bytes);
      expect(socket.readLineSync()).toBe(String(3_000_000 + 100 + 1 + 256));
      expect(socket.textSync()).toBe("bye\n");
    });
  });

  test("half-open: the other side has ended, this side still writes", async () => {
    await run(() => {
      const socket = net.connectSync({ port: peer.port, host: "127.0.0.1", allowHalfOpen: true });
      socket.writeSync("end\n");
      expect(socket.readSync()).toBe(null);
      socket.writeSync("count\n");
      socket.writeSync("still here");
      socket.endSync();
      expect(socket.readSync()).toBe(null);
    });
    await until(async () => (await peer.open()) === 0);
  });

  test("not half-open: with the other side's end, this side is ended too", async () => {
    await run(() => {
      const socket = connected("end");
      expect(socket.readSync()).toBe(null);
      socket.endSync();
      expect(thrown(() => socket.writeSync("x")).code).toMatch(/^(EPIPE|ERR_STREAM_(DESTROYED|WRITE_AFTER_END))$/);
    });
    await until(async () => (await peer.open()) === 0);
  });

  test("a reset is an error, of each call from then on", async () => {
    const error = await run(function caller() {
      const socket = connected("reset");
      const first = thrown(() => socket.readSync());
      expect(first).toMatchObject({ code: "ECONNRESET", syscall: "read" });
      expect(thrown(() => socket.readLineSync())).toMatchObject({ code: "ECONNRESET" });
      expect(thrown(() => socket.writeSync("x"))).toMatchObject({ code: "ECONNRESET" });
      expect(socket.destroyed).toBe(true);
      return first;
    });
    expect(error).toBeInstanceOf(Error);
    expect(error.stack).toMatch(/^Error: read ECONNRESET\n.*caller/s);
  });

  test("refused connections are errors with the caller's frames", async () => {
    const port = await unusedPort();
    const error = await run(function caller() {
      return thrown(() => net.connectSync(port, "127.0.0.1"));
    });
    expect(error).toMatchObject({ code: "ECONNREFUSED", syscall: "connect", address: "127.0.0.1", port });
    expect(error.message).toBe(`connect ECONNREFUSED 127.0.0.1:${port}`);
    expect(error.stack).toContain("caller");
  });

  test("several addresses refused are one AggregateError", async () => {
    const port = await unusedPort();
    const options = { port, host: "localhost", autoSelectFamily: true };
    const expected = await new Promise<AggregateError>((resolve) =>
      net.connect(options).once("error", resolve as never),
    );
    const error = await run(() => thrown(() => net.connectSync(options)));
    expect(error.constructor).toBe(expected.constructor);
    expect(error).toMatchObject({ code: "ECONNREFUSED" });
    const errors = (one: unknown) => ((one as AggregateError).errors ?? []).map(({ message }: Error) => message).sort();
    expect(errors(error)).toEqual(errors(expected));
  });

  test("an unknown host is an error", async () => {
    expect(await run(() => thrown(() => net.connectSync(1, "nothing.invalid")))).toMatchObject({
      code: "ENOTFOUND",
      syscall: "getaddrinfo",
      hostname: "nothing.invalid",
    });
  });

  test.each([
    [],
    [null],
    [{}],
    [{ port: "x" }],
    [65_536],
    [{ port: 1, host: 5 }],
    [{ port: 1, localAddress: "x" }],
    [{ port: 1, hints: "x" }],
    [{ port: 1, timeout: -1 }],
  ])("connectSync(%j) is refused as by net.connect", async (...args) => {
    const expected = thrown(() => net.connect(...(args as [number])).destroy());
    const error = await run(() => thrown(() => net.connectSync(...(args as [number]))));
    const { code, message, name } = expected;
    expect({ code: error.code, message: error.message, name: error.name }).toEqual({ code, message, name });
    expect(error).toBeInstanceOf(expected.constructor);
  });

  test("other wrong arguments", async () => {
    await run(() => {
      expect(thrown(() => net.connectSync(1, (() => {}) as never))).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
      const listen = () => net.createServer().listenSync(0, (() => {}) as never);
      expect(thrown(listen)).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
      const socket = connected();
      for (const [call, code] of [
        [() => socket.readSync("1" as never), "ERR_INVALID_ARG_TYPE"],
        [() => socket.readSync(-1), "ERR_OUT_OF_RANGE"],
        [() => socket.readSync(1.5), "ERR_OUT_OF_RANGE"],
        [() => socket.readLineSync("x" as never), "ERR_INVALID_ARG_TYPE"],
        [() => socket.textSync(5 as never), "ERR_INVALID_ARG_TYPE"],
        [() => socket.writeSync(5 as never), "ERR_INVALID_ARG_TYPE"],
        [() => socket.writeSync({} as never), "ERR_INVALID_ARG_TYPE"],
        [() => socket.writeSync((() => {}) as never), "ERR_INVALID_ARG_TYPE"],
        [() => socket.writeSync(null as never), "ERR_STREAM_NULL_VALUES"],
        [() => socket.writeSync("x", "y" as never), "ERR_UNKNOWN_ENCODING"],
      ] as const) {
        expect(thrown(call)).toMatchObject({ code });
      }
      socket.writeSync("echo it still works\n");
      expect(socket.readLineSync()).toBe("it still works");
      socket.destroy();
    });
  });

  test("a destroyed socket says so", async () => {
    await run(() => {
      const socket = connected();
      socket.destroy();
      expect(thrown(() => socket.readSync()).code).toMatch(/ERR_STREAM_(PREMATURE_CLOSE|DESTROYED)/);
      expect(thrown(() => socket.writeSync("x"))).toMatchObject({ code: "ERR_STREAM_DESTROYED" });
      expect(thrown(() => socket.endSync("x"))).toMatchObject({ code: "ERR_STREAM_DESTROYED" });
    });
    await until(async () => (await peer.open()) === 0);
  });

  test("a socket's timeout ends a call, not the socket", async () => {
    await run(() => {
      const socket = net.connectSync({ port: peer.port, host: "127.0.0.1", timeout: 20 });
      expect(thrown(() => socket.readSync())).toMatchObject({ code: "ETIMEDOUT", syscall: "read" });
      expect(thrown(() => socket.readLineSync())).toMatchObject({ code: "ETIMEDOUT", syscall: "read" });
      socket.writeSync(`pieces ["par"]\n`);
      expect(thrown(() => socket.readLineSync())).toMatchObject({ code: "ETIMEDOUT" });
      expect(thrown(() => socket.textSync())).toMatchObject({ code: "ETIMEDOUT" });
      socket.setTimeout(0);
      socket.writeSync("later 50 tly\n");
      expect(socket.readLineSync()).toBe("partly");
      socket.destroy();
    });
  });

  test("a write that the other side does not take times out", async () => {
    await run(() => {
      const socket = connected("stall");
      socket.setTimeout(30);
      const error = thrown(() => {
        for (;;) socket.writeSync(Buffer.alloc(1_000_000));
      });
      expect(error).toMatchObject({ code: "ETIMEDOUT", syscall: "write" });
      socket.destroy();
    });
    await until(async () => (await peer.open()) === 0);
  });

  test("listens, accepts in order, closes", async () => {
    await run(() => {
      const server = net.createServer().listenSync(0, "127.0.0.1");
      expect(server.listening).toBe(true);
      const { port } = server.address() as net.AddressInfo;
      const clients = [1, 2, 3].map((number) => {
        const client = net.connectSync(port, "127.0.0.1");
        client.writeSync(`${number}\n`);
        return client;
      });
      for (const client of clients) {
        const socket = server.acceptSync() as net.Socket;
        expect(socket.remotePort).toBe(client.localPort);
        expect(client.localPort).toBe(socket.remotePort);
        const line = socket.readLineSync();
        socket.endSync(`${line}!\n`);
        expect(client.readLineSync()).toBe(`${line}!`);
        client.endSync();
        expect(client.readSync()).toBe(null);
        expect(socket.readSync()).toBe(null);
      }
      server.closeSync();
      expect(server.listening).toBe(false);
      expect(server.address()).toBe(null);
      expect(server.acceptSync()).toBe(null);
      expect(thrown(() => net.connectSync(port, "127.0.0.1"))).toMatchObject({ code: "ECONNREFUSED" });
    });
  });

  test("accepts within a limit; one that was over takes no connection along", async () => {
    await run(() => {
      const server = net.createServer().listenSync(0, "127.0.0.1");
      const { port } = server.address() as net.AddressInfo;
      for (const limit of [0, 20, { timeout: 20 }]) {
        const ms = typeof limit === "number" ? limit : limit.timeout;
        expect(thrown(() => server.acceptSync(limit))).toMatchObject({ code: "ERR_TIMEOUT", ms });
      }
      const clients = [net.connectSync(port, "127.0.0.1"), net.connectSync(port, "127.0.0.1")];
      const accepted = [server.acceptSync(60_000)];
      while (accepted.length < 2) {
        sleepSync(1); // until it has come
        try {
          accepted.push(server.acceptSync(0));
        } catch (error) {
          expect(error).toMatchObject({ code: "ERR_TIMEOUT" });
        }
      }
      expect(accepted.map((socket) => socket?.remotePort)).toEqual(clients.map(({ localPort }) => localPort));
      for (const wrong of [-1, "1", null]) {
        expect(thrown(() => server.acceptSync(wrong as never)).message).toContain('"limit"');
      }
      for (const socket of [...clients, ...accepted]) socket?.destroy();
      server.closeSync();
      expect([server.acceptSync(0), server.acceptSync(20)]).toEqual([null, null]);
    });
  });

  test("a port in use is an error", async () => {
    const error = await run(function caller() {
      return thrown(() => net.createServer().listenSync(peer.port, "127.0.0.1"));
    });
    expect(error).toMatchObject({ code: "EADDRINUSE", syscall: "listen", address: "127.0.0.1", port: peer.port });
    expect(error.stack).toContain("caller");
    expect(await run(() => thrown(() => net.createServer().listenSync(65_536)))).toMatchObject({
      code: "ERR_SOCKET_BAD_PORT",
    });
  });

  test("a closed server can listen again", async () => {
    await run(() => {
      const server = net.createServer().listenSync(0, "127.0.0.1");
      server.closeSync();
      server.listenSync(0, "127.0.0.1");
      expect(server.listening).toBe(true);
      server.closeSync();
    });
  });
});

describeFibers("net in fibers", () => {
  test("every call lets others go on", async () => {
    const server = await inFiber(() => net.createServer().listenSync(0, "127.0.0.1"));
    const { port } = server.address() as net.AddressInfo;
    const socket = await inFiber(() => connected());
    expect(await progress(() => net.connectSync(peer.port, "127.0.0.1").destroy())).toBeGreaterThan(0);
    expect(
      await progress(
        () => socket.readSync(),
        () => socket.write("echo x\n"),
      ),
    ).toBeGreaterThanOrEqual(5);
    expect(
      await progress(
        () => socket.readLineSync(),
        () => socket.write("echo x\n"),
      ),
    ).toBeGreaterThanOrEqual(5);
    expect(
      await progress(
        () => socket.textSync(),
        () => socket.write("end\n"),
      ),
    ).toBeGreaterThanOrEqual(5);
    const accept = () => server.acceptSync()?.destroy();
    expect(await progress(accept, () => net.connect(port, "127.0.0.1"))).toBeGreaterThanOrEqual(5);
    expect(await progress(() => server.closeSync())).toBeGreaterThan(0);
    for (const method of ["writeSync", "endSync"] as const) {
      const stalled = await inFiber(() => connected("stall"));
      const call = () => thrown(() => stalled[method](Buffer.alloc(30_000_000)));
      expect(await progress(call, () => stalled.destroy())).toBeGreaterThanOrEqual(5);
    }
  });

  test("200 clients at once", async () => {
    const clients = Array.from({ length: 200 }, (_, number) =>
      spawn(() => {
        const socket = connected();
        for (let turn = 0; turn < 5; turn++) {
          socket.writeSync(`echo ${number}.${turn}\n`);
          expect(socket.readLineSync()).toBe(`${number}.${turn}`);
        }
        socket.endSync();
        expect(socket.textSync()).toBe("bye\n");
      }),
    );
    for (const client of clients) await client;
    await until(async () => (await peer.open()) === 0);
    await until(() => sockets() <= 0);
  });

  test("killed while it connects, the socket is gone", async () => {
    const server = net.createServer().listen({ port: 0, host: "127.0.0.1", backlog: 1 });
    await new Promise((resolve) => server.once("listening", resolve));
    const { port } = server.address() as net.AddressInfo;
    const accepted: net.Socket[] = [];
    server.on("connection", (socket) => accepted.push(socket));
    const fibers = Array.from({ length: 20 }, () => spawn(() => net.connectSync(port, "127.0.0.1")));
    await inFiber(() => {
      for (const fiber of fibers) fiber.kill();
    });
    for (const { value } of fibers) {
      if (value instanceof net.Socket)
        value.destroy(); // it was quicker
      else expect(value).toHaveProperty("code", "ERR_FIBER_EXIT");
    }
    await settle();
    await until(() => accepted.every((socket) => socket.resume().destroyed));
    await new Promise((resolve) => server.close(resolve));
    await until(() => sockets() <= 0 && active("TCPServerWrap") === 0);
  });

  test("a timeout while it connects destroys the socket", async () => {
    const lookups: unknown[] = [];
    const error = await inFiber(function caller() {
      const options = { port: peer.port, host: "somewhere", lookup: (name: string) => lookups.push(name) } as never;
      return thrown(() => withTimeout(10, () => net.connectSync(options)));
    });
    expect(lookups).toEqual(["somewhere"]);
    expect(error).toMatchObject({ code: "ERR_TIMEOUT" });
    expect(error.stack).toContain("caller");
    const own = await inFiber(() =>
      thrown(() => net.connectSync({ port: peer.port, host: "somewhere", lookup: () => {}, timeout: 10 } as never)),
    );
    expect(own).toMatchObject({ code: "ETIMEDOUT", syscall: "connect" });
    await until(() => sockets() <= 0);
  });

  test("options.signal aborts the attempt", async () => {
    const aborter = new AbortController();
    setTimeout(() => aborter.abort(), 10);
    const options = { port: peer.port, host: "somewhere", lookup: () => {}, signal: aborter.signal };
    const error = await inFiber(() => thrown(() => net.connectSync(options as never)));
    expect(error).toMatchObject({ name: "AbortError", code: "ABORT_ERR" });
  });

  test.each([
    ["readSync", (socket: net.Socket) => socket.readSync()],
    ["readLineSync", (socket: net.Socket) => socket.readLineSync()],
    ["textSync", (socket: net.Socket) => socket.textSync()],
    ["writeSync", (socket: net.Socket) => socket.writeSync(Buffer.alloc(30_000_000))],
    ["endSync", (socket: net.Socket) => socket.endSync(Buffer.alloc(30_000_000))],
  ])("killed in %s, nothing stays behind but the socket", async (name, call) => {
    const socket = await inFiber(() => connected("stall"));
    const before = listenersOf(socket);
    const fibers = Array.from({ length: name === "endSync" ? 1 : 3 }, () => spawn(() => call(socket)));
    await settle();
    await inFiber(() => {
      for (const fiber of fibers) fiber.kill();
    });
    if (name.startsWith("read") || name.startsWith("text")) expect(listenersOf(socket)).toEqual(before);
    socket.destroy();
    await until(async () => (await peer.open()) === 0);
    await until(() => sockets() <= 0);
    expect(socket.listenerCount("readable") + socket.listenerCount("timeout")).toBe(0);
  });

  test("killed while it reads a line, what was there of the line can still be read", async () => {
    const socket = await inFiber(() => connected(`pieces ["half a ", "line"]`));
    const error = await inFiber(() => thrown(() => withTimeout(50, () => socket.readLineSync())));
    expect(error).toMatchObject({ code: "ERR_TIMEOUT" });
    socket.write("echo !\n");
    expect(await inFiber(() => socket.readLineSync())).toBe("half a line!");
    socket.destroy();
  });

  test("several fibers read one socket: each gets whole lines, first come first served", async () => {
    const socket = await inFiber(() => connected());
    const warnings: Error[] = [];
    const warned = (warning: Error) => warnings.push(warning);
    process.on("warning", warned);
    const readers = Array.from({ length: 20 }, () => spawn(() => socket.readLineSync()));
    await settle();
    await inFiber(() => readers[3]?.kill());
    const pieces = Array.from({ length: 19 }, (_, number) => [`${number}`, `-${number}\n`]).flat();
    socket.write(`pieces ${JSON.stringify(pieces)}\n`);
    const lines: unknown[] = [];
    for (const reader of readers) lines.push(await reader);
    expect(lines.toSpliced(3, 1)).toEqual(Array.from({ length: 19 }, (_, number) => `${number}-${number}`));
    await settle();
    process.off("warning", warned);
    expect(warnings).toEqual([]);
    socket.destroy();
  });

  test("several fibers write to one socket: chunks stay whole", async () => {
    const socket = await inFiber(() => connected());
    const writers = Array.from({ length: 50 }, (_, number) => spawn(() => socket.writeSync(`echo ${number}\n`)));
    for (const writer of writers) await writer;
    const lines = await inFiber(() => Array.from({ length: 50 }, () => socket.readLineSync()));
    expect(lines).toEqual(Array.from({ length: 50 }, (_, number) => String(number)));
    socket.destroy();
  });

  test("a write that the kernel takes at once does not switch", async () => {
    await inFiber(() => {
      const socket = connected("count");
      let switched = false;
      spawn(() => {
        switched = true;
      });
      for (let count = 0; count < 100; count++) socket.writeSync("x");
      expect(switched).toBe(false);
      expect(socket.listenerCount("error")).toBe(1);
      socket.destroy();
    });
  });

  test("a reset between two calls is told by the next call", async () => {
    const error = await inFiber(() => {
      const socket = connected("reset");
      sleep(20);
      return thrown(() => socket.readSync());
    });
    expect(error).toMatchObject({ code: "ECONNRESET" });
  });

  test("a destroyed socket wakes those who wait", async () => {
    const socket = await inFiber(() => connected("stall"));
    const reader = spawn(() => thrown(() => socket.readSync()));
    const writers = [1, 2].map(() => spawn(() => thrown(() => socket.writeSync(Buffer.alloc(30_000_000)))));
    await settle();
    socket.destroy();
    for (const fiber of [reader, ...writers]) {
      expect((await fiber).code).toMatch(/^(ECANCELED|ERR_STREAM_(DESTROYED|PREMATURE_CLOSE))$/);
    }
  });

  test("a socket can be used asynchronously after, and before", async () => {
    const socket = await inFiber(() => connected("echo one"));
    expect(await inFiber(() => socket.readLineSync())).toBe("one");
    const data = new Promise<Buffer>((resolve) => socket.once("data", resolve));
    socket.write("echo two\n");
    expect(String(await data)).toBe("two\n");
    socket.pause();
    socket.write("echo three\n");
    expect(await inFiber(() => socket.readLineSync())).toBe("three");
    socket.destroy();
  });

  test("a blocking handler serves many at once", async () => {
    let [waiting, most] = [0, 0];
    const server = net.createServer(
      wrap((socket: net.Socket) => {
        for (let line = socket.readLineSync(); line !== null; line = socket.readLineSync()) {
          most = Math.max(most, ++waiting);
          sleep(20);
          waiting--;
          socket.writeSync(`${line}!\n`);
        }
        socket.endSync();
      }),
    );
    await inFiber(() => server.listenSync(0, "127.0.0.1"));
    const { port } = server.address() as net.AddressInfo;
    const clients = Array.from({ length: 100 }, (_, number) =>
      spawn(() => {
        const socket = net.connectSync(port, "127.0.0.1");
        socket.writeSync(`${number}\n`);
        expect(socket.readLineSync()).toBe(`${number}!`);
        socket.endSync();
        expect(socket.readSync()).toBe(null);
      }),
    );
    for (const client of clients) await client;
    expect(most).toBeGreaterThan(5);
    await inFiber(() => server.closeSync());
    await until(() => active("TCPServerWrap") === 0);
  });

  test("several fibers accept: each gets another connection, and all hear of the end", async () => {
    const server = await inFiber(() => net.createServer().listenSync(0, "127.0.0.1"));
    const { port } = server.address() as net.AddressInfo;
    const acceptors = Array.from({ length: 6 }, () => spawn(() => server.acceptSync()));
    await settle();
    await inFiber(() => acceptors[0]?.kill());
    const ports = await inFiber(() =>
      [1, 2, 3].map(() => {
        const client = net.connectSync(port, "127.0.0.1");
        sleep(5);
        client.destroy();
        return client.localPort;
      }),
    );
    const accepted: (net.Socket | null)[] = [];
    for (const acceptor of acceptors.slice(1, 4)) accepted.push((await acceptor) as net.Socket | null);
    expect(accepted.map((socket) => socket?.remotePort)).toEqual(ports);
    for (const socket of accepted) socket?.destroy();
    await inFiber(() => server.closeSync());
    for (const acceptor of acceptors.slice(4)) expect(await acceptor).toBe(null);
  });

  test("a connection whose acceptor is killed goes to the next", async () => {
    const server = await inFiber(() => net.createServer().listenSync(0, "127.0.0.1"));
    const { port } = server.address() as net.AddressInfo;
    const accepted: unknown[] = [];
    const [first] = [1, 2].map((number) =>
      spawn(() => {
        server.acceptSync()?.destroy();
        accepted.push(number);
      }),
    );
    await settle();
    await inFiber(() => {
      net.connectSync(port, "127.0.0.1").destroy();
      first?.kill();
    });
    await until(() => accepted.length > 0);
    await inFiber(() => server.closeSync());
    await until(() => sockets() <= 0);
  });

  test("killed while it listens, or waits for the end, the server is as it should be", async () => {
    const server = net.createServer();
    await inFiber(() => {
      const fiber = spawn(() => server.listenSync(0, "127.0.0.1"));
      sleep(0);
      fiber.kill();
    });
    await until(() => active("TCPServerWrap") === 0);
    const other = await inFiber(() => net.createServer().listenSync(0, "127.0.0.1"));
    const { port } = other.address() as net.AddressInfo;
    const [client, socket] = await inFiber(() => [net.connectSync(port, "127.0.0.1"), other.acceptSync()]);
    const error = await inFiber(() => thrown(() => withTimeout(10, () => other.closeSync())));
    expect(error).toMatchObject({ code: "ERR_TIMEOUT" });
    expect(other.listening).toBe(false);
    client?.destroy();
    socket?.destroy();
    await until(() => sockets() <= 0);
  });

  test("an aborted signal ends acceptSync, and the next connection is for who comes next", async () => {
    await inFiber(() => {
      const server = net.createServer().listenSync(0, "127.0.0.1");
      const { port } = server.address() as net.AddressInfo;
      const controller = new AbortController();
      const acceptor = spawn(() => thrown(() => server.acceptSync(controller.signal)));
      sleep(1);
      controller.abort();
      expect(acceptor.get()).toMatchObject({ code: "ABORT_ERR" });
      const client = net.connectSync(port, "127.0.0.1");
      const socket = server.acceptSync({ timeout: 60_000, signal: new AbortController().signal });
      expect(socket?.remotePort).toBe(client.localPort);
      socket?.destroy();
      client.destroy();
      server.closeSync();
    });
  });

  test("out of a fiber acceptSync takes a time only", () => {
    const server = net.createServer().listenSync(0, "127.0.0.1");
    const { signal } = new AbortController();
    expect(thrown(() => server.acceptSync({ signal }))).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    server.closeSync();
  });

  test("a server with listeners of its own keeps no connections; who waits for one gets it, too", async () => {
    const accepted: net.Socket[] = [];
    const server = net.createServer((socket) => accepted.push(socket));
    await inFiber(() => {
      server.listenSync(0, "127.0.0.1");
      const { port } = server.address() as net.AddressInfo;
      net.connectSync(port, "127.0.0.1").endSync();
      const error = thrown(() => withTimeout(20, () => server.acceptSync()));
      expect(error).toMatchObject({ code: "ERR_TIMEOUT" });
      const acceptor = spawn(() => server.acceptSync());
      sleep(1);
      net.connectSync(port, "127.0.0.1").endSync();
      expect(acceptor.get()).toBe(accepted[1]);
    });
    expect(accepted).toHaveLength(2);
    for (const socket of accepted) socket.destroy();
    await inFiber(() => server.closeSync());
    expect(await inFiber(() => thrown(() => server.closeSync()))).toMatchObject({ code: "ERR_SERVER_NOT_RUNNING" });
  });

  test("a parked socket works in a fiber too", async () => {
    const socket = connected("echo parked");
    expect(await inFiber(() => socket.readLineSync())).toBe("parked");
    const lines = await Promise.all(
      [1, 2, 3].map((number) =>
        spawn(() => {
          socket.writeSync(`echo ${number}\n`);
          return socket.readLineSync();
        }),
      ),
    );
    expect(lines).toEqual(["1", "2", "3"]);
    socket.destroy();
  });
});

describe("net out of a fiber", () => {
  test("what is asynchronous is refused, and says why", () => {
    const socket = connected();
    for (const use of [
      () => socket.on("data", () => {}),
      () => socket.once("readable", () => {}),
      () => socket.addListener("end", () => {}),
      () => socket.prependListener("drain", () => {}),
      () => socket.write("x", () => {}),
      () => socket.end(() => {}),
      () => socket.pipe(process.stdout),
      () => socket.read(),
      () => socket.resume(),
      () => socket.setTimeout(5, () => {}),
      () => socket[Symbol.asyncIterator](),
    ]) {
      expect(thrown(use)).toMatchObject({
        code: "ERR_PARKED_SOCKET",
        message: expect.stringMatching(/out of a fiber/),
      });
    }
    socket.on("error", () => {});
    socket.write("echo but this works\n");
    expect(socket.readLineSync()).toBe("but this works");
    socket.setNoDelay(true).setKeepAlive(true, 1000).ref().unref();
    socket.end();
    expect(socket.readLineSync()).toBe("bye");
    expect(socket.readLineSync()).toBe(null);
  });

  test("functions of this thread cannot be used while it sleeps", () => {
    expect(thrown(() => net.connectSync({ port: peer.port, lookup: () => {} } as never))).toMatchObject({
      code: "ERR_NOT_IN_FIBER",
      message: expect.stringContaining("options.lookup"),
    });
    expect(thrown(() => net.connectSync({ port: peer.port, signal: AbortSignal.abort() }))).toMatchObject({
      name: "AbortError",
      code: "ABORT_ERR",
    });
    expect(thrown(() => net.createServer(() => {}).listenSync(0))).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
  });

  test("'close' is emitted", async () => {
    const socket = connected();
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.destroy();
    await closed;
  });

  test("a reset in the mean time is told by the next call", () => {
    const socket = connected("reset");
    const other = connected("later 30 x");
    other.readLineSync();
    expect(thrown(() => socket.readSync())).toMatchObject({ code: "ECONNRESET" });
    other.destroy();
  });

  test("resetAndDestroy", async () => {
    connected().resetAndDestroy();
    await until(async () => (await peer.open()) === 0);
  });
});

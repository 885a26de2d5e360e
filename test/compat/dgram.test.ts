import "runtime/patch";
import { spawn as spawnProcess } from "node:child_process";
import dgram from "node:dgram";
import path from "node:path";
import { sleep, spawn, withTimeout } from "runtime";
import { describe, expect, test } from "vitest";
import { active, describeFibers, inFiber, progress, settle, thrown, until } from "./support";

/** A bound socket, and the port that it has. Called in a fiber. */
function bound(): { socket: dgram.Socket; port: number } {
  const socket = dgram.createSocket("udp4");
  return { socket, port: socket.bindSync({ address: "127.0.0.1" }).port };
}

function sent(socket: dgram.Socket, port: number, ...texts: string[]): void {
  for (const text of texts) socket.sendSync(text, port, "127.0.0.1");
}

const root = path.join(__dirname, "..", "..");

function listeners(socket: dgram.Socket): number {
  return socket.eventNames().reduce((sum, name) => sum + socket.listenerCount(name), 0);
}

describeFibers("dgram", () => {
  test("binds, sends, receives, and lets others go on meanwhile", async () => {
    const { socket, port } = await inFiber(bound);
    const sender = dgram.createSocket("udp4");
    let datagram: { msg: Buffer; rinfo: dgram.RemoteInfo } | undefined;
    const turns = await progress(
      () => {
        datagram = socket.recvSync();
      },
      () => expect(sender.sendSync("h\u00e4llo", port, "127.0.0.1")).toBe(6),
    );
    expect(String(datagram?.msg)).toBe("h\u00e4llo");
    expect(datagram?.rinfo).toEqual({ address: "127.0.0.1", family: "IPv4", port: sender.address().port, size: 6 });
    expect(turns).toBeGreaterThanOrEqual(5);
    for (const one of [socket, sender]) one.close();
  });

  test("talks to another process in both directions", async () => {
    const program = `const { spawn } = require("runtime"); const socket = require("dgram").createSocket("udp4");
      spawn(() => {
        for (const text of ["one", "two"]) {
          socket.sendSync(text, process.env.PORT, "127.0.0.1");
          console.log(String(socket.recvSync().msg));
        }
        socket.close();
      });`;
    const { socket, port } = await inFiber(bound);
    const server = spawn(() => {
      for (let i = 0; i < 2; i++) {
        const { msg, rinfo } = socket.recvSync();
        socket.sendSync(String(msg).toUpperCase(), rinfo.port, rinfo.address);
      }
    });
    const output = await inFiber(() => {
      const env = { ...process.env, PORT: String(port) };
      const child = spawnProcess(process.execPath, ["-r", "runtime/patch", "-e", program], { cwd: root, env });
      return child.stdout.textSync();
    });
    await server;
    expect(output).toBe("ONE\nTWO\n");
    socket.close();
  });

  test("sends all that send takes: parts, a piece of a buffer, a connected socket's own address", async () => {
    await inFiber(() => {
      const { socket, port } = bound();
      const sender = dgram.createSocket("udp4");
      expect(sender.sendSync(["ab", Buffer.from("cd")], port, "127.0.0.1")).toBe(4);
      expect(sender.sendSync(Buffer.from("abcdef"), 2, 3, port, "127.0.0.1")).toBe(3);
      expect(sender.sendSync("", port, "localhost")).toBe(0);
      const connected = dgram.createSocket("udp4");
      connected.connect(port, "127.0.0.1");
      sleep(5);
      expect(connected.sendSync("own")).toBe(3);
      const texts = Array.from({ length: 4 }, () => String(socket.recvSync().msg));
      expect(texts).toEqual(["abcd", "cde", "", "own"]);
      for (const one of [socket, sender, connected]) one.close();
    });
  });

  test("what comes between two calls is kept, in order", async () => {
    await inFiber(() => {
      const { socket, port } = bound();
      sent(socket, port, "1", "2", "3");
      sleep(10);
      const texts = [socket.recvSync(), socket.recvSync(0), socket.recvSync(100)].map(({ msg }) => String(msg));
      expect(texts).toEqual(["1", "2", "3"]);
      expect(thrown(() => socket.recvSync(0))).toMatchObject({ code: "ERR_TIMEOUT" });
      socket.close();
    });
  });

  test("keeps what a kernel buffer of that size would, and drops the rest", async () => {
    await inFiber(() => {
      const socket = dgram.createSocket({ type: "udp4", recvBufferSize: 20_000 });
      socket.bindSync({ address: "127.0.0.1" });
      const room = Math.floor(socket.getRecvBufferSize() / (1000 + 256));
      for (let i = 0; i < room + 20; i++) {
        socket.sendSync(Buffer.alloc(1000, i), socket.address().port, "127.0.0.1");
        sleep(1); // so that it is here, and not in the kernel's
      }
      const kept: number[] = [];
      withTimeout(
        20,
        () => {
          for (;;) kept.push(socket.recvSync().msg[0] as number);
        },
        null,
      );
      expect(kept).toEqual(Array.from({ length: room }, (_, i) => i % 256));
      sent(socket, socket.address().port, "room again");
      expect(String(socket.recvSync().msg)).toBe("room again");
      socket.close();
    });
  });

  test("several fibers each get another, first come first served", async () => {
    const { socket, port } = await inFiber(bound);
    const fibers = Array.from({ length: 4 }, () => spawn(() => String(socket.recvSync().msg)));
    await settle();
    await inFiber(() => fibers[1]?.kill());
    await inFiber(() => sent(socket, port, "a", "b", "c"));
    expect([await fibers[0], await fibers[2], await fibers[3]]).toEqual(["a", "b", "c"]);
    socket.close();
  });

  test("killed when it was given one already, it passes that on", async () => {
    const { socket, port } = await inFiber(bound);
    const fiber = spawn(() => socket.recvSync());
    await settle();
    socket.once("message", () => fiber.kill(undefined, { block: false }));
    await inFiber(() => sent(socket, port, "for the next"));
    expect(await fiber).toMatchObject({ code: "ERR_FIBER_EXIT" });
    expect(String(socket.recvSync(0).msg)).toBe("for the next"); // out of a fiber: it is there
    socket.close();
  });

  test("a closed socket says so, before, and to all who wait", async () => {
    const { socket } = await inFiber(bound);
    const fibers = [1, 2].map(() => spawn(() => thrown(() => socket.recvSync())));
    await settle();
    socket.close();
    for (const fiber of fibers) expect(await fiber).toMatchObject({ code: "ERR_SOCKET_DGRAM_NOT_RUNNING" });
    const other = dgram.createSocket("udp4");
    other.close();
    await inFiber(() => {
      for (const one of [socket, other]) {
        for (const call of [() => one.recvSync(), () => one.sendSync("x", 1), () => one.bindSync()]) {
          expect(thrown(call)).toMatchObject({ code: "ERR_SOCKET_DGRAM_NOT_RUNNING" });
        }
      }
    });
    await until(() => active("UDPWrap") === 0);
  });

  test("closed while it sends, it says so", async () => {
    const socket = dgram.createSocket("udp4");
    const sending = spawn(() => thrown(() => socket.sendSync("x", 9, "localhost")));
    await inFiber(() => {
      sleep(0);
      socket.close();
    });
    expect(await sending).toMatchObject({ code: "ERR_SOCKET_DGRAM_NOT_RUNNING" });
    await until(() => active("UDPWrap") === 0);
  });

  test("errors are thrown, with the fiber's frames", async () => {
    const { socket, port } = await inFiber(bound);
    const second = dgram.createSocket("udp4");
    const error = await inFiber(function binder() {
      return thrown(() => second.bindSync({ port, address: "127.0.0.1" }));
    });
    second.close();
    expect(error).toMatchObject({ code: "EADDRINUSE", syscall: "bind", port });
    expect(error.stack).toContain("binder");
    await inFiber(() => {
      const before = listeners(socket);
      const big = thrown(() => socket.sendSync(Buffer.alloc(70_000), port, "127.0.0.1"));
      expect(big).toMatchObject({ code: "EMSGSIZE", syscall: "send" });
      expect(thrown(() => socket.sendSync("x", 9, "nothing.invalid"))).toMatchObject({ code: "ENOTFOUND" });
      expect(thrown(() => socket.bindSync())).toMatchObject({ code: "ERR_SOCKET_ALREADY_BOUND" });
      expect(listeners(socket)).toBe(before);
      expect(socket.emit("error", new Error("between"))).toBe(true);
      expect(thrown(() => socket.recvSync()).message).toBe("between");
    });
    socket.close();
  });

  test("killed while it sends or receives, nothing is left", async () => {
    const { socket: other } = await inFiber(bound);
    const before = listeners(other);
    await inFiber(() => {
      const fibers = [() => other.sendSync("x", 9, "localhost"), () => other.recvSync()].map((body) => spawn(body));
      sleep(0);
      for (const fiber of fibers) fiber.kill();
    });
    expect(listeners(other)).toBe(before);
    other.close();
  });

  test("a Timeout when the time is over, an AbortError when it is aborted", async () => {
    const { socket, port } = await inFiber(bound);
    const before = listeners(socket);
    const timers = active("Timeout"); // the test runner's own, which come and go
    const controller = new AbortController();
    await inFiber(() => {
      expect(thrown(() => socket.recvSync(5))).toMatchObject({ code: "ERR_TIMEOUT", ms: 5 });
      expect(withTimeout(5, () => socket.recvSync(), "late")).toBe("late");
      spawn(() => controller.abort());
      expect(thrown(() => socket.recvSync(controller.signal))).toMatchObject({ code: "ABORT_ERR" });
      for (let i = 0; i < 20; i++) {
        sent(socket, port, `next ${i}`);
        expect(String(socket.recvSync(60_000).msg)).toBe(`next ${i}`);
      }
    });
    expect(listeners(socket)).toEqual(before);
    expect(active("Timeout")).toBeLessThan(timers + 10);
    socket.close();
  });

  test("a listener of the program's own gets the datagrams for which nobody waits", async () => {
    const { socket, port } = await inFiber(bound);
    const heard: string[] = [];
    socket.on("message", (msg) => heard.push(String(msg)));
    await inFiber(() => sent(socket, port, "x"));
    await until(() => heard.length > 0);
    expect(await inFiber(() => thrown(() => socket.recvSync(5)))).toMatchObject({ code: "ERR_TIMEOUT" });
    socket.close();
  });
});

describe("dgram, anywhere", () => {
  test("names the argument that is wrong", async () => {
    const socket = dgram.createSocket("udp4");
    for (const [call, code, name] of [
      [() => socket.recvSync(-1), "ERR_OUT_OF_RANGE", '"limit"'],
      [() => socket.recvSync("1" as never), "ERR_INVALID_ARG_TYPE", '"limit"'],
      [() => socket.bindSync(5 as never), "ERR_INVALID_ARG_TYPE", '"options"'],
      [() => socket.bindSync({ address: "localhost" }), "ERR_INVALID_ARG_VALUE", "options.address"],
      [() => socket.sendSync("x", 1, (() => {}) as never), "ERR_INVALID_ARG_TYPE", "callback"],
    ] as const) {
      expect(thrown(call)).toMatchObject({ code, message: expect.stringContaining(name) });
    }
    expect(listeners(socket)).toBe(0);
    socket.close();
  });
});

describeFibers("dgram's arguments", () => {
  test.each([[5], ["x", "y"], ["x", 70_000], ["x", 0], [[1], 9], [Buffer.alloc(3), 2, 5, 9], ["x", 9, 5]])(
    "sendSync(%j) is refused as by send",
    async (...args) => {
      const socket = dgram.createSocket("udp4");
      const expected = thrown(() => (socket.send as (...args: unknown[]) => void)(...args));
      const before = listeners(socket);
      const error = await inFiber(() => thrown(() => (socket.sendSync as (...args: unknown[]) => void)(...args)));
      expect({ code: error.code, message: error.message }).toEqual({ code: expected.code, message: expected.message });
      expect(listeners(socket)).toBe(before);
      socket.close();
    },
  );
});

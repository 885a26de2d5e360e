import "runtime/patch";
import dgram from "node:dgram";
import { once } from "node:events";
import { original, spawn } from "runtime";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hasFibers } from "../../support/fibers";
import { describeFibers, thrown } from "../support";
import { Web } from "./web";

let web: Web;

beforeAll(async () => {
  web = await Web.start();
});

afterAll(() => web.stop());

describe("dgram out of a fiber", () => {
  test("sends, and receives in the order in which datagrams came", () => {
    const socket = dgram.createSocket("udp4");
    expect(socket.sendSync("1 one", web.ports.udp, "127.0.0.1")).toBe(5);
    const { msg, rinfo } = socket.recvSync();
    expect([Buffer.isBuffer(msg), String(msg)]).toEqual([true, "one"]);
    expect(rinfo).toMatchObject({ address: "127.0.0.1", family: "IPv4", port: web.ports.udp, size: 3 });
    socket.sendSync("3 again", web.ports.udp, "127.0.0.1");
    socket.sendSync(["1 la", Buffer.from("st")], web.ports.udp, "127.0.0.1");
    const texts = [1, 2, 3, 4].map(() => String(socket.recvSync(10_000).msg));
    expect(texts).toEqual(["again", "again", "again", "last"]);
    socket.close();
  });

  test("large ones are whole, and the program's own bytes stay", () => {
    const socket = dgram.createSocket({ type: "udp4", recvBufferSize: 300_000 });
    const bytes = Buffer.alloc(60_000, "x");
    socket.sendSync(bytes, 0, 60_000, web.ports.udp, "127.0.0.1");
    expect([socket.recvSync().msg.equals(bytes), bytes.length]).toEqual([true, 60_000]);
    socket.close();
  });

  test("a time limit ends recvSync, and leaves the next one working", () => {
    const socket = dgram.createSocket("udp4");
    socket.sendSync("1 x", web.ports.udp, "127.0.0.1");
    socket.recvSync();
    expect(thrown(() => socket.recvSync(20))).toMatchObject({ name: "Timeout", message: "timed out after 20 ms" });
    expect(thrown(() => socket.recvSync({ timeout: 0 }))).toMatchObject({ name: "Timeout" });
    socket.sendSync("1 late", web.ports.udp, "127.0.0.1");
    expect(String(socket.recvSync(10_000).msg)).toBe("late");
    expect(thrown(() => socket.recvSync(AbortSignal.abort()))).toMatchObject({ name: "AbortError" });
    expect(thrown(() => socket.recvSync(AbortSignal.timeout(60_000)))).toMatchObject({
      code: "ERR_NOT_IN_FIBER",
      message: expect.stringContaining("limit.signal"),
    });
    socket.close();
  });

  test("errors are those of send, and show who called", () => {
    const socket = dgram.createSocket("udp4");
    const error = thrown(function caller() {
      socket.sendSync(Buffer.alloc(70_000), web.ports.udp, "127.0.0.1");
    });
    expect(error).toMatchObject({ code: "EMSGSIZE", syscall: "send" });
    expect(error.stack).toMatch(/caller/);
    expect(thrown(() => socket.sendSync("x", 70_000))).toMatchObject({
      name: "RangeError",
      code: "ERR_SOCKET_BAD_PORT",
    });
    expect(thrown(() => socket.sendSync((() => {}) as never, 9, "x"))).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
    socket.close();
    expect(thrown(() => socket.recvSync())).toMatchObject({ code: "ERR_SOCKET_DGRAM_NOT_RUNNING" });
  });

  test("settings and closing work, what is asynchronous is refused", async () => {
    const socket = dgram.createSocket("udp4");
    socket.sendSync("1 x", web.ports.udp, "127.0.0.1");
    expect(socket.setBroadcast(true)).toBe(undefined);
    expect([socket.address().port > 0, socket.getRecvBufferSize() > 0]).toEqual([true, true]);
    for (const use of [
      () => socket.on("message", () => {}),
      () => socket.once("message", () => {}),
      () => socket.send("x", 9),
      () => socket.connect(9),
      () => socket.bind(),
      ...("connectSync" in socket ? [() => (socket.connectSync as (port: number) => void)(9)] : []),
    ]) {
      expect(thrown(use)).toMatchObject({ code: "ERR_PARKED_SOCKET", message: expect.stringMatching(/recvSync/) });
    }
    const closed = once(socket, "close");
    socket.close();
    await closed;
    expect(thrown(() => socket.sendSync("x", 9))).toMatchObject({ code: expect.stringMatching(/ERR_/) });
  });

  // Node's own leaves the socket in this thread, where without the addon nobody could read it.
  const isOwn = original("dgram", "bindSync") !== undefined;
  test.skipIf(isOwn && !hasFibers)("bindSync binds; what is taken is refused", () => {
    const socket = dgram.createSocket("udp4");
    const address = socket.bindSync({ address: "127.0.0.1" });
    expect(address).toMatchObject({ address: "127.0.0.1", family: "IPv4", port: expect.any(Number) });
    expect(socket.address()).toEqual(address);
    const other = dgram.createSocket("udp4");
    expect(thrown(() => other.bindSync(address))).toMatchObject({ code: "EADDRINUSE", syscall: "bind" });
    other.sendSync("direct", address.port, "127.0.0.1");
    expect(String(socket.recvSync().msg)).toBe("direct");
    for (const one of [socket, other]) {
      expect(thrown(() => one.bindSync())).toMatchObject({ code: "ERR_SOCKET_ALREADY_BOUND" });
    }
    socket.close();
    other.close();
  });
});

describeFibers("a parked datagram socket in a fiber", () => {
  test("works, too", async () => {
    const socket = dgram.createSocket("udp4");
    socket.sendSync("2 x", web.ports.udp, "127.0.0.1");
    expect(await spawn(() => String(socket.recvSync().msg))).toBe("x");
    expect(await spawn(() => socket.sendSync("1 y", web.ports.udp, "127.0.0.1"))).toBe(3);
    socket.close();
  });
});

import "runtime/patch";
import crypto from "node:crypto";
import dns from "node:dns";
import net from "node:net";
import { promisify } from "node:util";
import zlib from "node:zlib";
import { Fiber, sleep, unpatch } from "runtime";
import { afterAll, describe, expect, it } from "vitest";
import { itFibers } from "../support/fibers";

afterAll(() => unpatch());

describe("callbacks", () => {
  /** Calls `fn` with a callback that blocks; what it was called with, and the fiber's name. */
  const called = (fn: (callback: (...args: unknown[]) => void) => void) =>
    new Promise<unknown[]>((resolve) => {
      fn(function theCallback(...args) {
        sleep(1);
        resolve([...args, Fiber.current?.name]);
      });
    });

  itFibers("of dns start in fibers", async () => {
    expect(await called((callback) => dns.lookup("127.0.0.1", callback))).toEqual([
      null,
      "127.0.0.1",
      4,
      "theCallback",
    ]);
    const refused = await called((callback) => dns.reverse("192.0.2.1", callback)); // an address of nobody
    expect([refused[0], refused.at(-1)]).toEqual([expect.any(Error), "theCallback"]);
    const resolver = new dns.Resolver({ timeout: 1, tries: 1 });
    resolver.setServers(["127.0.0.1:1"]);
    const unanswered = await called((callback) => resolver.resolve4("example.org", callback));
    expect([unanswered[0], unanswered.at(-1)]).toEqual([expect.any(Error), "theCallback"]);
  });

  it("of dns are as they were for promisify, for Node itself, and for wrong arguments", async () => {
    expect(await promisify(dns.lookup)("127.0.0.1")).toEqual({ address: "127.0.0.1", family: 4 });
    expect(() => dns.lookup("127.0.0.1", 1 as never)).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" }),
    );
    const server = net.createServer((socket) => socket.end("x"));
    await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
    const socket = net.connect((server.address() as net.AddressInfo).port, "localhost");
    expect(`${(await socket.toArray())[0]}`).toBe("x");
    server.close();
  });

  itFibers("of crypto start in fibers", async () => {
    const calls: ((callback: (...args: unknown[]) => void) => void)[] = [
      (callback) => crypto.randomBytes(4, callback),
      (callback) => crypto.randomFill(Buffer.alloc(4), callback),
      (callback) => crypto.randomInt(4, callback),
      (callback) => crypto.pbkdf2("a", "b", 1, 8, "sha256", callback),
      (callback) => crypto.scrypt("a", "b", 8, callback),
      (callback) => crypto.hkdf("sha256", "a", "b", "c", 8, callback),
      (callback) => crypto.generateKeyPair("ed25519", {}, callback),
      (callback) => crypto.generateKey("hmac", { length: 64 }, callback),
      (callback) => crypto.generatePrime(16, callback),
      (callback) => crypto.checkPrime(7n, callback),
    ];
    for (const call of calls) {
      const [error, value, ...more] = await called(call);
      expect([error ?? null, value !== undefined, more.at(-1)]).toEqual([null, true, "theCallback"]);
    }
    expect(crypto.randomBytes(4)).toHaveLength(4);
    const pair = await promisify(crypto.generateKeyPair)("ed25519", {});
    expect(Object.keys(pair)).toEqual(["publicKey", "privateKey"]);
  });

  itFibers("of zlib start in fibers", async () => {
    const [error, packed, name] = await called((callback) => zlib.gzip("text", callback));
    expect([error, name]).toEqual([null, "theCallback"]);
    const unpacked = await called((callback) => zlib.gunzip(packed as Buffer, {}, callback));
    expect(`${unpacked[1]} ${unpacked[2]}`).toBe("text theCallback");
    const wrong = await called((callback) => zlib.gunzip(Buffer.from("no"), callback));
    expect([(wrong[0] as NodeJS.ErrnoException).code, wrong.at(-1)]).toEqual(["Z_DATA_ERROR", "theCallback"]);
    expect(`${await promisify<Buffer, Buffer>(zlib.gunzip)(packed as Buffer)}`).toBe("text");
  });
});

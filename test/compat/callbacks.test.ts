import "runtime/patch";
import dns from "node:dns";
import net from "node:net";
import { promisify } from "node:util";
import { Fiber, sleep, unpatch } from "runtime";
import { afterAll, expect, it } from "vitest";
import { describeFibers } from "./support";

afterAll(() => unpatch());

describeFibers("callbacks of dns", () => {
  /** Calls `fn` with a callback that blocks; what it was called with, and the fiber's name. */
  const called = (fn: (callback: (...args: unknown[]) => void) => void) =>
    new Promise<unknown[]>((resolve) => {
      fn(function theCallback(...args) {
        sleep(1);
        resolve([...args, Fiber.current?.name]);
      });
    });

  it("start in fibers", async () => {
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

  it("are as they were for promisify, for Node itself, and for wrong arguments", async () => {
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
});

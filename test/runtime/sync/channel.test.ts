import { Channel, Empty, type Fiber, FiberExit, Full, ShutDown, sleep, spawn } from "runtime";
import { describe, expect, it } from "vitest";
import { describeFibers } from "../../support/fibers";
import { turn } from "../../support/turns";

describe("a Channel without fibers", () => {
  it("has no room, and nothing to give", () => {
    const channel = new Channel();
    expect([channel.maxSize, channel.size, channel.empty, channel.full]).toEqual([0, 0, true, true]);
    expect(() => channel.putNowait(1)).toThrow(Full);
    expect(() => channel.getNowait()).toThrow(Empty);
    expect(() => channel.peekNowait()).toThrow(Empty);
  });

  it.each([false, true])("shut down throws ShutDown, immediate or not: %s", (immediate) => {
    const channel = new Channel();
    channel.shutdown(immediate);
    expect(() => channel.put(1)).toThrow(ShutDown);
    expect(() => channel.get()).toThrow(ShutDown);
    expect([...channel]).toEqual([]);
  });
});

describeFibers("a Channel", () => {
  it("makes who puts wait for who gets", async () => {
    const channel = new Channel<string>();
    const log: string[] = [];
    const putter = spawn(() => {
      channel.put("item");
      log.push("put");
    });
    await turn();
    expect([log, channel.size]).toEqual([[], 0]);
    log.push(channel.get());
    await putter;
    expect(log).toEqual(["item", "put"]);
  });

  it("makes who gets wait for who puts", async () => {
    const channel = new Channel<string>();
    const getter = spawn(() => channel.get());
    await turn();
    expect(channel.full).toBe(false);
    channel.putNowait("item");
    expect(await getter).toBe("item");
    expect(channel.full).toBe(true);
  });

  it("brings many of both together, first come, first served", async () => {
    const channel = new Channel<number>();
    const getters = [0, 1, 2].map((i) => spawn(() => `${i} got ${channel.get()}`));
    const putters = [0, 1, 2].map((i) => spawn(() => channel.put(i)));
    expect(await Promise.all(getters)).toEqual(["0 got 0", "1 got 1", "2 got 2"]);
    await Promise.all(putters);
  });

  it("lets each who puts wait for its own item to be taken", async () => {
    const channel = new Channel<number>();
    const order: number[] = [];
    const putters = [0, 1, 2].map((i) =>
      spawn(() => {
        channel.put(i);
        order.push(i);
      }),
    );
    await turn();
    channel.get();
    await putters[0];
    await turn();
    expect(order).toEqual([0]);
    channel.get();
    channel.get();
    await Promise.all(putters);
    expect(order).toEqual([0, 1, 2]);
  });

  it("shows the item of who waits to put, and leaves it", async () => {
    const channel = new Channel<string>();
    const putter = spawn(() => channel.put("item"));
    await turn();
    expect([channel.peek(), putter.dead, channel.get()]).toEqual(["item", false, "item"]);
    await putter;
  });

  it("shows who peeks already the item of who comes to put", async () => {
    const channel = new Channel<string>();
    const peeker = spawn(() => channel.peek());
    await turn();
    const putter = spawn(() => channel.put("item"));
    expect(await peeker).toBe("item");
    expect(putter.dead).toBe(false);
    expect(channel.get()).toBe("item");
    await putter;
  });

  it("shows who peeks nothing of a put that does not wait", async () => {
    const channel = new Channel<string>();
    const peeker = spawn(() => channel.peek());
    await turn();
    expect(() => channel.putNowait("item")).toThrow(Full);
    expect(() => channel.put("item")).toThrow(expect.objectContaining({ code: "ERR_NOT_IN_FIBER" }));
    await turn();
    expect(peeker.dead).toBe(false);
    peeker.kill();
    await peeker;
  });

  it("forgets who was killed while it waited to put", async () => {
    const channel = new Channel<string>();
    const [killed, other] = ["killed", "other"].map((item) => spawn(() => channel.put(item))) as [Fiber, Fiber];
    await turn();
    killed.kill();
    expect(await killed).toBeInstanceOf(FiberExit);
    expect(channel.get()).toBe("other");
    await other;
    expect(() => channel.getNowait()).toThrow(Empty);
  });

  it("forgets who was killed while it waited to get", async () => {
    const channel = new Channel<string>();
    const killed = spawn(() => channel.get());
    await turn();
    killed.kill();
    await killed;
    expect(() => channel.putNowait("item")).toThrow(Full);
  });

  it("loses no item whose getter was killed when it was given it", async () => {
    const channel = new Channel<string>();
    const getter = spawn(() => channel.get());
    await turn();
    channel.put("first");
    getter.kill();
    await getter;
    const putter = spawn(() => channel.put("second"));
    await turn();
    expect([channel.get(), channel.get()]).toEqual(["first", "second"]);
    await putter;
  });

  it("shut down ends the waiting of who puts", async () => {
    const channel = new Channel<string>();
    const putter = spawn(() => channel.put("item"));
    putter.link(() => {});
    await turn();
    channel.shutdown();
    await expect(putter).rejects.toThrow(ShutDown);
    expect(() => channel.getNowait()).toThrow(ShutDown);
  });

  it("shut down ends the waiting of who gets or peeks", async () => {
    const channel = new Channel<string>();
    const fibers = [spawn(() => channel.get()), spawn(() => channel.peek())];
    for (const fiber of fibers) fiber.link(() => {});
    await turn();
    channel.shutdown();
    for (const fiber of fibers) await expect(fiber).rejects.toThrow(ShutDown);
  });

  it("is iterated until it is shut down", async () => {
    const channel = new Channel<number>();
    const got: number[] = [];
    const reader = spawn(() => {
      for (const item of channel) {
        got.push(item);
        sleep(0);
      }
    });
    await spawn(() => {
      for (const item of [1, 2, 3]) channel.put(item);
      channel.shutdown();
    });
    await reader;
    expect(got).toEqual([1, 2, 3]);
  });
});

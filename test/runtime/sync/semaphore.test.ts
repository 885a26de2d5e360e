import { BoundedSemaphore, Event, type Fiber, FiberExit, Semaphore, sleep, spawn, Timeout, wait } from "runtime";
import { describe, expect, it } from "vitest";
import { describeFibers } from "../../support/fibers";
import { turn } from "../../support/turns";

describe("a Semaphore without fibers", () => {
  it("has one permit by default", () => {
    expect(new Semaphore().counter).toBe(1);
  });

  it("counts its permits", () => {
    const semaphore = new Semaphore(2);
    const seen = [semaphore.counter];
    semaphore.acquire(0);
    seen.push(semaphore.counter);
    semaphore.acquire(0);
    seen.push(semaphore.counter);
    semaphore.release();
    seen.push(semaphore.counter);
    expect(seen).toEqual([2, 1, 0, 1]);
  });

  it("is locked, and not ready, while there is no permit", () => {
    const semaphore = new Semaphore(1);
    expect([semaphore.locked, semaphore.ready]).toEqual([false, true]);
    semaphore.acquire(0);
    expect([semaphore.locked, semaphore.ready]).toEqual([true, false]);
  });

  it("may be released more often than acquired", () => {
    const semaphore = new Semaphore(0);
    semaphore.release();
    semaphore.release();
    expect(semaphore.counter).toBe(2);
  });

  it("of Infinity permits never runs out", () => {
    const semaphore = new Semaphore(Number.POSITIVE_INFINITY);
    expect([semaphore.acquire(0), semaphore.acquire(0), semaphore.counter]).toEqual([
      true,
      true,
      Number.POSITIVE_INFINITY,
    ]);
  });

  it("wait takes no permit", () => {
    const semaphore = new Semaphore(1);
    expect([semaphore.wait(), semaphore.counter]).toEqual([true, 1]);
  });
});

describe("a hold on a Semaphore", () => {
  it("lasts until it is disposed of", () => {
    const semaphore = new Semaphore(1);
    const held = semaphore.hold();
    expect(semaphore.counter).toBe(0);
    held[Symbol.dispose]();
    expect(semaphore.counter).toBe(1);
  });

  it("disposed of twice is released once", () => {
    const semaphore = new Semaphore(1);
    const held = semaphore.hold();
    held[Symbol.dispose]();
    held[Symbol.dispose]();
    expect(semaphore.counter).toBe(1);
  });

  it("ends with the block that uses it", () => {
    const semaphore = new Semaphore(1);
    let inside: number;
    {
      using _held = semaphore.hold();
      inside = semaphore.counter;
    }
    expect([inside, semaphore.counter]).toEqual([0, 1]);
  });
});

describe("runExclusive", () => {
  it("holds the semaphore during the call, and returns what the function returns", () => {
    const semaphore = new Semaphore(1);
    expect(semaphore.runExclusive(() => semaphore.counter)).toBe(0);
    expect(semaphore.counter).toBe(1);
  });

  it("releases it when the function throws", () => {
    const semaphore = new Semaphore(1);
    expect(() =>
      semaphore.runExclusive(() => {
        throw new Error("own");
      }),
    ).toThrow("own");
    expect(semaphore.counter).toBe(1);
  });

  it("does not call the function when the time is over first", () => {
    const semaphore = new Semaphore(0);
    let called = false;
    const call = () => {
      called = true;
    };
    expect(() => semaphore.runExclusive(call, 0)).toThrow(Timeout);
    expect([called, semaphore.counter]).toEqual([false, 0]);
  });
});

describe("a link to a Semaphore", () => {
  it("is called once, when a permit can be had", async () => {
    const semaphore = new Semaphore(0);
    const seen: unknown[] = [];
    semaphore.link((it) => seen.push(it));
    await turn();
    expect(seen).toEqual([]);
    semaphore.release();
    semaphore.release();
    await turn();
    expect(seen).toEqual([semaphore]);
  });

  it("is called soon, when a permit can be had now", async () => {
    const semaphore = new Semaphore(1);
    let called = false;
    semaphore.link(() => {
      called = true;
    });
    expect(called).toBe(false);
    await turn();
    expect(called).toBe(true);
  });

  it("that was taken back is not called", async () => {
    const semaphore = new Semaphore(0);
    let called = false;
    const link = () => {
      called = true;
    };
    semaphore.link(link);
    semaphore.unlink(link);
    semaphore.release();
    await turn();
    expect(called).toBe(false);
  });
});

describe("a BoundedSemaphore", () => {
  it("throws ERR_OVER_RELEASED when it is released once too often, and has no permit more", () => {
    const semaphore = new BoundedSemaphore(2);
    semaphore.acquire(0);
    semaphore.release();
    expect(() => semaphore.release()).toThrow(
      expect.objectContaining({ name: "RangeError", code: "ERR_OVER_RELEASED" }),
    );
    expect(semaphore.counter).toBe(2);
  });

  it("has one permit by default", () => {
    expect(new BoundedSemaphore().counter).toBe(1);
  });

  it("of Infinity permits can be released as often as it was acquired", () => {
    const semaphore = new BoundedSemaphore(Number.POSITIVE_INFINITY);
    semaphore.acquire(0);
    semaphore.release();
    expect(semaphore.counter).toBe(Number.POSITIVE_INFINITY);
  });
});

describeFibers("fibers at a Semaphore", () => {
  it("are served in the order in which they came", async () => {
    const semaphore = new Semaphore(0);
    const order: number[] = [];
    const fibers = [0, 1, 2, 3].map((i) =>
      spawn(() => {
        semaphore.acquire();
        order.push(i);
        semaphore.release();
      }),
    );
    await turn();
    semaphore.release();
    await Promise.all(fibers);
    expect(order).toEqual([0, 1, 2, 3]);
  });

  it("are never more inside than there are permits", async () => {
    const semaphore = new Semaphore(3);
    let inside = 0;
    let most = 0;
    const fibers = Array.from({ length: 10 }, (_, i) =>
      spawn(() =>
        semaphore.runExclusive(() => {
          most = Math.max(most, ++inside);
          sleep(i % 2);
          inside--;
        }),
      ),
    );
    await Promise.all(fibers);
    expect([most, semaphore.counter]).toEqual([3, 3]);
  });

  it("are not overtaken by a releaser that acquires again at once", async () => {
    const semaphore = new Semaphore(1);
    const order: string[] = [];
    const user = (name: string) =>
      spawn(() => {
        for (let i = 0; i < 3; i++) semaphore.runExclusive(() => void order.push(name));
      });
    semaphore.acquire(0);
    const fibers = [user("a"), user("b")];
    await turn();
    semaphore.release();
    await Promise.all(fibers);
    expect(order.join("")).toBe("ababab");
  });

  it("are not overtaken by who comes after a release and before the served one continues", async () => {
    const semaphore = new Semaphore(0);
    const waiter = spawn(() => semaphore.acquire());
    await turn();
    semaphore.release();
    expect([semaphore.counter, semaphore.acquire(0)]).toEqual([0, false]);
    await waiter;
  });

  it("of which one is killed while it waits take no permit with it", async () => {
    const semaphore = new Semaphore(0);
    const fiber = spawn(() => semaphore.acquire());
    await turn();
    fiber.kill();
    expect(await fiber).toBeInstanceOf(FiberExit);
    semaphore.release();
    expect(semaphore.counter).toBe(1);
  });

  it("of which one is killed when it was served give exactly one permit back", async () => {
    const semaphore = new Semaphore(0);
    const fiber = spawn(() => semaphore.acquire());
    await turn();
    semaphore.release();
    fiber.kill();
    await fiber;
    expect(semaphore.counter).toBe(1);
  });

  it("of which several are killed when they were served pass each permit on once", async () => {
    const semaphore = new Semaphore(0);
    const fibers = [0, 1, 2, 3, 4].map(() => spawn(() => semaphore.acquire()));
    await turn();
    for (let i = 0; i < 3; i++) semaphore.release();
    for (const fiber of fibers.slice(0, 3)) fiber.kill();
    await Promise.all(fibers);
    expect(semaphore.counter).toBe(1);
  });

  it("wait for a permit without taking it, all at once", async () => {
    const semaphore = new Semaphore(0);
    const fibers = [0, 1].map(() => spawn(() => semaphore.wait()));
    await turn();
    semaphore.release();
    expect([...(await Promise.all(fibers)), semaphore.counter]).toEqual([true, true, 1]);
  });

  it("that only wait are not woken by a permit that goes to who acquires", async () => {
    const semaphore = new Semaphore(0);
    const watcher = spawn(() => semaphore.wait());
    const taker = spawn(() => semaphore.acquire());
    await turn();
    semaphore.release();
    await taker;
    await turn();
    expect(watcher.dead).toBe(false);
    semaphore.release();
    await watcher;
  });

  it("may wait for it by wait(), which takes no permit", async () => {
    const semaphore = new Semaphore(0);
    const fiber = spawn(() => wait(semaphore));
    semaphore.release();
    await fiber;
    expect(semaphore.counter).toBe(1);
  });

  it("that are killed inside runExclusive release it", async () => {
    const semaphore = new Semaphore(1);
    const fiber = spawn(() => semaphore.runExclusive(() => sleep(1e8)));
    await turn();
    fiber.kill();
    await fiber;
    expect(semaphore.counter).toBe(1);
  });

  it("that are killed while they wait in runExclusive release nothing", async () => {
    const semaphore = new Semaphore(0);
    const fiber = spawn(() => semaphore.runExclusive(() => "inside"));
    await turn();
    fiber.kill();
    await fiber;
    expect(semaphore.counter).toBe(0);
  });

  it("are served from a timer's callback", async () => {
    const semaphore = new Semaphore(0);
    const fiber = spawn(() => semaphore.acquire());
    setTimeout(() => semaphore.release(), 1);
    expect(await fiber).toBe(true);
  });

  it("of a BoundedSemaphore are served by a release that would be one too many only if nobody waited", async () => {
    const semaphore = new BoundedSemaphore(1);
    semaphore.acquire(0);
    const done = new Event();
    const fiber: Fiber = spawn(() => semaphore.runExclusive(() => done.wait())) as Fiber;
    await turn();
    semaphore.release();
    await turn();
    expect(semaphore.locked).toBe(true);
    done.set();
    await fiber;
    expect(semaphore.counter).toBe(1);
  });
});

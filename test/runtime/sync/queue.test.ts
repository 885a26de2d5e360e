import {
  Channel,
  Empty,
  Event,
  type Fiber,
  FiberExit,
  Full,
  JoinableQueue,
  LifoQueue,
  PriorityQueue,
  Queue,
  ShutDown,
  sleep,
  spawn,
} from "runtime";
import { describe, expect, it } from "vitest";
import { describeFibers, itFibers } from "../../support/fibers";
import { turn } from "../../support/turns";

const forEver = Number.POSITIVE_INFINITY;

/** All that it holds, in the order in which it gives it. */
function drain<T>(queue: Queue<T>): T[] {
  const items: T[] = [];
  while (!queue.empty) items.push(queue.getNowait());
  return items;
}

function outcome(call: () => unknown): unknown {
  try {
    return call();
  } catch (error) {
    return (error as { code?: string }).code ?? error;
  }
}

const kinds: [string, (maxSize?: number, items?: Iterable<number>) => Queue<number>][] = [
  ["Queue", (maxSize, items) => new Queue(maxSize, items)],
  ["LifoQueue", (maxSize, items) => new LifoQueue(maxSize, items)],
  ["PriorityQueue", (maxSize, items) => new PriorityQueue(undefined, maxSize, items)],
  ["JoinableQueue", (maxSize, items) => new JoinableQueue(maxSize, items)],
];

describe.each(kinds)("a %s without fibers", (_, make) => {
  it("is empty at first, and not full", () => {
    const { size, empty, full, isShutDown, maxSize } = make();
    expect({ size, empty, full, isShutDown, maxSize }).toEqual({
      size: 0,
      empty: true,
      full: false,
      isShutDown: false,
      maxSize: forEver,
    });
  });

  it("gives what was put in", () => {
    const queue = make();
    queue.put(1);
    queue.putNowait(2);
    expect(queue.size).toBe(2);
    expect([queue.get(), queue.getNowait()].sort()).toEqual([1, 2]);
    expect(queue.size).toBe(0);
  });

  it("is full when it holds so many, and throws Full", () => {
    const queue = make(2);
    queue.put(1);
    expect(queue.full).toBe(false);
    queue.put(2);
    expect(queue.full).toBe(true);
    expect(() => queue.putNowait(3)).toThrow(Full);
    expect(queue.size).toBe(2);
  });

  it("throws Empty when it holds nothing", () => {
    const queue = make();
    expect(() => queue.getNowait()).toThrow(Empty);
    expect(() => queue.peekNowait()).toThrow(Empty);
  });

  it("shows the next item, and keeps it", () => {
    const queue = make();
    queue.put(7);
    expect([queue.peek(), queue.peekNowait(), queue.size, queue.get()]).toEqual([7, 7, 1, 7]);
  });

  it("holds at first the items that it is given", () => {
    const queue = make(3, [1, 2, 3]);
    expect([queue.size, queue.full, drain(queue).sort()]).toEqual([3, true, [1, 2, 3]]);
  });

  it("refuses more items than it has room for", () => {
    expect(() => make(2, [1, 2, 3])).toThrow(
      expect.objectContaining({ code: "ERR_OUT_OF_RANGE", message: expect.stringContaining('"items"') }),
    );
  });

  it("shut down takes nothing more, gives what it holds, then throws ShutDown", () => {
    const queue = make(forEver, [1]);
    queue.shutdown();
    expect(queue.isShutDown).toBe(true);
    expect(() => queue.put(2)).toThrow(ShutDown);
    expect(() => queue.putNowait(2)).toThrow(ShutDown);
    expect(queue.peek()).toBe(1);
    expect(queue.get()).toBe(1);
    expect(() => queue.get()).toThrow(ShutDown);
    expect(() => queue.getNowait()).toThrow(ShutDown);
    expect(() => queue.peek()).toThrow(ShutDown);
  });

  it("shut down immediately drops what it holds", () => {
    const queue = make(forEver, [1, 2]);
    queue.shutdown(true);
    expect(queue.size).toBe(0);
    expect(() => queue.getNowait()).toThrow(ShutDown);
  });

  it("shut down first gently, then immediately, drops what is left", () => {
    const queue = make(forEver, [1, 2]);
    queue.shutdown();
    queue.shutdown(true);
    expect(() => queue.get()).toThrow(ShutDown);
  });

  it("that is shut down is iterated to its end", () => {
    const queue = make(forEver, [1, 2, 3]);
    queue.shutdown();
    expect([...queue].sort()).toEqual([1, 2, 3]);
  });

  it("iteration that is left early has taken what it yielded, and no more", () => {
    const queue = make(forEver, [1, 2, 3]);
    for (const _ of queue) break;
    expect(queue.size).toBe(2);
  });
});

describe("the order of items", () => {
  it("Queue: first in, first out", () => {
    const queue = new Queue(forEver, [3, 1]);
    queue.put(2);
    expect(drain(queue)).toEqual([3, 1, 2]);
  });

  it("LifoQueue: last in, first out", () => {
    const queue = new LifoQueue(forEver, [3, 1]);
    queue.put(2);
    expect([queue.peek(), ...drain(queue)]).toEqual([2, 2, 1, 3]);
  });

  it("PriorityQueue: the smallest first", () => {
    const queue = new PriorityQueue(undefined, forEver, [3, 1]);
    queue.put(2);
    expect([queue.peek(), ...drain(queue)]).toEqual([1, 1, 2, 3]);
  });

  it("PriorityQueue: of equal ones, that which came first", () => {
    const queue = new PriorityQueue<{ rank: number; name: string }>((a, b) => a.rank - b.rank);
    for (const name of ["a", "b", "c", "d", "e", "f"]) queue.put({ rank: 1, name });
    queue.put({ rank: 0, name: "urgent" });
    expect(drain(queue).map(({ name }) => name)).toEqual(["urgent", "a", "b", "c", "d", "e", "f"]);
  });

  it("PriorityQueue: of equal ones that came and went, that which came first", () => {
    const queue = new PriorityQueue<string>(() => 0);
    const got: string[] = [];
    for (let i = 0; i < 20; i++) {
      queue.put(`${2 * i}`);
      queue.put(`${2 * i + 1}`);
      got.push(queue.get());
    }
    expect([...got, ...drain(queue)]).toEqual(Array.from({ length: 40 }, (_, i) => `${i}`));
  });

  it("PriorityQueue: by a comparison of one's own", () => {
    const queue = new PriorityQueue<string>((a, b) => b.length - a.length, forEver, ["a", "ccc", "bb"]);
    expect(drain(queue)).toEqual(["ccc", "bb", "a"]);
  });

  it("PriorityQueue: arrays by their items, so [priority, item] will do", () => {
    const queue = new PriorityQueue<[number, unknown]>();
    const [x, y] = [{ name: "x" }, { name: "y" }];
    for (const entry of [
      [2, "c"],
      [10, "d"],
      [1, x],
      [1, y],
      [0, "a"],
    ] as [number, unknown][])
      queue.put(entry);
    expect(drain(queue).map(([, item]) => item)).toEqual(["a", x, y, "c", "d"]);
  });

  it("PriorityQueue: a shorter array before a longer one that begins with it", () => {
    const queue = new PriorityQueue<number[]>(undefined, forEver, [[1, 0], [1], [0, 5, 5]]);
    expect(drain(queue)).toEqual([[0, 5, 5], [1], [1, 0]]);
  });

  it("PriorityQueue: texts and dates by their order", () => {
    expect(drain(new PriorityQueue(undefined, forEver, ["b", "a", "C"]))).toEqual(["C", "a", "b"]);
    const dates = [new Date(2), new Date(1)];
    expect(drain(new PriorityQueue(undefined, forEver, dates))).toEqual([dates[1], dates[0]]);
  });

  it("PriorityQueue: sorts a thousand numbers", () => {
    const numbers = Array.from({ length: 1000 }, (_, i) => (i * 7919) % 1009);
    const queue = new PriorityQueue(undefined, forEver, numbers);
    expect(drain(queue)).toEqual([...numbers].sort((a, b) => a - b));
  });
});

describeFibers("fibers at a queue", () => {
  it("that put wait for room, and go on when an item is taken", async () => {
    const queue = new Queue(1, ["first"]);
    const putter = spawn(() => queue.put("second"));
    await turn();
    expect([putter.dead, queue.size]).toEqual([false, 1]);
    expect(queue.get()).toBe("first");
    await putter;
    expect(queue.get()).toBe("second");
  });

  it("that put are let in in the order in which they came", async () => {
    const queue = new Queue<number>(2, [0, 1]);
    const order: number[] = [];
    const putters = [2, 3, 4, 5].map((i) =>
      spawn(() => {
        queue.put(i);
        order.push(i);
      }),
    );
    await turn();
    const got = Array.from({ length: 6 }, () => queue.get());
    await Promise.all(putters);
    expect([got, order]).toEqual([
      [0, 1, 2, 3, 4, 5],
      [2, 3, 4, 5],
    ]);
  });

  it("that get are served in the order in which they came", async () => {
    const queue = new Queue<number>();
    const getters = [0, 1, 2, 3].map((i) => spawn(() => [i, queue.get()]));
    await turn();
    for (const item of [10, 11, 12, 13]) queue.put(item);
    expect(await Promise.all(getters)).toEqual([
      [0, 10],
      [1, 11],
      [2, 12],
      [3, 13],
    ]);
  });

  it("that get are not overtaken by who comes after the item and before they continue", async () => {
    const queue = new Queue<string>();
    const getter = spawn(() => queue.get());
    await turn();
    queue.put("item");
    expect(outcome(() => queue.getNowait())).toBe("ERR_QUEUE_EMPTY");
    expect(await getter).toBe("item");
  });

  it("that put are not overtaken by who puts after room was made and before they continue", async () => {
    const queue = new Queue<string>(1, ["first"]);
    const putter = spawn(() => queue.put("second"));
    await turn();
    queue.get();
    expect(outcome(() => queue.putNowait("overtakes"))).toBe("ERR_QUEUE_FULL");
    await putter;
    expect(drain(queue)).toEqual(["second"]);
  });

  it("of which one keeps getting and putting do not starve the others", async () => {
    const queue = new Queue<string>(1);
    const got: string[] = [];
    const putters = ["a", "b", "c"].map((name) =>
      spawn(() => {
        for (let i = 0; i < 3; i++) queue.put(name);
      }),
    );
    const getter = spawn(() => {
      for (let i = 0; i < 9; i++) {
        got.push(queue.get());
        sleep(0);
      }
    });
    await Promise.all([...putters, getter]);
    expect(got.join("")).toBe("aabcabcbc"); // the first finds room once; then each in turn
  });

  it("that only peek all see an item that is put, which a getter takes", async () => {
    const queue = new Queue<string>();
    const fibers = [spawn(() => queue.peek()), spawn(() => queue.get()), spawn(() => queue.peek())];
    await turn();
    queue.put("item");
    expect([...(await Promise.all(fibers)), queue.size]).toEqual(["item", "item", "item", 0]);
  });

  it("that only peek leave the item where it is", async () => {
    const queue = new Queue<string>();
    const peeker = spawn(() => queue.peek());
    await turn();
    queue.put("item");
    expect([await peeker, queue.getNowait()]).toEqual(["item", "item"]);
  });

  it("with a full LifoQueue: who waits to put comes in on top", async () => {
    const queue = new LifoQueue(1, ["first"]);
    const putter = spawn(() => queue.put("second"));
    await turn();
    expect(queue.get()).toBe("first");
    await putter;
    expect(queue.get()).toBe("second");
  });

  it("with a full PriorityQueue: who waits to put comes in by its rank", async () => {
    const queue = new PriorityQueue<number>(undefined, 2, [5, 6]);
    const putter = spawn(() => queue.put(1));
    await turn();
    expect(queue.get()).toBe(5);
    await putter;
    expect(drain(queue)).toEqual([1, 6]);
  });

  it("are served from a timer's callback", async () => {
    const queue = new Queue<string>();
    const getter = spawn(() => queue.get());
    setTimeout(() => queue.put("item"), 1);
    expect(await getter).toBe("item");
  });

  it("iterate until it is shut down", async () => {
    const queue = new Queue<number>();
    const got: number[] = [];
    const reader = spawn(() => {
      for (const item of queue) got.push(item);
    });
    for (const item of [1, 2, 3]) {
      queue.put(item);
      await turn();
    }
    queue.shutdown();
    await reader;
    expect(got).toEqual([1, 2, 3]);
  });

  it("that iterate together get each item once", async () => {
    const queue = new Queue<number>(2);
    const got: number[] = [];
    const readers = [0, 1, 2].map(() =>
      spawn(() => {
        for (const item of queue) {
          got.push(item);
          sleep(0);
        }
      }),
    );
    await spawn(() => {
      for (let i = 0; i < 30; i++) queue.put(i);
      queue.shutdown();
    });
    await Promise.all(readers);
    expect(got.sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, i) => i));
  });

  it("that are killed while they iterate end there", async () => {
    const queue = new Queue<number>();
    const reader = spawn(() => {
      for (const _ of queue);
    });
    await turn();
    reader.kill();
    expect(await reader).toBeInstanceOf(FiberExit);
  });
});

describe("the shutdown of a queue", () => {
  itFibers.each([false, true])("ends the waiting of all who get and peek, immediate or not: %s", async (immediate) => {
    const queue = new Queue();
    const fibers = [() => queue.get(), () => queue.peek(), () => queue.get(1e8)].map((call) =>
      spawn(() => outcome(call)),
    );
    await turn();
    queue.shutdown(immediate);
    expect(await Promise.all(fibers)).toEqual(Array(3).fill("ERR_QUEUE_SHUT_DOWN"));
  });

  itFibers.each([false, true])(
    "ends the waiting of all who put, whose items are not taken, immediate or not: %s",
    async (immediate) => {
      const queue = new Queue(1, ["held"]);
      const fibers = ["a", "b"].map((item) => spawn(() => outcome(() => queue.put(item))));
      await turn();
      queue.shutdown(immediate);
      expect(await Promise.all(fibers)).toEqual(Array(2).fill("ERR_QUEUE_SHUT_DOWN"));
      expect(drain(queue)).toEqual(immediate ? [] : ["held"]);
    },
  );

  itFibers("gives each who waits an error of its own", async () => {
    const queue = new Queue();
    const fibers = [0, 1].map(() =>
      spawn(() => {
        try {
          return queue.get();
        } catch (error) {
          return error;
        }
      }),
    );
    await turn();
    queue.shutdown();
    const [first, second] = await Promise.all(fibers);
    expect([first instanceof ShutDown, first === second]).toEqual([true, false]);
  });

  itFibers("does not take an item from who was given it already", async () => {
    const queue = new Queue<string>();
    const getter = spawn(() => queue.get());
    await turn();
    queue.put("item");
    queue.shutdown(true);
    expect(await getter).toBe("item");
  });

  itFibers("does not take back what a putter was let in with", async () => {
    const queue = new Queue(1, ["first"]);
    const putter = spawn(() => outcome(() => queue.put("second")));
    await turn();
    queue.get();
    queue.shutdown();
    expect(await putter).toBe(undefined);
    expect(drain(queue)).toEqual(["second"]);
  });

  it("a second time does nothing", () => {
    const queue = new Queue(1, ["item"]);
    queue.shutdown();
    queue.shutdown();
    expect(drain(queue)).toEqual(["item"]);
  });
});

describeFibers("a fiber that is killed at a queue", () => {
  it("while it waits to get takes nothing with it", async () => {
    const queue = new Queue<string>();
    const getter = spawn(() => queue.get());
    await turn();
    getter.kill();
    await getter;
    queue.put("item");
    expect(queue.getNowait()).toBe("item");
  });

  it("when it was given an item, lets that go back to the front", async () => {
    const queue = new Queue<string>();
    const getter = spawn(() => queue.get());
    await turn();
    queue.put("first");
    queue.put("second");
    getter.kill();
    await getter;
    expect(drain(queue)).toEqual(["first", "second"]);
  });

  it("when it was given an item, lets the next who waits have it", async () => {
    const queue = new Queue<string>();
    const [killed, next] = [0, 1].map(() => spawn(() => queue.get())) as [Fiber<string>, Fiber<string>];
    await turn();
    queue.put("item");
    killed.kill();
    await killed;
    expect([await next, queue.size]).toEqual(["item", 0]);
  });

  it("with others, each given an item, lets them go back in their order", async () => {
    const queue = new Queue<number>();
    const getters = [0, 1, 2].map(() => spawn(() => queue.get()));
    await turn();
    for (const item of [1, 2, 3, 4]) queue.put(item);
    for (const getter of getters) getter.kill();
    await Promise.all(getters);
    expect(drain(queue)).toEqual([1, 2, 3, 4]);
  });

  it("with others, each given one of equal items, lets them go back to a PriorityQueue in their order", async () => {
    const queue = new PriorityQueue<string>((a, b) => a.length - b.length);
    const getters = [0, 1].map(() => spawn(() => queue.get()));
    await turn();
    for (const item of ["a", "b", "c", "dd"]) queue.put(item);
    for (const getter of getters) getter.kill();
    await Promise.all(getters);
    expect(drain(queue)).toEqual(["a", "b", "c", "dd"]);
  });

  it("when it was given undefined, lets that go back, too", async () => {
    const queue = new Queue<undefined | string>();
    const getter = spawn(() => queue.get());
    await turn();
    queue.put(undefined);
    queue.put("second");
    getter.kill();
    await getter;
    expect([queue.peek(), ...drain(queue)]).toEqual([undefined, undefined, "second"]);
  });

  it("when it was given an item, lets that go back on top of a LifoQueue", async () => {
    const queue = new LifoQueue<string>();
    const getter = spawn(() => queue.get());
    await turn();
    queue.put("item");
    getter.kill();
    await getter;
    queue.put("later");
    expect(drain(queue)).toEqual(["later", "item"]);
  });

  it("when it was given an item, lets who peeks meanwhile see it", async () => {
    const queue = new Queue<string>();
    const gate = new Event();
    const peeker = spawn(() => {
      gate.wait();
      return queue.peek();
    });
    const getter = spawn(() => queue.get());
    await turn();
    gate.set(); // so that the peeker has its turn before the getter
    queue.put("item");
    getter.kill();
    await getter;
    expect([await peeker, queue.size]).toEqual(["item", 1]);
  });

  it("when it was given an item, lets that go back also after a shutdown", async () => {
    const queue = new Queue<string>();
    const getter = spawn(() => queue.get());
    await turn();
    queue.put("item");
    queue.shutdown();
    getter.kill();
    await getter;
    expect([queue.getNowait(), outcome(() => queue.getNowait())]).toEqual(["item", "ERR_QUEUE_SHUT_DOWN"]);
  });

  it("when it was given an item, and the queue is shut down immediately, lets that be dropped", async () => {
    const queue = new JoinableQueue<string>();
    const getter = spawn(() => queue.get());
    await turn();
    queue.put("item");
    queue.shutdown(true);
    getter.kill();
    await getter;
    expect([queue.size, queue.unfinishedTasks, outcome(() => queue.get())]).toEqual([0, 0, "ERR_QUEUE_SHUT_DOWN"]);
  });

  it("while it waits to put leaves no item", async () => {
    const queue = new Queue(1, ["first"]);
    const putter = spawn(() => queue.put("of the killed"));
    await turn();
    putter.kill();
    await putter;
    expect(drain(queue)).toEqual(["first"]);
  });

  it("while it waits to put leaves no item, though room is made in the same turn", async () => {
    const queue = new Queue(1, ["first"]);
    const putter = spawn(() => queue.put("of the killed"));
    await turn();
    putter.kill();
    queue.get();
    await putter;
    expect(queue.size).toBe(0);
  });

  it("while it waits to put is not what others see in peek", async () => {
    const channel = new Channel<string>();
    const [killed, other] = ["of the killed", "other"].map((item) => spawn(() => channel.put(item))) as [Fiber, Fiber];
    await turn();
    killed.kill();
    expect([channel.peekNowait(), channel.getNowait()]).toEqual(["other", "other"]);
    await Promise.all([killed, other]);
  });
});

describe("a JoinableQueue without fibers", () => {
  it("counts what was put in until it is reported done", () => {
    const queue = new JoinableQueue(forEver, ["a", "b"]);
    const seen = [queue.unfinishedTasks];
    queue.put("c");
    seen.push(queue.unfinishedTasks);
    drain(queue);
    seen.push(queue.unfinishedTasks);
    for (let i = 0; i < 3; i++) queue.taskDone();
    seen.push(queue.unfinishedTasks);
    expect(seen).toEqual([2, 3, 3, 0]);
  });

  it("that never held anything is joined at once", () => {
    expect(new JoinableQueue().join()).toBe(true);
  });

  it("throws ERR_OVER_RELEASED when more is reported done than was put in", () => {
    const queue = new JoinableQueue(forEver, ["item"]);
    queue.taskDone();
    expect(() => queue.taskDone()).toThrow(expect.objectContaining({ code: "ERR_OVER_RELEASED" }));
  });

  it("shut down immediately counts what it dropped as done, and not what was got", () => {
    const queue = new JoinableQueue(forEver, ["a", "b", "c"]);
    queue.get();
    queue.shutdown(true);
    expect([queue.unfinishedTasks, queue.join(0)]).toEqual([1, false]);
    queue.taskDone();
    expect(queue.join(0)).toBe(true);
  });
});

describeFibers("the join of a JoinableQueue", () => {
  it("waits until all items are done", async () => {
    const queue = new JoinableQueue<number>();
    const log: string[] = [];
    const worker = spawn(() => {
      for (const item of queue) {
        sleep(0);
        log.push(`done ${item}`);
        queue.taskDone();
      }
    });
    await spawn(() => {
      for (const item of [1, 2, 3]) queue.put(item);
      queue.join();
      log.push("joined");
      queue.shutdown();
    });
    await worker;
    expect(log).toEqual(["done 1", "done 2", "done 3", "joined"]);
  });

  it("wakes all who joined", async () => {
    const queue = new JoinableQueue(1, ["item"]);
    const fibers = [0, 1].map(() => spawn(() => queue.join()));
    await turn();
    queue.taskDone();
    expect(await Promise.all(fibers)).toEqual([true, true]);
  });

  it("waits anew when something was put in again", async () => {
    const queue = new JoinableQueue(forEver, ["item"]);
    queue.taskDone();
    queue.put("another");
    expect(await spawn(() => queue.join(1))).toBe(false);
  });

  it("ends when the items are dropped by an immediate shutdown", async () => {
    const queue = new JoinableQueue(forEver, ["a", "b"]);
    const joiner = spawn(() => queue.join());
    await turn();
    queue.shutdown(true);
    expect(await joiner).toBe(true);
  });

  it("counts an item once that went back, and that of a putter once it is let in", async () => {
    const queue = new JoinableQueue<string>(1);
    const getter = spawn(() => queue.get());
    await turn();
    queue.put("a");
    getter.kill();
    await getter;
    const putter = spawn(() => queue.put("b"));
    await turn();
    const before = queue.unfinishedTasks;
    queue.get();
    await putter;
    expect([before, queue.unfinishedTasks]).toEqual([1, 2]);
  });
});

import "runtime/patch";
import events, { EventEmitter } from "node:events";
import net from "node:net";
import { MessageChannel } from "node:worker_threads";
import { joinAll, killAll, sleep, spawn, withTimeout } from "runtime";
import { describe, expect, test } from "vitest";
import { active, describeFibers, inFiber, progress, settle, thrown } from "./support";

/** An emitter; and how many listeners it has, of any event. */
function emitter(): { source: EventEmitter; listeners: () => number } {
  const source = new EventEmitter();
  return { source, listeners: () => source.eventNames().reduce((sum, name) => sum + source.listenerCount(name), 0) };
}

/** Runs `fn` in a fiber; calls `act` once it waits. */
async function then<T>(fn: () => T, act: () => void): Promise<T> {
  const fiber = spawn(fn);
  await settle();
  act();
  return await fiber;
}

/** An EventTarget that counts its listeners. */
class CountingTarget extends EventTarget {
  readonly listeners = new Set<unknown>();

  override addEventListener(...args: Parameters<EventTarget["addEventListener"]>): void {
    this.listeners.add(args[1]);
    super.addEventListener(...args);
  }

  override removeEventListener(...args: Parameters<EventTarget["removeEventListener"]>): void {
    this.listeners.delete(args[1]);
    super.removeEventListener(...args);
  }
}

describeFibers("onceSync", () => {
  test("returns the event's arguments, and lets others go on meanwhile", async () => {
    const { source, listeners } = emitter();
    let args: unknown;
    const turns = await progress(
      () => {
        args = events.onceSync(source, "thing");
      },
      () => source.emit("thing", 1, "two"),
    );
    expect(args).toEqual([1, "two"]);
    expect(turns).toBeGreaterThanOrEqual(5);
    expect(listeners()).toBe(0);
  });

  test("is a property of the class, as once is, and takes symbols", async () => {
    const { source } = emitter();
    const name = Symbol("name");
    const waiting = () => EventEmitter.onceSync(source, name);
    expect(await then(waiting, () => source.emit(name))).toEqual([]);
  });

  test("waits for what a real emitter does", async () => {
    const [message, active] = await inFiber(() => {
      const server = net.createServer((socket) => socket.end("hello")).listen(0, "127.0.0.1");
      events.onceSync(server, "listening");
      const socket = net.connect((server.address() as net.AddressInfo).port, "127.0.0.1");
      const [data] = events.onceSync(socket, "data");
      server.close();
      events.onceSync(socket, "close");
      return [String(data), server.listening];
    });
    expect([message, active]).toEqual(["hello", false]);
  });

  test("continues before the next event, and so misses none", async () => {
    const { source } = emitter();
    const seen = spawn(() => [
      events.onceSync(source, "a"),
      events.onceSync(source, "b"),
      events.onceSync(source, "a"),
    ]);
    await settle();
    source.emit("a", 1);
    source.emit("b", 2);
    source.emit("a", 3);
    expect(await seen).toEqual([[1], [2], [3]]);
  });

  test("continues before the next event, also if another fiber emits it", async () => {
    const { source, listeners } = emitter();
    const order: unknown[] = [];
    const receivers = ["a", "b"].map((name) =>
      spawn(() => {
        for (let i = 0; i < 3; i++) order.push(`${name}${events.onceSync(source, "thing")[0]}`);
      }),
    );
    await settle();
    await inFiber(() => {
      for (let i = 0; i < 3; i++) {
        source.emit("thing", i);
        order.push(i);
      }
    });
    await Promise.all(receivers);
    expect(order).toEqual(["a0", "b0", 0, "a1", "b1", 1, "a2", "b2", 2]);
    expect(listeners()).toBe(0);
  });

  test("may kill the fiber that emits, which ends at its next blocking call", async () => {
    const { source } = emitter();
    const order: string[] = [];
    const receiver = spawn(() => {
      events.onceSync(source, "thing");
      emitting.kill(undefined, { block: false });
      order.push("killed");
      sleep(0);
      order.push("received");
    });
    await settle();
    const emitting = spawn(() => {
      try {
        source.emit("thing");
        order.push("emitted");
        sleep(60_000);
      } finally {
        order.push("unwound");
      }
    });
    await emitting;
    await receiver;
    expect(order.slice(0, 2)).toEqual(["killed", "emitted"]);
    expect(order.slice(2).sort()).toEqual(["received", "unwound"]);
  });

  test("an 'error' event is thrown, with the fiber's frames", async () => {
    const { source, listeners } = emitter();
    const broken = Object.assign(new Error("broken"), { code: "EBROKEN" });
    const error = await then(
      function waiting() {
        return thrown(() => events.onceSync(source, "thing"));
      },
      () => source.emit("error", broken),
    );
    expect(error).toBe(broken);
    expect(error.stack).toContain("waiting");
    expect(listeners()).toBe(0);
  });

  test("an 'error' event is returned where it is waited for", async () => {
    const { source, listeners } = emitter();
    const waiting = () => events.onceSync(source, "error");
    expect(await then(waiting, () => source.emit("error", "this"))).toEqual(["this"]);
    expect(listeners()).toBe(0);
  });

  test("an EventTarget gives the event; its 'error' events are like any other", async () => {
    const target = new CountingTarget();
    const [event] = await then(
      () => events.onceSync(target, "thing"),
      () => {
        target.dispatchEvent(new Event("error"));
        target.dispatchEvent(new Event("thing"));
      },
    );
    expect(event).toBeInstanceOf(Event);
    expect(event).toMatchObject({ type: "thing", target });
    expect(target.listeners.size).toBe(0);
  });

  test("a MessagePort, which is both, gives the message", async () => {
    const { port1, port2 } = new MessageChannel();
    port2.postMessage("text");
    expect(await inFiber(() => events.onceSync(port1, "message"))).toEqual(["text"]);
    expect(port1.listenerCount("message")).toBe(0);
    port1.close();
  });

  test("several fibers that wait get the same event", async () => {
    const { source, listeners } = emitter();
    const fibers = Array.from({ length: 5 }, () => spawn(() => events.onceSync(source, "thing")[0]));
    await settle();
    source.emit("thing", 7);
    expect(await Promise.all(fibers)).toEqual([7, 7, 7, 7, 7]);
    expect(listeners()).toBe(0);
  });

  test("killed, it leaves nothing behind, and what comes later is nobody's", async () => {
    const { source, listeners } = emitter();
    const fibers = Array.from({ length: 4 }, () => spawn(() => events.onceSync(source, "thing", 60_000)));
    await settle();
    expect(listeners()).toBe(8);
    await inFiber(() => killAll(fibers));
    expect(listeners()).toBe(0);
    expect(source.emit("thing")).toBe(false);
  });

  test("leaves no timer behind", async () => {
    const { source } = emitter();
    const timers = active("Timeout"); // the test runner's own, which come and go
    const wait = () => events.onceSync(source, "thing", 60_000);
    const fibers = Array.from({ length: 80 }, () => spawn(wait));
    await settle();
    await inFiber(() => killAll(fibers.slice(0, 40)));
    source.emit("thing");
    await inFiber(() => joinAll(fibers));
    expect(active("Timeout")).toBeLessThan(timers + 10);
  });

  test("the time is over: a Timeout; in a withTimeout, that one's", async () => {
    const { source, listeners } = emitter();
    const target = new CountingTarget();
    await inFiber(() => {
      expect(thrown(() => events.onceSync(source, "thing", 5))).toMatchObject({ code: "ERR_TIMEOUT", ms: 5 });
      expect(thrown(() => events.onceSync(source, "thing", 0))).toMatchObject({ code: "ERR_TIMEOUT", ms: 0 });
      expect(thrown(() => events.onceSync(target, "thing", { timeout: 5 }))).toMatchObject({ code: "ERR_TIMEOUT" });
      expect(withTimeout(5, () => events.onceSync(source, "thing"), "too late")).toBe("too late");
    });
    expect([listeners(), target.listeners.size]).toEqual([0, 0]);
  });

  test("an aborted signal: an AbortError with the signal's reason", async () => {
    const { source, listeners } = emitter();
    const controller = new AbortController();
    const error = inFiber(() => thrown(() => events.onceSync(source, "thing", controller.signal)));
    await settle();
    controller.abort("reason");
    expect(await error).toMatchObject({ name: "AbortError", code: "ABORT_ERR", cause: "reason" });
    expect(listeners()).toBe(0);
    const again = await inFiber(() => thrown(() => events.onceSync(source, "thing", { signal: controller.signal })));
    expect(again).toMatchObject({ code: "ABORT_ERR" });
  });

  test("an emitter that refuses a listener is left without one", async () => {
    const { source, listeners } = emitter();
    const add = source.on.bind(source);
    source.on = (name, listener) => {
      if (name === "thing") throw new Error("no room");
      return add(name, listener);
    };
    expect(await inFiber(() => thrown(() => events.onceSync(source, "thing")).message)).toBe("no room");
    expect(listeners()).toBe(0);
  });

  test("an emitter may emit as soon as it is listened to", async () => {
    const { source, listeners } = emitter();
    const add = source.on.bind(source);
    source.on = (name, listener) => {
      add(name, listener);
      if (name === "thing") source.emit(name, "at once");
      return source;
    };
    expect(await inFiber(() => events.onceSync(source, "thing"))).toEqual(["at once"]);
    expect(listeners()).toBe(0);
  });

  test("an event that one fiber emits resumes another", async () => {
    const { source } = emitter();
    const waiting = spawn(() => events.onceSync(source, "thing")[0]);
    await inFiber(() => {
      sleep(0);
      expect(source.emit("thing", "from a fiber")).toBe(true);
    });
    expect(await waiting).toBe("from a fiber");
  });
});

describe("onceSync, anywhere", () => {
  test("names the argument that is wrong", () => {
    const { source, listeners } = emitter();
    for (const [call, code, name] of [
      [() => events.onceSync({} as never, "x"), "ERR_INVALID_ARG_TYPE", '"emitter"'],
      [() => events.onceSync(null as never, "x"), "ERR_INVALID_ARG_TYPE", '"emitter"'],
      [() => events.onceSync(source, 5 as never), "ERR_INVALID_ARG_TYPE", '"event"'],
      [() => events.onceSync(source, "x", -1), "ERR_OUT_OF_RANGE", '"limit"'],
      [() => events.onceSync(source, "x", "1" as never), "ERR_INVALID_ARG_TYPE", '"limit"'],
      [() => events.onceSync(source, "x", { signal: 1 as never }), "ERR_INVALID_ARG_TYPE", '"limit.signal"'],
    ] as const) {
      expect(thrown(call)).toMatchObject({ code, message: expect.stringContaining(name) });
    }
    expect(listeners()).toBe(0);
  });

  test("out of a fiber it is refused", () => {
    const { source, listeners } = emitter();
    expect(thrown(() => events.onceSync(source, "x"))).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    expect(listeners()).toBe(0);
  });
});

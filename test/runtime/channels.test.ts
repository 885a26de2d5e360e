import { AsyncResource } from "node:async_hooks";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { Fiber, FiberExit, sleep, spawn, spawnLater, wrap } from "runtime";
import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

type Event = "spawn" | "resume" | "suspend" | "end";
interface Message {
  fiber: Fiber;
  error?: unknown;
}

/** What is published while `work` goes on, as "event name". */
async function published(work: () => unknown, listen?: (event: Event, message: Message) => void): Promise<string[]> {
  const log: string[] = [];
  const listeners = (["spawn", "resume", "suspend", "end"] as const).map((event) => {
    const listener = (message: unknown) => {
      log.push(`${event} ${(message as Message).fiber.name}`);
      listen?.(event, message as Message);
    };
    return { channel: `runtime:fiber:${event}`, listener };
  });
  for (const { channel, listener } of listeners) subscribe(channel, listener);
  try {
    await work();
  } finally {
    for (const { channel, listener } of listeners) unsubscribe(channel, listener);
  }
  return log;
}

describeFibers("the diagnostics channels of fibers", () => {
  it("tell the spawn, each resume and suspension, and the end", async () => {
    const log = await published(() =>
      spawn(function worker() {
        sleep(0);
        sleep(1);
      }),
    );
    expect(log.map((line) => line.split(" ")[0])).toEqual([
      "spawn",
      ...["resume", "suspend", "resume", "suspend", "resume"],
      "end",
    ]);
  });

  it("give the fiber itself", async () => {
    const fibers = new Set<Fiber>();
    let fiber: Fiber | undefined;
    await published(
      () => (fiber = spawn(() => sleep(0))),
      (_, message) => fibers.add(message.fiber),
    );
    expect([...fibers]).toEqual([fiber]);
  });

  it("give the error of one that has failed, and none for others", async () => {
    const error = new Error("own");
    const ends: Message[] = [];
    const fail = () => {
      throw error;
    };
    await published(
      () => Promise.allSettled([spawn(fail), spawn(() => 1)]),
      (event, message) => event === "end" && ends.push(message),
    );
    expect(ends.map((message) => ("error" in message ? message.error : "none"))).toEqual([error, "none"]);
  });

  it("tell the end of one that is killed, without an error, also before it has begun", async () => {
    const ends: Message[] = [];
    await published(
      async () => {
        const early = spawnLater(1e8, function killedEarly() {});
        const late = spawn(function killedLate() {
          sleep(1e8);
        });
        early.kill();
        await early;
        late.kill();
        await late;
      },
      (event, message) => event === "end" && ends.push(message),
    );
    expect(ends.map(({ fiber, ...rest }) => [fiber.name, fiber.value instanceof FiberExit, rest])).toEqual([
      ["killedEarly", true, {}],
      ["killedLate", true, {}],
    ]);
  });

  it("tell of fibers that wrap() starts", async () => {
    const log = await published(() => wrap(function handler() {})());
    expect(log).toEqual(["spawn handler", "resume handler", "end handler"]);
  });

  it("take a scope within a fiber for the fiber", async () => {
    const log = await published(() =>
      spawn(function worker() {
        new AsyncResource("TEST").runInAsyncScope(function scope() {
          sleep(1);
        });
      }),
    );
    expect(new Set(log)).toEqual(new Set(["spawn worker", "resume worker", "suspend worker", "end worker"]));
    const turns = log.filter((line) => line !== "spawn worker" && line !== "end worker");
    expect(turns.every((line, i) => line.startsWith(i % 2 === 0 ? "resume" : "suspend"))).toBe(true);
    expect(log.at(-1)).toBe("end worker");
  });

  it("are published on the hub's stack, but for the spawn, in which nothing can suspend", async () => {
    const seen = new Set<string>();
    await published(
      () =>
        spawn(() => {
          spawn(() => sleep(0)).join();
        }),
      (event) => {
        try {
          sleep(0);
        } catch (error) {
          seen.add(`${event} ${Fiber.current === null ? "hub" : "fiber"} ${(error as { code: string }).code}`);
        }
      },
    );
    expect(seen).toEqual(
      new Set([
        "spawn hub ERR_NOT_IN_FIBER",
        "spawn fiber ERR_CANNOT_SUSPEND",
        "resume hub ERR_NOT_IN_FIBER",
        "suspend hub ERR_NOT_IN_FIBER",
        "end hub ERR_NOT_IN_FIBER",
      ]),
    );
  });

  it("let subscribers spawn and kill fibers", async () => {
    let spawned: Fiber | undefined;
    const victim = spawn(() => sleep(1e8));
    await published(
      () => spawn(() => sleep(1)),
      (event) => {
        if (event !== "suspend" || spawned) return;
        spawned = spawn(() => "spawned");
        victim.kill();
      },
    );
    await victim;
    expect([await spawned, victim.value instanceof FiberExit]).toEqual(["spawned", true]);
  });

  it.each(["resume", "suspend"])("let a subscriber kill the very fiber, at its %s", async (when) => {
    const fiber = spawn(() => {
      for (;;) sleep(1);
    });
    await published(
      () => fiber,
      (event, message) => event === when && message.fiber.kill(),
    );
    expect(fiber.value).toBeInstanceOf(FiberExit);
  });

  it("make what a subscriber throws an uncaught exception, and fibers go on", async () => {
    const program = `
      const { subscribe } = require("node:diagnostics_channel");
      const { sleep, spawn } = require("runtime");
      const errors = new Set();
      process.on("uncaughtException", (error) => errors.add(error.message));
      for (const event of ["spawn", "resume", "suspend", "end"]) {
        subscribe("runtime:fiber:" + event, () => { throw new Error(event); });
      }
      spawn(() => { for (let i = 0; i < 5; i++) sleep(0); return "went on"; }).then((value) => {
        setImmediate(() => console.log(value, [...errors].sort().join()));
      });`;
    expect(await run(program)).toEqual(printing("went on end,resume,spawn,suspend"));
  });
});

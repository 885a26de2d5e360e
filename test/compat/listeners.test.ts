// Callbacks that start in fibers: listeners of events, timers, signals.
import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import childProcess from "node:child_process";
import dgram from "node:dgram";
import { EventEmitter, once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import net, { type AddressInfo } from "node:net";
import readline from "node:readline";
import { Duplex, PassThrough, Readable, Stream, Writable } from "node:stream";
import timers from "node:timers";
import tls from "node:tls";
import { promisify } from "node:util";
import { MessageChannel, Worker } from "node:worker_threads";
import { configure, Event, Fiber, info, patch, sleep, spawn, stats, unpatch, wait } from "runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { itFibers } from "../support/fibers";
import { run } from "../support/run";
import { describeFibers, settle, until } from "./support";

const program = { setTimeout, setInterval, setImmediate, timersSetTimeout: timers.setTimeout };

beforeAll(() => patch());
afterAll(() => unpatch());

/** Resolves with what `told` is called with. */
function telling<T>(): { told: (value: T) => void; promise: Promise<T> } {
  let told: (value: T) => void = () => {};
  const promise = new Promise<T>((resolve) => {
    told = resolve;
  });
  return { told, promise };
}

/** A listener that suspends, and then tells whether it ran in a fiber, and with what. */
function blocking<A extends unknown[]>(): {
  listener: (...args: A) => void;
  seen: Promise<{ fiber: string; args: A }>;
} {
  const { told, promise } = telling<{ fiber: string; args: A }>();
  const listener = (...args: A) => {
    sleep(1);
    told({ fiber: Fiber.current?.name ?? "none", args });
  };
  return { listener, seen: promise };
}

async function echoServer(): Promise<{ port: number; server: net.Server }> {
  const server = net.createServer((socket) => socket.pipe(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, server };
}

describeFibers("listeners that may block", () => {
  it("of sockets and servers", async () => {
    const names: string[] = [];
    const here = (what: string) => {
      sleep(1);
      names.push(`${what}: ${Fiber.current?.name}`);
    };
    const server = net.createServer((socket) => {
      here("connection");
      socket.on("data", (data) => {
        here("data");
        socket.end(data);
      });
    });
    server.on("close", () => here("server close"));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const socket = net.connect((server.address() as AddressInfo).port, "127.0.0.1", () => {
      here("connect");
      socket.write("x");
    });
    socket.on("data", () => here("data back"));
    socket.on("end", () => here("end"));
    const { told, promise } = telling<void>();
    socket.on("close", () => {
      here("close");
      server.close();
      server.once("close", () => told());
    });
    await promise;
    expect(names).toEqual([
      "connection: on connection",
      "connect: on connect",
      "data: on data",
      "data back: on data",
      "end: on end",
      "close: on close",
      "server close: on close",
    ]);
  });

  it("of streams, whose listener was added with once, or bound, or by AsyncResource.bind", async () => {
    for (const wrapped of [
      (fn: () => void) => fn.bind(null),
      (fn: () => void) => AsyncResource.bind(fn),
      (fn: () => void) => new Proxy(fn, {}),
      (fn: () => void) => fn,
    ]) {
      const { listener, seen } = blocking<[]>();
      Readable.from([]).once("end", wrapped(listener)).resume();
      expect((await seen).fiber).toBe("on end");
    }
  });

  it("of child processes: events, output, messages, and the callback of execFile and exec", async () => {
    const exit = blocking<[number]>();
    const close = blocking<[number]>();
    const data = blocking<[Buffer]>();
    const message = blocking<[string]>();
    const child = childProcess.spawn(process.execPath, ["-e", "process.send('hi'); console.log('out')"], {
      stdio: ["ignore", "pipe", "inherit", "ipc"],
    });
    child.on("exit", exit.listener).on("close", close.listener).on("message", message.listener);
    child.stdout?.on("data", data.listener);
    expect((await message.seen).fiber).toBe("on message");
    expect(String((await data.seen).args[0])).toBe("out\n");
    expect((await exit.seen).args[0]).toBe(0);
    expect((await close.seen).fiber).toBe("on close");
    const called = blocking<[unknown, string, string]>();
    childProcess.execFile(process.execPath, ["-p", "1+1"], called.listener);
    expect((await called.seen).args).toEqual([null, "2\n", ""]);
    const failed = blocking<[unknown, string, string]>();
    childProcess.exec("exit 3", failed.listener);
    const { fiber, args } = await failed.seen;
    expect(fiber).not.toBe("none");
    expect(args[0]).toMatchObject({ code: 3 });
    expect((await promisify(childProcess.execFile)(process.execPath, ["-p", "2"])).stdout).toBe("2\n");
  });

  it("of datagram sockets", async () => {
    const socket = dgram.createSocket("udp4");
    const { listener, seen } = blocking<[Buffer]>();
    socket.on("message", listener);
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    socket.send("hello", socket.address().port, "127.0.0.1");
    expect(String((await seen).args[0])).toBe("hello");
    expect((await seen).fiber).toBe("on message");
    socket.close();
  });

  it("of readline, in order, though each takes its time, and the input waits meanwhile", async () => {
    const input = new PassThrough();
    const rl = readline.createInterface({ input });
    const lines: string[] = [];
    rl.on("line", (line) => {
      sleep(lines.length % 3);
      lines.push(line);
      if (lines.length === 1) expect(input.readableFlowing).toBe(false);
    });
    const all = Array.from({ length: 50 }, (_, at) => `line ${at}`);
    for (const line of all) input.write(`${line}\n`);
    input.end();
    const { told, promise } = telling<number>();
    rl.on("close", () => told(lines.length));
    expect(await promise).toBe(50);
    expect(lines).toEqual(all);
  });

  it("of workers", async () => {
    const worker = new Worker("require('worker_threads').parentPort.postMessage('from the worker')", { eval: true });
    const message = blocking<[string]>();
    const exit = blocking<[number]>();
    worker.on("message", message.listener).on("exit", exit.listener);
    expect((await message.seen).args).toEqual(["from the worker"]);
    expect((await exit.seen).fiber).toBe("on exit");
  });

  it("of ports, however they listen; and stop listening", async () => {
    const { port1, port2 } = new MessageChannel();
    const seen: unknown[] = [];
    const node = (message: unknown) => {
      sleep(1);
      seen.push(["on", message, Fiber.current !== null]);
    };
    const dom = function (this: unknown, event: { data: unknown }) {
      sleep(0);
      seen.push(["addEventListener", event.data, Fiber.current !== null, this === port1]);
    };
    port1.on("message", node).on("message", node);
    port1.once("message", node);
    (port1 as unknown as EventTarget).addEventListener("message", dom as never);
    (port1 as unknown as { onmessage: unknown }).onmessage = (event: { data: unknown }) => {
      sleep(0);
      seen.push(["onmessage", event.data, Fiber.current !== null]);
    };
    expect(port1.listenerCount("message")).toBe(3);
    port2.postMessage("first");
    await until(() => seen.length === 3);
    expect(seen).toEqual([
      ["on", "first", true],
      ["addEventListener", "first", true, true],
      ["onmessage", "first", true],
    ]);
    port1.off("message", node);
    (port1 as unknown as EventTarget).removeEventListener("message", dom as never);
    (port1 as unknown as { onmessage: unknown }).onmessage = null;
    port2.postMessage("second");
    await settle();
    expect(seen.length).toBe(3);
    port1.close();
  });

  it("of ports get their messages in order", async () => {
    const { port1, port2 } = new MessageChannel();
    const seen: number[] = [];
    port1.on("message", (message) => {
      sleep(3 - message);
      seen.push(message);
    });
    for (const message of [0, 1, 2, 3]) port2.postMessage(message);
    await until(() => seen.length === 4);
    expect(seen).toEqual([0, 1, 2, 3]);
    port1.close();
  });

  it("of signals, each for itself", async () => {
    const seen: string[] = [];
    const { told, promise } = telling<void>();
    const first = () => {
      wait(promise);
      seen.push(`SIGUSR2: ${Fiber.current?.name}`);
    };
    const second = () => {
      sleep(1);
      seen.push(`SIGWINCH: ${Fiber.current?.name}`);
      told();
    };
    process.on("SIGUSR2", first).on("SIGWINCH", second);
    process.kill(process.pid, "SIGUSR2");
    process.kill(process.pid, "SIGWINCH");
    await until(() => seen.length === 2);
    process.off("SIGUSR2", first).off("SIGWINCH", second);
    expect(seen).toEqual(["SIGWINCH: on SIGWINCH", "SIGUSR2: on SIGUSR2"]);
  });
});

describe("an emitter", () => {
  itFibers("brings data in order, and the end after it, however long a listener takes", async () => {
    const { port, server } = await echoServer();
    const sent = Buffer.from(Array.from({ length: 300_000 }, (_, at) => at % 251));
    const socket = net.connect(port, "127.0.0.1");
    const events: string[] = [];
    const chunks: Buffer[] = [];
    let inside = 0;
    socket.on("data", (chunk) => {
      inside++;
      sleep(chunks.length % 4);
      chunks.push(chunk);
      if (--inside > 0) events.push("two at a time");
    });
    socket.on("end", () => events.push(`end ${inside}`));
    const { told, promise } = telling<void>();
    socket.on("close", () => {
      events.push(`close ${inside}`);
      told();
    });
    socket.end(sent);
    await promise;
    expect(Buffer.concat(chunks).equals(sent)).toBe(true);
    expect(events).toEqual(["end 0", "close 0"]);
    server.close();
  });

  itFibers("holds up who fills it while a listener is suspended, as a slow reader does", async () => {
    let given = 0;
    const source = new Readable({
      highWaterMark: 4,
      read() {
        setImmediate(() => this.push(given < 100 ? Buffer.from([given++]) : null));
      },
    });
    const seen: number[] = [];
    let most = 0;
    source.on("data", (chunk: Buffer) => {
      sleep(1);
      seen.push(chunk[0] as number);
      most = Math.max(most, given - seen.length);
    });
    await new Promise<void>((resolve) => source.on("close", () => resolve()));
    expect(seen).toEqual(Array.from({ length: 100 }, (_, at) => at));
    expect(most).toBeLessThanOrEqual(6);
  });

  itFibers("stays paused when its listener pauses it after a suspension, and flows when it resumes it", async () => {
    const events: string[] = [];
    const source = Readable.from(["a", "b", "c"]);
    source.on("pause", () => events.push("pause")).on("resume", () => events.push("resume"));
    source.on("data", (chunk) => {
      sleep(1);
      events.push(chunk);
      if (chunk === "a") source.pause();
    });
    await until(() => events.includes("a"));
    await settle();
    expect(events.filter((event) => event !== "resume")).toEqual(["a"]);
    expect(source.isPaused()).toBe(true);
    source.resume();
    await new Promise<void>((resolve) => source.on("close", () => resolve()));
    expect(events.filter((event) => event.length === 1)).toEqual(["a", "b", "c"]);
  });

  itFibers("tells Node's own listeners at once, and the program's when their turn has come", async () => {
    const source = new PassThrough();
    const log: string[] = [];
    const { told, promise } = telling<void>();
    source.on("data", () => {
      log.push("data begins");
      wait(promise);
      log.push("data ends");
    });
    source.on("note", () => log.push("the program's listener"));
    source.write("x");
    await until(() => log.length === 1);
    const heard = once(source, "note").then(() => log.push("events.once"));
    expect(source.emit("note")).toBe(true);
    await heard;
    expect(log).toEqual(["data begins", "events.once"]);
    told();
    await until(() => log.length === 4);
    expect(log.slice(2)).toEqual(["data ends", "the program's listener"]);
  });

  it("starts no fiber for listeners of Node's own", async () => {
    const { spawned } = stats();
    const into = new Writable({ write: (_chunk, _encoding, done) => done() });
    Readable.from(["a", "b"]).pipe(into);
    await once(into, "finish");
    expect(stats().spawned).toBe(spawned);
  });

  itFibers("calls listeners in the fiber that emits, if one does", async () => {
    const emitter = new PassThrough();
    const seen: unknown[] = [];
    emitter.on("note", (...args) => {
      sleep(1);
      seen.push(Fiber.current, ...args);
    });
    const fiber = spawn(() => emitter.emit("note", 1, 2));
    expect(await fiber).toBe(true);
    expect(seen).toEqual([fiber, 1, 2]);
  });

  itFibers("loses no error of HTTP's handlers and callbacks, which its parser calls", async () => {
    const program = `
      require("runtime/patch");
      const http = require("node:http");
      const { Duplex } = require("node:stream");
      process.on("uncaughtException", (error) => {
        console.log("uncaught", error.message);
        if (++uncaught === 5) process.exit();
      });
      let uncaught = 0;
      const fail = (message) => () => { throw new Error(message); };
      const server = http.createServer((request, response) => {
        response.writeEarlyHints({ link: "</style.css>" });
        response.end("page");
        if (request.url === "/fails") fail("in a handler")();
      });
      server.on("checkContinue", (request, response) => { response.writeContinue(); response.end(); });
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address();
        const ask = (path, options) => http.request({ port, path, host: "127.0.0.1", ...options }).on("error", () => {});
        ask("/").on("response", fail("in a response's callback")).end();
        ask("/").on("information", fail("in early hints")).end();
        ask("/", { headers: { expect: "100-continue" } }).on("continue", fail("in continue")).flushHeaders();
        ask("/fails").end();
        const stream = new Duplex({ read() {}, write(chunk, encoding, done) { done(); } });
        http.createServer(fail("in a handler, over a stream")).emit("connection", stream);
        stream.push("GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n");
      });`;
    const { stdout, stderr, code } = await run(program);
    expect(stdout.trim().split("\n").sort()).toEqual([
      "uncaught in a handler",
      "uncaught in a handler, over a stream",
      "uncaught in a response's callback",
      "uncaught in continue",
      "uncaught in early hints",
    ]);
    expect([stderr, code]).toEqual(["", 0]);
  });

  itFibers("throws what a listener throws before it suspends; after that it is uncaught", async () => {
    const source = new PassThrough();
    source.on("note", (when: string) => {
      if (when === "late") sleep(1);
      throw new Error(when);
    });
    expect(() => source.emit("note", "at once")).toThrow("at once");
    const { code, stderr } = await run(`
      const { PassThrough } = require("stream");
      const { sleep } = require("runtime");
      require("runtime/patch");
      const source = new PassThrough();
      process.on("uncaughtException", (error) => console.error("uncaught", error.message));
      source.on("note", () => { sleep(1); throw new Error("late"); });
      source.on("note", () => console.error("must not be called"));
      console.error(source.emit("note"));
    `);
    expect(stderr).toBe("true\nuncaught late\n");
    expect(code).toBe(0);
  });

  it("has an error event that nobody listens for thrown, as ever", () => {
    expect(() => new PassThrough().emit("error", new Error("unheard"))).toThrow("unheard");
  });

  itFibers("keeps this, the arguments and the async context", async () => {
    const storage = new AsyncLocalStorage<string>();
    const source = new PassThrough();
    const seen: unknown[] = [];
    source.on("note", function (this: unknown, ...args) {
      sleep(1);
      seen.push(this === source, args, storage.getStore());
    });
    storage.run("first", () => source.emit("note", 1));
    storage.run("second", () => source.emit("note", 2)); // has to wait
    await until(() => seen.length === 6);
    expect(seen).toEqual([true, [1], "first", true, [2], "second"]);
  });

  itFibers("goes on after a listener that was killed", async () => {
    const source = new PassThrough();
    const seen: string[] = [];
    let first: Fiber | null = null;
    source.on("note", (what: string) => {
      first ??= Fiber.current;
      if (what === "first") sleep(100_000);
      seen.push(what);
    });
    source.emit("note", "first");
    source.emit("note", "second");
    (first as Fiber | null)?.kill();
    await until(() => seen.length === 1);
    expect(seen).toEqual(["second"]);
  });

  itFibers("gets the arguments of an event, however many, in a fiber and out of one", async () => {
    for (const count of [0, 1, 2, 3, 4, 7]) {
      const given = Array.from({ length: count }, (_, i) => i);
      const { listener, seen } = blocking<number[]>();
      const source = new PassThrough().on("note", listener);
      expect(source.emit("note", ...given)).toBe(true);
      expect(await seen).toEqual({ fiber: "on note", args: given });

      const heard: unknown[][] = [];
      const fiber = spawn(() => new PassThrough().on("note", (...args) => heard.push(args)).emit("note", ...given));
      expect(await fiber).toBe(true); // as a part of the fiber that emits it
      expect(heard).toEqual([given]);
    }
  });

  it("emits what nobody listens for by what others have put in emit's place, too", () => {
    const { emit } = EventEmitter.prototype;
    const seen: unknown[][] = [];
    EventEmitter.prototype.emit = function (this: EventEmitter, ...args: Parameters<typeof emit>) {
      seen.push(args);
      return Reflect.apply(emit, this, args);
    };
    try {
      expect(new PassThrough().emit("note", 1, 2)).toBe(false);
    } finally {
      EventEmitter.prototype.emit = emit;
    }
    expect(seen).toEqual([["note", 1, 2]]);
    expect(new PassThrough().emit("note", 1, 2)).toBe(false);
  });

  describe("whose emit others have replaced", () => {
    /** What is emitted, by `wrapper`s that are put in the place of `emit` while the patch is away, or is not. */
    function wrapping(target: EventEmitter, seen: string[], name: string): () => void {
      const before = Object.getOwnPropertyDescriptor(target, "emit");
      const { emit } = target;
      target.emit = function (this: EventEmitter, ...args: Parameters<typeof emit>) {
        seen.push(`${name}: ${String(args[0])}`);
        return Reflect.apply(emit, this, args);
      };
      return () => {
        if (before) Object.defineProperty(target, "emit", before);
        else delete (target as { emit?: unknown }).emit;
      };
    }

    it("before the patch, is emitted by theirs", async () => {
      const seen: string[] = [];
      unpatch();
      const restore = [
        wrapping(http.Server.prototype, seen, "http"),
        wrapping(Stream.prototype, seen, "stream"),
        wrapping(process, seen, "process"),
      ];
      try {
        patch();
        const handled = telling<string>();
        const server = http.createServer(() => {});
        server.on("request", () => handled.told(Fiber.current?.name ?? "none"));
        server.emit("request", {}, {});
        new PassThrough().emit("note");
        (process as EventEmitter).emit("unheard");
        expect(seen).toEqual(["http: request", "stream: note", "process: unheard"]);
        if (info().switch !== "none") expect(await handled.promise).toBe("on request");
      } finally {
        unpatch();
        for (const undo of restore) undo();
        patch();
      }
    });

    it("of all emitters, before the patch, is emitted by theirs, though nobody listens", async () => {
      const program = `
        const { EventEmitter } = require("node:events");
        const { emit } = EventEmitter.prototype;
        EventEmitter.prototype.emit = function (...args) {
          if (args[0] === "note") console.log("noted");
          return Reflect.apply(emit, this, args);
        };
        require("runtime/patch");
        new (require("node:stream").PassThrough)().emit("note");`;
      expect((await run(program)).stdout).toBe("noted\n");
    });

    it("in a class above, is emitted by theirs", () => {
      const seen: string[] = [];
      const restore = wrapping(net.Server.prototype, seen, "net");
      try {
        http.createServer().emit("note");
        expect(seen).toEqual(["net: note"]);
      } finally {
        restore();
      }
    });
  });

  it("of a class that is no stream, server or process is as it was", () => {
    const emitter = new EventEmitter();
    let fiber: unknown = "unset";
    emitter.on("note", () => {
      fiber = Fiber.current;
    });
    emitter.emit("note");
    expect(fiber).toBe(null);
  });
});

describe("timers", () => {
  itFibers("start their callbacks in fibers, with arguments and this", async () => {
    for (const start of [setTimeout, setImmediate, timers.setTimeout, timers.setImmediate] as never as ((
      ...args: unknown[]
    ) => object)[]) {
      const { told, promise } = telling<unknown[]>();
      const isTimeout = start.name === "setTimeout";
      const timer = start(
        function named(this: unknown, ...args: unknown[]) {
          sleep(1);
          told([this === timer, args, Fiber.current?.name]);
        },
        ...(isTimeout ? [1] : []),
        "a",
        "b",
      );
      expect(await promise).toEqual([true, ["a", "b"], "named"]);
    }
  });

  it("are the same functions in the module as global ones, and keep what they were", async () => {
    expect(setTimeout).toBe(timers.setTimeout);
    expect(setInterval).toBe(timers.setInterval);
    expect(setImmediate).toBe(timers.setImmediate);
    expect(setTimeout).not.toBe(program.setTimeout);
    expect([setTimeout.name, setTimeout.length]).toEqual([program.setTimeout.name, program.setTimeout.length]);
    expect(await promisify(setTimeout)(1, "value")).toBe("value");
    expect(await promisify(setImmediate)("value")).toBe("value");
    expect(() => setTimeout("no function" as never)).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE", message: expect.stringContaining('"callback"') }),
    );
  });

  itFibers("an interval's next tick comes after the end of the one before", async () => {
    let inside = 0;
    let overlaps = 0;
    let ticks = 0;
    const { told, promise } = telling<void>();
    const interval = setInterval(() => {
      if (++inside > 1) overlaps++;
      sleep(5);
      inside--;
      if (++ticks < 5) return;
      clearInterval(interval);
      told();
    }, 1);
    await promise;
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect([ticks, overlaps]).toEqual([5, 0]);
  });

  itFibers("an interval that is cleared while its callback is suspended ends", async () => {
    let ticks = 0;
    const interval = setInterval(() => {
      ticks++;
      sleep(5);
    }, 1);
    await until(() => ticks === 1);
    clearInterval(interval);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(ticks).toBe(1);
  });

  itFibers("an error of a callback is uncaught, before a suspension and after it; an interval goes on", async () => {
    const { stdout, code } = await run(`
      require("runtime/patch");
      const { sleep } = require("runtime");
      process.on("uncaughtException", (error) => console.log("uncaught", error.message));
      setTimeout(() => { throw new Error("at once"); });
      setTimeout(() => { sleep(1); throw new Error("late"); });
      let ticks = 0;
      const interval = setInterval(() => {
        if (++ticks === 3) clearInterval(interval);
        sleep(1);
        throw new Error("tick " + ticks);
      }, 30);
    `);
    expect(stdout.trim().split("\n")).toEqual([
      "uncaught at once",
      "uncaught late",
      "uncaught tick 1",
      "uncaught tick 2",
      "uncaught tick 3",
    ]);
    expect(code).toBe(0);
  });

  itFibers("keep the process alive while a callback waits for something, no longer", async () => {
    const { stdout, code } = await run(`
      require("runtime/patch");
      const { sleep } = require("runtime");
      setTimeout(() => { sleep(20); console.log("done"); }, 1);
    `);
    expect([stdout, code]).toEqual(["done\n", 0]);
  });
});

describeFibers("the ceiling on fibers that servers start", () => {
  it("makes what is above it wait its turn, first come first served", async () => {
    configure({ maxServerFibers: 3 });
    try {
      let inside = 0;
      let most = 0;
      const served: number[] = [];
      const allAsked = new Event();
      const server = net.createServer((socket) => {
        most = Math.max(most, ++inside);
        const at = Number(socket.readLineSync());
        allAsked.wait();
        served.push(at);
        socket.endSync(`${at}`);
        inside--;
      });
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      const { port } = server.address() as AddressInfo;
      const answers: Promise<string>[] = [];
      for (let at = 0; at < 20; at++) {
        const socket = net.connect(port, "127.0.0.1");
        await once(socket, "connect");
        answers.push(
          (async () => {
            socket.write(`${at}\n`);
            let text = "";
            for await (const chunk of socket) text += chunk;
            return text;
          })(),
        );
      }
      allAsked.set();
      expect(await Promise.all(answers)).toEqual(Array.from({ length: 20 }, (_, at) => `${at}`));
      expect(most).toBe(3);
      expect(served).toEqual(Array.from({ length: 20 }, (_, at) => at));
      server.close();
    } finally {
      configure({ maxServerFibers: 10_000 });
    }
  });

  it("is checked", () => {
    for (const wrong of [0, -1, 1.5, Number.NaN]) {
      expect(() => configure({ maxServerFibers: wrong })).toThrow(
        expect.objectContaining({
          code: "ERR_OUT_OF_RANGE",
          message: expect.stringContaining("options.maxServerFibers"),
        }),
      );
    }
    expect(() => configure({ maxServerFibers: "1" as never })).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE" }),
    );
    configure({ maxServerFibers: Number.POSITIVE_INFINITY });
    configure({ maxServerFibers: 10_000 });
  });
});

describe("the patch of listeners", () => {
  it("is taken back by unpatch", () => {
    unpatch();
    try {
      for (const one of [Stream, net.Server, tls.Server, dgram.Socket, Worker, childProcess.ChildProcess]) {
        expect(Object.hasOwn(one.prototype, "emit")).toBe(false);
      }
      expect(Object.hasOwn(process, "emit")).toBe(false);
      expect(setTimeout).toBe(program.setTimeout);
      expect(timers.setTimeout).toBe(program.timersSetTimeout);
      expect(Object.hasOwn(MessagePort.prototype, "addEventListener")).toBe(false);
    } finally {
      patch();
    }
  });

  it("leaves events as they are where there are no fibers, or nobody blocks", async () => {
    const log: string[] = [];
    const pair = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
    pair.on("data", (chunk) => log.push(`data ${chunk}`)).on("end", () => log.push("end"));
    pair.on("finish", () => log.push("finish")).on("close", () => log.push("close"));
    pair.push("x");
    pair.push(null);
    pair.end("y");
    await once(pair, "close");
    expect(log).toEqual(["data x", "finish", "end", "close"].sort((a, b) => log.indexOf(a) - log.indexOf(b)));
    expect(log[0]).toBe("data x");
    expect(log.at(-1)).toBe("close");
    expect(fs.existsSync("/")).toBe(true);
  });
});

describeFibers("an error that nobody can catch", () => {
  const late = "sleep(1); throw new TypeError('no good'); // this line";
  const cases: Record<string, string> = {
    "of a timer": "setTimeout(function named() { throw new TypeError('no good'); // this line\n});",
    "of a timer, after a suspension": `setTimeout(function named() { ${late}\n});`,
    "of an interval": `setInterval(function named() { ${late}\n}, 1);`,
    "of a listener, after a suspension": `new PassThrough().on("note", function named() { ${late}\n}).emit("note");`,
  };
  const prelude =
    'require("runtime/patch"); const { sleep } = require("runtime"); const { PassThrough } = require("stream");\n';

  it.each(Object.entries(cases))(
    "%s is reported with the line that threw it, and ends the process",
    async (_, text) => {
      const { code, stderr } = await run(prelude + text);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^\S+program\.cjs:2\n.*this line\n +\^\n\nTypeError: no good\n {4}at .*named/);
      expect(stderr.match(/TypeError: no good/g)?.length).toBe(1);
    },
  );

  it.each(Object.entries(cases))("%s ends the worker that it is in", async (_, text) => {
    const { stdout, code } = await run(`
      const { Worker } = require("worker_threads");
      const worker = new Worker(${JSON.stringify(prelude + text)}, { eval: true });
      worker.on("error", (error) => console.log("error", error.message));
      worker.on("exit", (code) => console.log("exit", code));`);
    expect([stdout, code]).toEqual(["error no good\nexit 1\n", 0]);
  });

  it.each(Object.entries(cases))(
    "%s is for uncaughtException's listeners, once; the program goes on",
    async (_, text) => {
      const { stdout, stderr, code } = await run(`${prelude}
      process.on("uncaughtException", (error, origin) => {
        console.log(error.message, origin);
        setTimeout(() => { sleep(1); console.log("goes on"); process.exit(); }, 1);
      });
      ${text}`);
      expect([stdout, stderr, code]).toEqual(["no good uncaughtException\ngoes on\n", "", 0]);
    },
  );
});

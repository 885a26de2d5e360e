import "runtime/patch";
import { getEventListeners } from "node:events";
import fs from "node:fs";
import http from "node:http";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import stream, { Duplex, PassThrough, Readable, Transform, Writable } from "node:stream";
import zlib from "node:zlib";
import { sleep, spawn, withTimeout, wrap } from "runtime";
import { describe, expect, test } from "vitest";
import { describeFibers, inFiber, progress, settle, thrown, until } from "./support";

/** A stream to be fed by hand. */
function open(options: ConstructorParameters<typeof Readable>[0] = {}): Readable {
  return new Readable({ read() {}, ...options });
}

/** A stream that holds back its chunks until `take()` is called. */
class Slow extends Writable {
  readonly taken: unknown[] = [];
  readonly #waiting: (() => void)[] = [];

  override _write(chunk: unknown, _: unknown, done: (error?: Error) => void): void {
    this.#waiting.push(() => {
      this.taken.push(this.writableObjectMode ? chunk : String(chunk));
      done();
    });
  }

  take(): void {
    this.#waiting.shift()?.();
  }
}

function listenersOf(emitter: NodeJS.EventEmitter): string[] {
  return emitter.eventNames().flatMap((name) => emitter.listeners(name).map(() => String(name)));
}

/** The warnings of the process while `fn` runs. */
async function warningsOf(fn: () => Promise<unknown>): Promise<Error[]> {
  const warnings: Error[] = [];
  const warned = (warning: Error) => warnings.push(warning);
  process.on("warning", warned);
  await fn();
  await settle();
  process.off("warning", warned);
  return warnings;
}

describeFibers("readSync", () => {
  test("gives what there is without switching", async () => {
    const stream = open();
    stream.push("ab");
    let switched = false;
    const chunk = await inFiber(() => {
      spawn(() => {
        switched = true;
      });
      const all = stream.readSync();
      expect(switched).toBe(false);
      return all;
    });
    expect(String(chunk)).toBe("ab");
  });

  test("waits for data, and lets others go on", async () => {
    const stream = open();
    let chunk: unknown;
    const turns = await progress(
      () => {
        chunk = stream.readSync();
      },
      () => stream.push("late"),
    );
    expect(turns).toBeGreaterThanOrEqual(5);
    expect(String(chunk)).toBe("late");
  });

  test("gives as much as is asked for, less at the end, then null", async () => {
    const stream = Readable.from([Buffer.from("abc"), Buffer.from("defgh")], { objectMode: false });
    const chunks = await inFiber(() => [
      stream.readSync(4),
      stream.readSync(0),
      stream.readSync(9),
      stream.readSync(1),
    ]);
    expect(chunks.map((chunk) => chunk && String(chunk))).toEqual(["abcd", "", "efgh", null]);
    expect(await inFiber(() => stream.readSync())).toBe(null);
  });

  test("waits for more than the stream likes to hold", async () => {
    const stream = fs.createReadStream(process.execPath, { highWaterMark: 1000 });
    const chunk = await inFiber(() => stream.readSync(1_000_000));
    expect(chunk).toHaveLength(1_000_000);
    stream.destroy();
  });

  test("gives text where the stream has an encoding, even if a character comes in two pieces", async () => {
    const stream = open({ encoding: "utf8" });
    stream.push(Buffer.from([0xc3]));
    setTimeout(() => stream.push(Buffer.from([0xa4, 0x62])), 5);
    expect(await inFiber(() => [stream.readSync(), stream.readSync(0)])).toEqual(["\u00e4b", ""]);
  });

  test("gives one object at a time in object mode", async () => {
    const stream = Readable.from([{ a: 1 }, 0, "", [2]]);
    const objects = await inFiber(() => [undefined, 0, 1, 9, 1].map((size) => stream.readSync(size)));
    expect(objects).toEqual([{ a: 1 }, 0, "", [2], null]);
  });

  test("throws the stream's error, with the fiber's frames, from then on", async () => {
    const stream = open();
    setTimeout(() => stream.destroy(Object.assign(new Error("broken"), { code: "EBROKEN" })), 5);
    const error = await inFiber(function reader() {
      const first = thrown(() => stream.readSync());
      expect(thrown(() => stream.readSync())).toBe(first);
      return first;
    });
    expect(error).toMatchObject({ message: "broken", code: "EBROKEN" });
    expect(error.stack).toContain("reader");
  });

  test("throws an error that came before, after the data", async () => {
    const stream = open();
    stream.push("data");
    stream.on("error", () => {});
    stream.destroy(new Error("broken"));
    await settle();
    await inFiber(function reader() {
      expect(String(stream.readSync())).toBe("data");
      const error = thrown(() => stream.readSync());
      expect(error.message).toBe("broken");
      expect(error.stack).toContain("reader");
    });
  });

  test("throws where the stream is closed without an end", async () => {
    const stream = open();
    setTimeout(() => stream.destroy(), 5);
    const error = { code: "ERR_STREAM_PREMATURE_CLOSE" };
    expect(await inFiber(() => thrown(() => stream.readSync()))).toMatchObject(error);
    expect(await inFiber(() => thrown(() => stream.readSync()))).toMatchObject(error);
  });

  test("refuses what is no size", async () => {
    const stream = open();
    await inFiber(() => {
      expect(thrown(() => stream.readSync("5" as never))).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
      expect(thrown(() => stream.readSync(-1))).toMatchObject({ code: "ERR_OUT_OF_RANGE" });
      expect(thrown(() => stream.readSync(Number.NaN))).toMatchObject({ code: "ERR_OUT_OF_RANGE" });
    });
  });

  test("serves fibers first come first served, and passes over those that were killed", async () => {
    const stream = open({ objectMode: true });
    const warnings = await warningsOf(async () => {
      const readers = Array.from({ length: 30 }, () => spawn(() => stream.readSync()));
      await settle();
      await inFiber(() => {
        for (const number of [0, 7, 29]) readers[number]?.kill();
      });
      const alive = readers.filter((reader) => !reader.dead);
      for (const number of alive.keys()) {
        stream.push(number);
        if (number % 3 === 0) await settle();
      }
      expect(await Promise.all(alive)).toEqual([...alive.keys()]);
    });
    expect(warnings).toEqual([]);
  });

  test("a turn that comes to a fiber just killed goes to the next", async () => {
    const stream = open({ objectMode: true });
    const [, second, third] = [1, 2, 3].map(() => spawn(() => stream.readSync()));
    await settle();
    stream.push("one");
    await inFiber(() => {
      second?.kill();
      stream.push("two");
    });
    expect(await third).toBe("two");
  });

  test("all who wait hear of the end, or of the error", async () => {
    for (const error of [undefined, new Error("broken")]) {
      const stream = open();
      const readers = [1, 2, 3].map(() => spawn(() => (error ? thrown(() => stream.readSync()) : stream.readSync())));
      await settle();
      if (error) stream.destroy(error);
      else stream.push(null);
      for (const reader of readers) expect(await reader).toBe(error ?? null);
    }
  });

  test("killed, or timed out, it leaves the stream as it was", async () => {
    const stream = open();
    const before = listenersOf(stream);
    const fiber = spawn(() => stream.readSync());
    await settle();
    await inFiber(() => fiber.kill());
    expect(listenersOf(stream)).toEqual(before);
    const error = await inFiber(() => thrown(() => withTimeout(5, () => stream.readSync())));
    expect(error).toMatchObject({ code: "ERR_TIMEOUT" });
    expect(listenersOf(stream)).toEqual(before);
    await settle();
    expect(stream.readableFlowing).not.toBe(true);
    const data = new Promise((resolve) => stream.once("data", resolve));
    stream.push("then");
    expect(String(await data)).toBe("then");
  });

  test("wants more than there is, without keeping the event loop from its work", async () => {
    const stream = open();
    stream.push("abc");
    setTimeout(() => stream.push("def"), 20);
    expect(String(await inFiber(() => stream.readSync(5)))).toBe("abcde");
  });

  test("goes before listeners for data that were there already", async () => {
    const stream = open();
    const seen: string[] = [];
    stream.on("data", (chunk) => seen.push(String(chunk)));
    setTimeout(() => stream.push("first"), 5);
    await inFiber(() => stream.readSync());
    await settle();
    stream.push("second");
    await until(() => seen.includes("second"));
  });
});

describeFibers("chunksSync and textSync", () => {
  test("go through all chunks", async () => {
    const chunks = await inFiber(() => [...Readable.from(["a", "b", "c"]).chunksSync()]);
    expect(chunks).toEqual(["a", "b", "c"]);
  });

  test("a loop that is left early destroys the stream", async () => {
    const stream = Readable.from(["a", "b", "c"]);
    await inFiber(() => {
      for (const chunk of stream.chunksSync()) if (chunk === "b") break;
    });
    expect(stream.destroyed).toBe(true);
  });

  test("an error of the stream comes out of the loop", async () => {
    const stream = open();
    stream.push("a");
    setTimeout(() => stream.destroy(new Error("broken")), 5);
    const seen: string[] = [];
    const error = await inFiber(() =>
      thrown(() => {
        for (const chunk of stream.chunksSync()) seen.push(String(chunk));
      }),
    );
    expect([seen, error.message]).toEqual([["a"], "broken"]);
  });

  test("text is put together from bytes, whole characters", async () => {
    const bytes = Buffer.from("h\u00e4\u20ac\ud83d\ude00");
    const pieces = [...bytes].map((byte) => Buffer.from([byte]));
    expect(await inFiber(() => Readable.from(pieces).textSync())).toBe("h\u00e4\u20ac\ud83d\ude00");
    expect(await inFiber(() => Readable.from([bytes]).textSync("hex"))).toBe(bytes.toString("hex"));
    expect(await inFiber(() => Readable.from(["a", "\u00e4"]).textSync())).toBe("a\u00e4");
    expect(await inFiber(() => Readable.from([]).textSync())).toBe("");
    expect(await inFiber(() => thrown(() => open().textSync("none" as never)))).toMatchObject({
      code: "ERR_INVALID_ARG_TYPE",
    });
  });

  test("killed in the middle, what textSync had taken can be read again", async () => {
    const stream = open();
    stream.push("one ");
    const first = await inFiber(() => thrown(() => withTimeout(5, () => stream.textSync())));
    expect(first).toMatchObject({ code: "ERR_TIMEOUT" });
    stream.push("two");
    stream.push(null);
    expect(await inFiber(() => stream.textSync())).toBe("one two");
  });

  test("two that take the text do not share it out", async () => {
    const stream = open();
    const texts = [spawn(() => stream.textSync()), spawn(() => stream.textSync())];
    for (const piece of ["a", "b", "c", null]) {
      stream.push(piece);
      await settle();
    }
    expect(await Promise.all(texts)).toEqual(["abc", ""]);
  });

  test("files, compressed streams, pipes", async () => {
    const text = "text ".repeat(100_000);
    const packed = zlib.gzipSync(text);
    expect(await inFiber(() => Readable.from([packed]).pipe(zlib.createGunzip()).textSync())).toBe(text);
    const source = fs.readFileSync(__filename, "utf8");
    expect(await inFiber(() => fs.createReadStream(__filename).textSync())).toBe(source);
    expect(await inFiber(() => thrown(() => fs.createReadStream("/nonexistent").textSync()))).toMatchObject({
      code: "ENOENT",
      syscall: "open",
    });
  });
});

describeFibers("writeSync and endSync", () => {
  test("a stream that takes all at once is not waited for, however often", async () => {
    const taken: string[] = [];
    const stream = new Writable({
      write(chunk, _, done) {
        taken.push(String(chunk));
        done();
      },
    });
    const warnings = await warningsOf(() =>
      inFiber(() => {
        let switched = false;
        spawn(() => {
          switched = true;
        });
        for (let count = 0; count < 100; count++) stream.writeSync(`${count}`);
        expect(switched).toBe(false);
        expect(listenersOf(stream)).toEqual([]);
      }),
    );
    expect(warnings).toEqual([]);
    expect(taken).toHaveLength(100);
  });

  test("a slow stream is waited for, and others go on", async () => {
    const stream = new Slow();
    expect(
      await progress(
        () => stream.writeSync("a"),
        () => stream.take(),
      ),
    ).toBeGreaterThanOrEqual(5);
    expect(stream.taken).toEqual(["a"]);
    expect(listenersOf(stream)).toEqual([]);
  });

  test("many fibers write: in order, without a warning", async () => {
    const stream = new Slow({ objectMode: true });
    const warnings = await warningsOf(async () => {
      const done: number[] = [];
      const writers = Array.from({ length: 30 }, (_, number) =>
        spawn(() => {
          stream.writeSync({ number });
          done.push(number);
        }),
      );
      await settle();
      while (stream.taken.length < 30) {
        stream.take();
        await settle();
      }
      await Promise.all(writers);
      expect(done).toEqual([...done.keys()]);
    });
    expect(warnings).toEqual([]);
    expect(stream.taken).toEqual(Array.from({ length: 30 }, (_, number) => ({ number })));
    expect(listenersOf(stream)).toEqual([]);
  });

  test("encodings, bytes, objects", async () => {
    const stream = new PassThrough();
    await inFiber(() => {
      stream.writeSync("e4", "hex");
      stream.writeSync(new Uint8Array([0x62]));
      stream.endSync("c", "latin1");
    });
    expect(await inFiber(() => stream.textSync("latin1"))).toBe("\u00e4bc");
  });

  test("an error of the write is thrown, with the fiber's frames, and nobody else need listen", async () => {
    for (const sync of [true, false]) {
      const stream = new Writable({
        write(_chunk, _encoding, done) {
          const error = Object.assign(new Error("broken"), { code: "EBROKEN" });
          if (sync) done(error);
          else setTimeout(done, 5, error);
        },
      });
      const error = await inFiber(function writer() {
        return thrown(() => stream.writeSync("x"));
      });
      expect(error).toMatchObject({ message: "broken", code: "EBROKEN" });
      expect(error.stack).toContain("writer");
      await settle();
      expect(listenersOf(stream)).toEqual([]);
    }
  });

  test.skipIf(!fs.existsSync("/dev/full"))("an error that is emitted late does no harm", async () => {
    const stream = fs.createWriteStream("/dev/full");
    expect(await inFiber(() => thrown(() => stream.writeSync("x")))).toMatchObject({ code: "ENOSPC" });
    await until(() => stream.closed);
    await settle();
    const error = await inFiber(() => thrown(() => fs.createWriteStream("/nonexistent/file").endSync("x")));
    expect(error).toMatchObject({ code: "ENOENT" });
    await settle();
  });

  test("after the end, after destruction, and with nonsense, it throws as the callback is told", async () => {
    await inFiber(() => {
      const ended = new PassThrough();
      ended.endSync();
      expect(thrown(() => ended.writeSync("x"))).toMatchObject({ code: "ERR_STREAM_WRITE_AFTER_END" });
      const destroyed = new PassThrough();
      destroyed.destroy();
      expect(thrown(() => destroyed.writeSync("x"))).toMatchObject({ code: "ERR_STREAM_DESTROYED" });
      expect(thrown(() => destroyed.endSync())).toMatchObject({ code: "ERR_STREAM_DESTROYED" });
      const stream = new PassThrough();
      expect(thrown(() => stream.writeSync(null))).toMatchObject({ code: "ERR_STREAM_NULL_VALUES" });
      expect(thrown(() => stream.writeSync(5))).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
      expect(thrown(() => stream.writeSync("x", "none" as never))).toMatchObject({ code: "ERR_UNKNOWN_ENCODING" });
      stream.writeSync("fine");
    });
    await settle();
  });

  test("killed, the chunk is written all the same, and no listener stays", async () => {
    const stream = new Slow();
    const fibers = [1, 2, 3].map((number) => spawn(() => stream.writeSync(`${number}`)));
    await settle();
    await inFiber(() => {
      for (const fiber of fibers) fiber.kill();
    });
    for (let count = 0; count < 3; count++) {
      stream.take();
      await settle();
    }
    expect(stream.taken).toEqual(["1", "2", "3"]);
    expect(listenersOf(stream)).toEqual([]);
  });

  test("killed, and then the write fails: nothing goes uncaught", async () => {
    let fail: (error: Error) => void = () => {};
    const stream = new Writable({
      write(_chunk, _encoding, done) {
        fail = done;
      },
    });
    const fiber = spawn(() => stream.writeSync("x"));
    await settle();
    await inFiber(() => fiber.kill());
    fail(new Error("broken"));
    await settle();
    expect(listenersOf(stream)).toEqual([]);
  });

  test("a destroyed stream wakes those who write", async () => {
    const stream = new Slow();
    const writers = [1, 2, 3].map(() => spawn(() => thrown(() => stream.writeSync("x"))));
    await settle();
    stream.destroy();
    for (const writer of writers) expect((await writer).code).toMatch(/ERR_STREAM_(DESTROYED|PREMATURE_CLOSE)/);
    expect(listenersOf(stream)).toEqual([]);
  });

  test("endSync waits until all is flushed; again, it has nothing to do", async () => {
    const order: string[] = [];
    const stream = new Writable({
      write: (chunk, _, done) => setTimeout(() => (order.push(String(chunk)), done()), 5),
      final: (done) => setTimeout(() => (order.push("flushed"), done()), 5),
    });
    await inFiber(() => {
      stream.endSync("last");
      order.push("returned");
      stream.endSync();
    });
    expect(order).toEqual(["last", "flushed", "returned"]);
    await settle();
    expect(listenersOf(stream)).toEqual([]);
  });

  test("a transform is written and read by two fibers", async () => {
    const upper = new Transform({ transform: (chunk, _, done) => done(null, String(chunk).toUpperCase()) });
    const reader = spawn(() => upper.textSync());
    spawn(() => {
      for (const text of ["a", "b", "c"]) {
        upper.writeSync(text);
        sleep(1);
      }
      upper.endSync();
    });
    expect(await reader).toBe("ABC");
  });

  test("a stream whose own _write blocks", async () => {
    const stream = new Writable({
      write(_chunk, _encoding, done) {
        sleep(5);
        done();
      },
    });
    await inFiber(() => {
      stream.writeSync("a");
      stream.endSync("b");
    });
    expect(stream.writableFinished).toBe(true);
  });
});

describeFibers("HTTP messages", () => {
  async function serve(handler: (req: http.IncomingMessage, res: http.ServerResponse) => void): Promise<http.Server> {
    const server = http.createServer(wrap(handler)).listen(0, "127.0.0.1");
    await new Promise((resolve) => server.once("listening", resolve));
    return server;
  }

  test("are read and written in blocking style", async () => {
    const server = await serve((req, res) => {
      const text = req.textSync();
      res.writeSync(text.toUpperCase());
      sleep(5);
      res.endSync("!");
    });
    const { port } = server.address() as net.AddressInfo;
    const response = await fetch(`http://127.0.0.1:${port}`, { method: "POST", body: "text" });
    expect(await response.text()).toBe("TEXT!");
    server.close();
    server.closeAllConnections();
  });

  test("when the client goes away, reading and writing end with an error", async () => {
    const errors: NodeJS.ErrnoException[] = [];
    const server = await serve((req, res) => {
      errors.push(thrown(() => req.textSync()));
      errors.push(thrown(() => res.writeSync("x")));
      errors.push(thrown(() => res.endSync("x")));
    });
    const { port } = server.address() as net.AddressInfo;
    await inFiber(() => {
      const socket = net.connectSync(port, "127.0.0.1");
      socket.writeSync("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
      sleep(20);
      socket.destroy();
    });
    await until(() => errors.length === 3);
    expect(errors[0]).toMatchObject({ code: "ECONNRESET", message: "aborted" });
    for (const error of errors.slice(1))
      expect(error.code).toMatch(/^(ECANCELED|ECONNRESET|ERR_STREAM_(DESTROYED|PREMATURE_CLOSE))$/);
    server.close();
  });

  test("when the client goes away under a write, the write ends with an error", async () => {
    let error: NodeJS.ErrnoException | undefined;
    const server = await serve((_req, res) => {
      error = thrown(() => {
        for (;;) res.writeSync(Buffer.alloc(1_000_000));
      });
    });
    const { port } = server.address() as net.AddressInfo;
    await inFiber(() => {
      const socket = net.connectSync(port, "127.0.0.1");
      socket.writeSync("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
      socket.readSync();
      sleep(20);
      socket.destroy();
    });
    await until(() => error !== undefined);
    expect(error?.code).toMatch(/^(ECANCELED|ECONNRESET|EPIPE|ERR_STREAM_(DESTROYED|PREMATURE_CLOSE))$/);
    server.close();
  });
});

describeFibers("pipelineSync", () => {
  const folder = () => fs.mkdtempSync(path.join(os.tmpdir(), "pipeline-"));

  test("returns when all is through, and lets others go on meanwhile", async () => {
    const zipped = path.join(folder(), "node.gz");
    const turns = await progress(() => {
      const from = fs.createReadStream(process.execPath, { end: 2_999_999 });
      expect(stream.pipelineSync(from, zlib.createGzip({ level: 1 }), fs.createWriteStream(zipped))).toBeUndefined();
      const unzipped = zlib.gunzipSync(fs.readFileSync(zipped));
      expect(unzipped.equals(fs.readFileSync(process.execPath).subarray(0, 3_000_000))).toBe(true);
    });
    expect(turns).toBeGreaterThan(1);
  });

  test("takes iterables, generators and functions, and returns what a last one resolves to", async () => {
    const result = await inFiber(() =>
      stream.pipelineSync(
        ["a", "b"],
        async function* (source: AsyncIterable<string>) {
          for await (const text of source) yield text.toUpperCase();
        },
        async (source: AsyncIterable<string>) => {
          let all = "";
          for await (const text of source) all += text;
          return all;
        },
      ),
    );
    expect(result).toBe("AB");
  });

  test("takes an array of streams, and options.end", async () => {
    const to = new PassThrough();
    await inFiber(() => {
      stream.pipelineSync([Readable.from(["a"]), new PassThrough(), to], { end: false });
      expect(to.writableEnded).toBe(false);
      stream.pipelineSync(Readable.from(["b"]), to);
      expect(to.textSync()).toBe("ab");
    });
  });

  test("takes web streams", async () => {
    const chunks: unknown[] = [];
    const to = new WritableStream({ write: (chunk) => void chunks.push(chunk) });
    await inFiber(() => stream.pipelineSync(["a", "b"], to as never));
    expect(chunks).toEqual(["a", "b"]);
  });

  test("a stream's error is thrown, with the fiber's frames, and all are destroyed", async () => {
    const to = new PassThrough();
    const error = await inFiber(function piping() {
      return thrown(() => stream.pipelineSync(fs.createReadStream("/does/not/exist"), to));
    });
    expect(error).toMatchObject({ code: "ENOENT", syscall: "open" });
    expect(error.stack).toContain("piping");
    expect(to.destroyed).toBe(true);
    const early = open();
    const fiber = spawn(() => thrown(() => stream.pipelineSync(early, new PassThrough())).code);
    await settle();
    early.destroy();
    expect(await fiber).toBe("ERR_STREAM_PREMATURE_CLOSE");
  });

  test("killed, or too late, it destroys all the streams", async () => {
    for (const end of ["kill", "timeout"]) {
      const streams = [open(), new PassThrough(), new PassThrough()] as const;
      const fiber = spawn(() =>
        thrown(() => withTimeout(end === "kill" ? 60_000 : 5, () => stream.pipelineSync(...streams))),
      );
      await settle();
      if (end === "kill") await inFiber(() => fiber.kill());
      await fiber;
      expect(streams.map(({ destroyed }) => destroyed)).toEqual([true, true, true]);
    }
  });

  test("an aborted signal destroys them too", async () => {
    const controller = new AbortController();
    const streams = [open(), new PassThrough()] as const;
    const fiber = spawn(() => thrown(() => stream.pipelineSync(...streams, { signal: controller.signal })));
    await settle();
    controller.abort("reason");
    expect(await fiber).toMatchObject({ name: "AbortError", code: "ABORT_ERR", cause: "reason" });
    expect(streams.map(({ destroyed }) => destroyed)).toEqual([true, true]);
    const options = { signal: controller.signal };
    const again = [open(), new PassThrough()] as const;
    expect(await inFiber(() => thrown(() => stream.pipelineSync(...again, options)))).toMatchObject({
      code: "ABORT_ERR",
    });
    expect(options).toEqual({ signal: controller.signal });
  });

  test("leaves no listener on the signal", async () => {
    const { signal } = new AbortController();
    await inFiber(() => {
      for (let i = 0; i < 20; i++) stream.pipelineSync(Readable.from(["a"]), new PassThrough().resume(), { signal });
    });
    expect(getEventListeners(signal, "abort")).toEqual([]);
  });

  test("wrong arguments are refused as by stream.promises.pipeline", async () => {
    for (const args of [[], [new PassThrough()], [new PassThrough(), 5], [5, new PassThrough()]]) {
      const call = stream.promises.pipeline as unknown as (...args: unknown[]) => Promise<unknown>;
      const expected = await call(...args).then(null, (error: NodeJS.ErrnoException) => error);
      const error = await inFiber(() => thrown(() => stream.pipelineSync(...(args as never[]))));
      expect(error).toMatchObject({ code: (expected as NodeJS.ErrnoException).code });
    }
    const signal = "x" as never;
    const error = await inFiber(() => thrown(() => stream.pipelineSync([], new PassThrough(), { signal })));
    expect(error).toMatchObject({ code: "ERR_INVALID_ARG_TYPE", message: expect.stringContaining("options.signal") });
  });
});

describe("out of a fiber", () => {
  test("pipelineSync is refused before anything is piped", () => {
    const [from, to] = [Readable.from(["a"]), new PassThrough()];
    expect(thrown(() => stream.pipelineSync(from, to))).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    expect([from.readableFlowing, to.eventNames()]).toEqual([null, new PassThrough().eventNames()]);
  });

  test("what is there already can be read, the rest has to be waited for", async () => {
    const stream = open();
    stream.push("there");
    expect(String(stream.readSync())).toBe("there");
    const before = listenersOf(stream);
    expect(thrown(() => stream.readSync())).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    expect(listenersOf(stream)).toEqual(before);
  });

  test("writing is refused before anything is written", () => {
    const stream = new Slow();
    expect(thrown(() => stream.writeSync("x"))).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    expect(thrown(() => stream.endSync("x"))).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    expect([stream.writableLength, stream.writableEnded]).toEqual([0, false]);
  });

  test("every stream has the methods", () => {
    for (const stream of [new Duplex(), new PassThrough(), new net.Socket(), fs.createReadStream(__filename)]) {
      expect(stream).toHaveProperty("readSync");
      stream.destroy();
    }
    expect(Writable.prototype.writeSync.name).toBe("writeSync");
    expect(Object.keys(new Writable())).not.toContain("writeSync");
  });
});

describeFibers("between two readings", () => {
  test("a stream is as it was before the first, as soon as the fiber does something else", async () => {
    await inFiber(() => {
      const source = new PassThrough();
      const before = () => [source.eventNames().map((name) => source.listenerCount(name)), source.readableFlowing];
      const untouched = before();
      setImmediate(() => source.write("a"));
      expect(String(source.readSync())).toBe("a");
      sleep(0);
      expect(before()).toEqual(untouched);
    });
  });

  test("nothing is lost that comes while nobody reads, or that a killed fiber was to be given", async () => {
    const source = new PassThrough();
    const seen: string[] = [];
    const killed = spawn(() => seen.push(`killed: ${source.readSync()}`));
    await settle();
    // Written by a fiber: the reader becomes ready, but does not run before it is killed.
    await spawn(() => {
      source.write("a");
      killed.kill(undefined, { block: false });
    });
    source.write("b");
    await settle();
    await inFiber(() => {
      while (seen.join("").length < 2) seen.push(String(source.readSync()));
    });
    expect(seen.join("")).toBe("ab");
  });

  test("the program may let it flow, pause it, or pipe it", async () => {
    for (const go of [
      (source: PassThrough, chunks: string[]) => source.on("data", (chunk) => chunks.push(String(chunk))),
      (source: PassThrough, chunks: string[]) =>
        source.pipe(
          new Writable({ write: (chunk, _encoding, done) => done(void chunks.push(String(chunk)) as never) }),
        ),
      (source: PassThrough, chunks: string[]) => {
        source.pause();
        source.on("data", (chunk) => chunks.push(String(chunk)));
        setImmediate(() => source.resume());
      },
    ]) {
      const source = new PassThrough();
      const chunks: string[] = [];
      await inFiber(() => {
        setImmediate(() => source.write("first"));
        expect(String(source.readSync())).toBe("first");
        go(source, chunks); // while the listeners of the reading are still there
        source.write("second");
        setImmediate(() => source.end("third"));
      });
      await until(() => source.readableEnded);
      expect(chunks.join("")).toBe("secondthird");
    }
  });

  test("it stays paused that the program has paused", async () => {
    await inFiber(() => {
      const source = new PassThrough();
      source.pause();
      setImmediate(() => source.write("a"));
      expect(String(source.readSync())).toBe("a");
      sleep(0);
      expect([source.isPaused(), source.readableFlowing]).toEqual([true, false]);
    });
  });

  test("a timeout of the socket's own leaves what comes after it to be read", async () => {
    await inFiber(() => {
      const server = net.createServer().listenSync(0, "127.0.0.1");
      const client = net.connectSync((server.address() as net.AddressInfo).port, "127.0.0.1");
      const socket = server.acceptSync() as net.Socket;
      socket.setTimeout(5);
      expect(thrown(() => socket.readSync())).toMatchObject({ code: "ETIMEDOUT" });
      client.writeSync("late");
      sleep(10);
      expect(String(socket.readSync())).toBe("late");
      client.destroy();
      socket.destroy();
      server.closeSync();
    });
  });
});

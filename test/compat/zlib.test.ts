import nodeZlib from "node:zlib";
import { original, patch, spawn, unpatch } from "runtime";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { describeFibers, inFiber, progress, settle, thrown, until } from "./support";

type Name = "deflateSync" | "inflateSync" | "gunzipSync"; // and so on
const zlib = nodeZlib as unknown as Record<string, typeof nodeZlib.deflateSync> & typeof nodeZlib;
const pairs = { gzip: "gunzip", deflate: "inflate", deflateRaw: "inflateRaw", brotliCompress: "brotliDecompress" };
const zstd = "zstdCompressSync" in nodeZlib ? { zstdCompress: "zstdDecompress" } : {};
const inverse: Record<string, string> = { ...pairs, ...zstd };
const names = [...Object.entries(inverse).flat(), "unzip"].map((name) => `${name}Sync`);

const text = "the quick brown fox jumps over the lazy dog. ".repeat(5000);
const random = Buffer.from(Array.from({ length: 100_000 }, (_, i) => (i * i * 7919) >> 5));
const own = (name: string, ...args: unknown[]): Buffer =>
  (original("zlib", name) as (...args: unknown[]) => Buffer)(...args);

type Args = () => unknown[];
const compress = (...args: unknown[]): Args => {
  return () => args;
};
const compressed = (data: string | Buffer, ...args: unknown[]): Args[] =>
  Object.keys(inverse).map((name) => () => [own(`${name}Sync`, data), ...args]);

/** Arguments for every function: not all fit all of them. */
const allArguments: Record<string, Args> = {
  "a string": compress("text"),
  "a long string": compress(text),
  "a string of two bytes a character": compress("äöü".repeat(1000)),
  "an empty string": compress(""),
  "an empty buffer": compress(Buffer.alloc(0)),
  "what cannot be compressed": compress(random),
  "an ArrayBuffer": compress(new Uint8Array(random).buffer),
  "a DataView": compress(new DataView(new Uint8Array(random).buffer, 10, 1000)),
  "a Uint16Array": compress(new Uint16Array(500).fill(0x1234)),
  nothing: compress(),
  "a number": compress(42),
  "an array": compress([1, 2, 3]),
  null: compress(null),
  "null options": compress(text, null),
  "a string for options": compress("text", "latin1"),
  "a function for options": compress("text", () => {}),
  "a level": compress(text, { level: 1 }),
  "a wrong level": compress(text, { level: 99 }),
  "a level that is no number": compress(text, { level: "fast" }),
  "a large input, at level 0": compress(Buffer.concat([random, random]), { level: 0 }),
  "a strategy": compress(text, { strategy: nodeZlib.constants.Z_HUFFMAN_ONLY, memLevel: 1, windowBits: 10 }),
  "a small chunkSize": compress(text, { chunkSize: 64 }),
  "a wrong chunkSize": compress(text, { chunkSize: 1 }),
  "a dictionary": compress(text, { dictionary: Buffer.from("lazy dog quick brown fox") }),
  "a wrong dictionary": compress(text, { dictionary: 42 }),
  "a small maxOutputLength": compress(text, { maxOutputLength: 20 }),
  "a maxOutputLength that suffices": compress(text, { maxOutputLength: 1_000_000 }),
  "a wrong maxOutputLength": compress(text, { maxOutputLength: 0 }),
  "finishFlush 2": compress(text, { finishFlush: 2 }),
  "finishFlush 3": compress(text, { finishFlush: 3 }),
  "finishFlush 5": compress(text, { finishFlush: 5 }),
  "a wrong finishFlush": compress(text, { finishFlush: 99 }),
  "a pledgedSrcSize": compress(text, { pledgedSrcSize: text.length }),
  "a wrong pledgedSrcSize": compress("", { pledgedSrcSize: null }),
  "flush 1": compress(text, { flush: 1 }),
  "flush 2 with finishFlush 1": compress(text, { flush: 2, finishFlush: 1 }),
  "a wrong flush": compress(text, { flush: 99 }),
  "a flush that is no number": compress(text, { flush: "x" }),
  "options that streams know": compress("text", { objectMode: true, encoding: "utf8", defaultEncoding: "hex" }),
  "brotli parameters": compress(text, { params: { [nodeZlib.constants.BROTLI_PARAM_QUALITY]: 2 } }),
  "wrong parameters": compress(text, { params: { 999: 1 } }),
  "trailing garbage to be rejected": compress(text, { rejectGarbageAfterEnd: true }),
};
for (const [name, make] of [
  ["compressed text", (args: unknown[]) => compressed(text, ...args)],
  ["compressed nothing", (args: unknown[]) => compressed("", ...args)],
] as const) {
  for (const [index, algorithm] of Object.keys(inverse).entries()) {
    const data = (...args: unknown[]) => (make(args)[index] as Args)();
    const changed =
      (change: (bytes: Buffer) => Buffer, ...args: unknown[]): Args =>
      () => [change(data()[0] as Buffer), ...args];
    Object.assign(allArguments, {
      [`${name}, by ${algorithm}`]: () => data(),
      [`${name}, by ${algorithm}, to at most 100 bytes`]: () => data({ maxOutputLength: 100 }),
      [`${name}, by ${algorithm}, with finishFlush 5`]: () => data({ finishFlush: nodeZlib.constants.Z_BLOCK }),
      [`${name}, by ${algorithm}, truncated, to at most 20 bytes`]: changed(
        (bytes) => bytes.subarray(0, bytes.length - 5),
        { maxOutputLength: 20 },
      ),
      [`${name}, by ${algorithm}, truncated`]: changed((bytes) => bytes.subarray(0, bytes.length - 5)),
      [`${name}, by ${algorithm}, truncated, with a lenient finishFlush`]: changed(
        (bytes) => bytes.subarray(0, bytes.length - 5),
        { finishFlush: nodeZlib.constants.Z_SYNC_FLUSH },
      ),
      [`${name}, by ${algorithm}, damaged`]: changed((bytes) => {
        const copy = Buffer.from(bytes);
        for (let i = 8; i < copy.length; i += 3) copy[i] = ~(copy[i] as number);
        return copy;
      }),
      [`${name}, by ${algorithm}, twice`]: changed((bytes) => Buffer.concat([bytes, bytes])),
      [`${name}, by ${algorithm}, with garbage behind`]: changed((bytes) => Buffer.concat([bytes, Buffer.alloc(9, 7)])),
      [`${name}, by ${algorithm}, with garbage behind, rejected`]: changed(
        (bytes) => Buffer.concat([bytes, Buffer.alloc(9, 7)]),
        { rejectGarbageAfterEnd: true },
      ),
    });
  }
}
allArguments["data that needs a dictionary"] = () => [own("deflateSync", text, { dictionary: Buffer.from("fox") })];
allArguments["data with its dictionary"] = () => [
  own("deflateSync", text, { dictionary: Buffer.from("fox") }),
  { dictionary: Buffer.from("fox") },
];

/** What a call comes to. */
function outcome(call: () => Buffer): unknown {
  try {
    const value = call();
    return { value: value.toString("base64"), prototype: Object.getPrototypeOf(value) === Buffer.prototype };
  } catch (error) {
    const { name, message, code, errno } = error as NodeJS.ErrnoException;
    return { name, message, code, errno, own: Object.keys(error as object) };
  }
}

beforeAll(() => patch());
afterAll(() => unpatch());

describeFibers("zlib in a fiber", () => {
  describe.each(names)("%s", (name) => {
    it.each(Object.keys(allArguments))("of %s comes to the same as with Node's own", async (given) => {
      const args = (allArguments[given] as Args)();
      const now = zlib[name] as (...args: unknown[]) => Buffer;
      expect(await inFiber(() => outcome(() => now(...args)))).toEqual(outcome(() => own(name, ...args)));
    });

    it("lets another fiber run meanwhile", async () => {
      const algorithm = Object.keys(inverse).find((key) => `${inverse[key]}Sync` === name) ?? "gzip";
      const isInverse = name === "unzipSync" || Object.values(inverse).includes(name.replace("Sync", ""));
      const data = isInverse ? own(`${algorithm}Sync`, text) : text;
      expect(await progress(() => zlib[name as Name](data))).toBeGreaterThan(1);
    });
  });

  it("hands out the engine with the option info", async () => {
    type WithInfo = { buffer: Buffer; engine: { bytesWritten: number; constructor: unknown } };
    const run = (deflate: unknown) => (deflate as (...args: unknown[]) => WithInfo)(text, { info: true, level: 2 });
    const now = await inFiber(() => run(zlib.deflateSync));
    const before = run(original("zlib", "deflateSync"));
    expect(Object.keys(now)).toEqual(Object.keys(before));
    expect(now.buffer).toEqual(before.buffer);
    expect(now.engine.bytesWritten).toBe(before.engine.bytesWritten);
    expect(now.engine.constructor).toBe(before.engine.constructor);
  });

  it("stops when the fiber is killed", async () => {
    const bomb = own("brotliCompressSync", Buffer.alloc(1 << 28), { params: { 1: 0 } });
    const destroy = vi.spyOn(nodeZlib.BrotliDecompress.prototype, "_destroy");
    let returned = false;
    const fiber = spawn(() => {
      zlib.brotliDecompressSync(bomb);
      returned = true;
    });
    await settle(); // it is under way
    await spawn(() => fiber.kill());
    expect(fiber.dead).toBe(true);
    await until(() => destroy.mock.calls.length > 0);
    const [engine, error] = [
      destroy.mock.contexts[0] as unknown as nodeZlib.BrotliDecompress,
      destroy.mock.lastCall?.[0],
    ];
    expect(error?.name).toBe("AbortError");
    const { bytesWritten } = engine;
    await settle();
    expect(engine.bytesWritten).toBe(bytesWritten);
    expect(bytesWritten).toBeLessThan(bomb.length);
    expect(returned).toBe(false);
    destroy.mockRestore();
  });

  it("shows the fiber's own frames in an error's stack", async () => {
    const error = await inFiber(function unpacker() {
      return thrown(() => zlib.gunzipSync("not gzipped"));
    });
    expect(error.stack).toMatch(/^Error: incorrect header check/);
    expect(error.stack).toContain("unpacker");
  });

  it("works for many fibers at once", async () => {
    const inputs = Array.from({ length: 50 }, (_, i) => `${i} ${text}`);
    const outputs = await Promise.all(
      inputs.map((input) => inFiber(() => zlib.gunzipSync(zlib.gzipSync(input)).toString())),
    );
    expect(outputs).toEqual(inputs);
  });
});

describe("zlib out of a fiber", () => {
  it("is Node's own", () => {
    expect(zlib.inflateSync(zlib.deflateSync(text)).toString()).toBe(text);
    expect(thrown(() => zlib.gunzipSync("x")).code).toBe("Z_BUF_ERROR");
  });

  it("keeps the name, length and properties of every function", () => {
    for (const name of names) {
      const before = original("zlib", name) as (...args: never[]) => unknown;
      const now = zlib[name as Name] as (...args: never[]) => unknown;
      expect(now, name).not.toBe(before);
      expect([now.name, now.length], name).toEqual([before.name, before.length]);
    }
  });
});

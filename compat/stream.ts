// stream: reading and writing in blocking style. What is added to Readable and Writable is there for every socket, file
// stream, HTTP message and pipe.
import { OutgoingMessage } from "node:http";

import stream = require("node:stream");

import { whenAborted } from "../runtime/abort";
import { block, canStart, withFiberStack } from "../runtime/block";
import { canBlock } from "../runtime/coroutine";
import { invalidArgument, outOfRange } from "../runtime/errors";
import { checkLimit } from "../runtime/limit";
import { type Chunk, type Done, end, keepErrors, readChunk, readText, write } from "../runtime/park/operations/streams";
import { noteGone } from "./clients";
import { directly } from "./direct-socket";
import { holdFlow, inOrder, listenInFibers } from "./emitters";
import { endNow, writeAll } from "./parked/descriptor";
import type { ModulePatch } from "./patching";
import { carryOut, nextChunk } from "./reading";

declare module "stream" {
  /**
   * `stream.promises.pipeline` in blocking style: the same arguments, streams, iterables and (async generator) functions
   * between them, and a last `{ signal, end }`. Suspends the fiber until all is through; when that is killed, all
   * streams are destroyed. The functions do not run in the fiber: blocking calls cannot be made in them.
   * @returns what a last function's promise is fulfilled with; nothing if the last is a stream
   * @throws what the pipeline fails with: a stream's error, ERR_STREAM_PREMATURE_CLOSE, ...; AbortError when
   *   `options.signal` was aborted; ERR_INVALID_ARG_TYPE, ERR_MISSING_ARGS; ERR_NOT_IN_FIBER out of a fiber
   */
  function pipelineSync(...streams: (PipelinePart | PipelineOptions)[]): unknown;
  function pipelineSync(streams: readonly PipelinePart[], options?: PipelineOptions): unknown;
  interface Readable {
    /**
     * The next chunk, or `size` bytes of it (characters, if the stream has an encoding); null at the end. Suspends the
     * fiber until there is as much. As with `read()`, fewer than `size` come at the end of the stream, and in object
     * mode it is always one object. Several fibers may read one stream: each waits for its turn.
     *
     * Out of a fiber the thread sleeps, if the stream has a descriptor that can be read without the event loop (a file,
     * standard input, a child process's pipe, a connected socket); else only what is in its buffer can be had.
     * @param size a whole number; for 0 the result is empty
     * @throws what the stream's "error" event brings; ERR_STREAM_PREMATURE_CLOSE if it closed without an end;
     *   ETIMEDOUT when a socket's own timeout (`setTimeout(ms)`) is over, the socket stays open; ERR_NOT_IN_FIBER
     */
    // biome-ignore lint/suspicious/noExplicitAny: as read(), which gives any object in object mode
    readSync(size?: number): any;
    /** The chunks until the end, each waited for. Leaving the loop early destroys the stream, as `for await` does. */
    // biome-ignore lint/suspicious/noExplicitAny: the same
    chunksSync(): Generator<any, void, undefined>;
    /**
     * All that is still to come, as text.
     * @param encoding of the bytes, default "utf8"; a stream that has an encoding of its own makes text itself
     */
    textSync(encoding?: BufferEncoding): string;
  }
  interface Writable {
    /**
     * Writes, and suspends the fiber until the stream has handed the chunk on (for a socket: the kernel has it); not
     * at all if that happens at once. What was written is not taken back when the fiber is killed. Out of a fiber the
     * thread sleeps, if the stream has a descriptor, as for `readSync`.
     * @throws the error of this write; ETIMEDOUT when a socket's own timeout (`setTimeout(ms)`) is over;
     *   ERR_NOT_IN_FIBER
     */
    // biome-ignore lint/suspicious/noExplicitAny: as write(), which takes any object in object mode
    writeSync(chunk: any, encoding?: BufferEncoding): void;
    /**
     * Ends the stream, after a last chunk if one is given, and waits until all is flushed. Out of a fiber this is for
     * files' streams only.
     * @throws as `writeSync`
     */
    // biome-ignore lint/suspicious/noExplicitAny: the same
    endSync(chunk?: any, encoding?: BufferEncoding): void;
  }
}

const { Duplex, Readable, Writable } = stream;
type Readable = stream.Readable;
type Writable = stream.Writable;
type PipelineOptions = stream.PipelineOptions;

/** What data can come from, go through, or go to, in `pipelineSync`. */
export type PipelinePart =
  | NodeJS.ReadableStream
  | NodeJS.WritableStream
  | NodeJS.ReadWriteStream
  | Iterable<unknown>
  | AsyncIterable<unknown>
  // biome-ignore lint/suspicious/noExplicitAny: whatever the stream before it gives
  | ((source: any, options: { signal: AbortSignal }) => AsyncIterable<unknown> | Iterable<unknown> | Promise<unknown>);

export function readSync(this: Readable, size?: number): Chunk | null {
  if (size === undefined) return nextChunk(this, readSync);
  checkSize(size);
  return carryOut(this, readChunk(this, size), readSync);
}

export function* chunksSync(this: Readable): Generator<Chunk, void, undefined> {
  let ended = false;
  try {
    for (let chunk = this.readSync(); chunk !== null; chunk = this.readSync()) yield chunk;
    ended = true;
  } finally {
    if (!ended) this.destroy();
  }
}

export function textSync(this: Readable, encoding: BufferEncoding = "utf8"): string {
  checkEncoding(encoding);
  return carryOut(this, readText(this, encoding), textSync);
}

export function checkSize(size: unknown): void {
  if (size === undefined) return;
  if (typeof size !== "number") throw invalidArgument("size", "of type number", size);
  if (!(Number.isSafeInteger(size) && size >= 0)) throw outOfRange("size", "a whole number >= 0", size);
}

export function checkEncoding(encoding: unknown): void {
  if (!Buffer.isEncoding(encoding as string)) throw invalidArgument("encoding", "a known encoding", encoding);
}

export function writeSync(this: Writable, chunk: unknown, encoding?: BufferEncoding): void {
  let left = chunk;
  if (canStart()) left = sendNow(this, chunk, encoding);
  else if (!canBlock() && writeAll(this, chunk, encoding)) return;
  if (left !== nothing) handOver(this, (done) => write(this, left, encoding, done), writeSync);
}

const nothing = Symbol("nothing");

/** Mostly the system takes at once what a socket is given, and Node's stream need not know. What is left of the chunk. */
function sendNow(stream: Writable, chunk: unknown, encoding: BufferEncoding | undefined): unknown {
  const direct = directly(stream);
  const bytes = direct && bytesOf(chunk, encoding, stream);
  if (!bytes) return chunk;
  const sent = direct.send(bytes);
  if (sent instanceof Error) {
    stream.destroy(sent);
    throw withFiberStack(sent, writeSync);
  }
  if (sent === 0) return chunk;
  return sent === bytes.length ? nothing : bytes.subarray(sent);
}

function bytesOf(chunk: unknown, encoding: BufferEncoding | undefined, stream: Writable): Uint8Array | undefined {
  if (encoding && !Buffer.isEncoding(encoding)) return undefined; // it is for the stream to say so
  if (chunk instanceof Uint8Array) return chunk;
  if (typeof chunk !== "string") return undefined;
  const { defaultEncoding } = (stream as unknown as { _writableState: { defaultEncoding: BufferEncoding } })
    ._writableState;
  const actual = encoding ?? defaultEncoding;
  return Buffer.isEncoding(actual) ? Buffer.from(chunk, actual) : undefined;
}

export function endSync(this: Writable, chunk?: unknown, encoding?: BufferEncoding): void {
  if (!canBlock() && endNow(this, chunk, encoding)) return;
  handOver(this, (done) => end(this, chunk, encoding, done), endSync);
}

function handOver(stream: Writable, start: (done: Done) => void, entry: (...args: never[]) => unknown): void {
  try {
    keepErrors(stream);
    block<void>((waiter) => start(waiter.callback));
  } catch (error) {
    noteGone(stream, error);
    throw withFiberStack(error, entry);
  }
}

function pipelineSync(...args: unknown[]): unknown {
  const options = isPipelineOptions(args.at(-1)) ? (args.pop() as PipelineOptions) : {};
  const { signal } = options;
  if (signal !== undefined) checkLimit({ signal }, "options");
  try {
    return block((waiter) => {
      const controller = new AbortController();
      const lift = signal && whenAborted(signal, () => controller.abort(signal.reason));
      const run = stream.promises.pipeline as (...args: unknown[]) => Promise<unknown>;
      waiter.follow(run(...args, { ...options, signal: controller.signal }).finally(lift));
      return () => controller.abort();
    });
  } catch (error) {
    for (const stream of args.flat()) noteGone(stream, error);
    throw withFiberStack(error, pipelineSync);
  }
}

/** As Node tells them from a last stream. */
function isPipelineOptions(last: unknown): boolean {
  if (typeof last !== "object" || last === null) return false;
  const streamLike = [
    "pipe",
    "write",
    "on",
    "getReader",
    "getWriter",
    "readable",
    Symbol.iterator,
    Symbol.asyncIterator,
  ];
  return !streamLike.some((name) => name in last);
}

export const streamPatch: ModulePatch = {
  name: "stream",
  apply(define) {
    // Sockets, HTTP's and HTTP/2's messages and all others have it from here.
    const hold = (one: stream.Stream, event: unknown) => (event === "data" ? holdFlow(one as Readable) : undefined);
    listenInFibers(define, stream.Stream.prototype, inOrder, hold);
    define.add(stream, "pipelineSync", pipelineSync);
    define.add(Readable.prototype, "readSync", readSync);
    define.add(Readable.prototype, "chunksSync", chunksSync);
    define.add(Readable.prototype, "textSync", textSync);
    // Duplex has Writable's methods by copy, and http's outgoing messages are no Writables.
    for (const { prototype } of [Writable, Duplex, OutgoingMessage]) {
      define.add(prototype, "writeSync", writeSync);
      define.add(prototype, "endSync", endSync);
    }
  },
};

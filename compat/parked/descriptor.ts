// Streams of this thread that can be read and written out of a fiber all the same: behind them is a descriptor, which
// needs no event loop. Those of files, standard input and output, child processes' pipes, and connected sockets.
import fs = require("node:fs");

import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";

import type { Reading } from "../../runtime/park/operations/streams";
import { poll } from "../../runtime/park/poll";

// As they were before anybody patched them.
const node = { close: fs.closeSync, open: fs.openSync, read: fs.readSync, write: fs.writeSync };

const SIZE = 64 * 1024;

/** What there is in a file's stream beside that which is declared. */
type FileStream = (fs.ReadStream | fs.WriteStream) & {
  fd: number | null;
  readonly flags: string;
  readonly mode?: number;
  readonly end?: number;
  pos?: number;
  bytesRead: number;
  bytesWritten: number;
};
type PlainSocket = Socket & {
  readonly _handle: { readonly fd?: number } | null;
  readonly parser?: unknown;
};
type State = { reading: boolean; ended: boolean; constructed: boolean };

function stateOf(stream: Readable): State {
  return (stream as unknown as { _readableState: State })._readableState;
}

function isFile(stream: unknown): stream is FileStream {
  return stream instanceof fs.ReadStream || stream instanceof fs.WriteStream;
}

/** The descriptor of a stream that can do without the event loop; of a file, it is opened if it is not yet. */
function descriptorOf(stream: Readable | Writable): number | null {
  if (stream.destroyed) return null;
  if (isFile(stream)) return stream.fd ?? open(stream);
  if (stream.constructor.name === "SyncWriteStream") return (stream as Writable & { fd: number }).fd; // output to a file
  if (!(stream instanceof Socket) || stream.connecting || "encrypted" in stream) return null;
  const { _handle: handle, parser } = stream as PlainSocket;
  const isHttp = parser !== undefined && parser !== null; // whose parser takes the bytes
  return !isHttp && typeof handle?.fd === "number" && handle.fd >= 0 ? handle.fd : null;
}

/** Node may be about to open it, or have begun to: what comes of that is closed. */
function open(stream: FileStream): number {
  let fd: number | null = openNow(stream);
  Object.defineProperty(stream, "fd", {
    configurable: true,
    enumerable: true,
    get: () => fd,
    set(later: number | null) {
      if (later === null) fd = null;
      else if (fd !== null && later !== fd) node.close(later);
    },
  });
  return fd;
}

function openNow(stream: FileStream): number {
  try {
    return node.open(stream.path, stream.flags, stream.mode);
  } catch (error) {
    (stream as Writable).on("error", () => {}); // Node will find out, too
    throw error;
  }
}

/** Reads for a stream. */
export class Descriptor {
  readonly #stream: Readable;
  readonly #fd: number;

  /** Null if there is no descriptor, or Node is reading from it. */
  static of(stream: Readable): Descriptor | null {
    const busy = isFile(stream) && stateOf(stream).reading;
    const fd = busy || !stream.readable ? null : descriptorOf(stream);
    return fd === null ? null : new Descriptor(stream, fd);
  }

  private constructor(stream: Readable, fd: number) {
    this.#stream = stream;
    this.#fd = fd;
  }

  carryOut<T>(reading: Reading<T>): T {
    let step = this.quietly(() => reading.next());
    while (!step.done) {
      const more = this.pull() || this.#stream.readableLength > 0;
      step = this.quietly(() => reading.next(more ? undefined : null));
    }
    return step.value;
  }

  /** Calls what takes data out of the stream's buffer, so that Node does not begin to read. */
  quietly<T>(fn: () => T): T {
    const state = stateOf(this.#stream);
    const before = state.reading;
    state.reading = true;
    try {
      return fn();
    } finally {
      state.reading = before;
    }
  }

  /**
   * Waits for more, and puts it into the stream's buffer. False at the end.
   * @param total what a Timeout tells, where `ms` is only what is left of it
   * @throws what reading fails with; Timeout after `ms` milliseconds
   */
  pull(ms = Number.POSITIVE_INFINITY, total = ms): boolean {
    const stream = this.#stream;
    const chunk = stateOf(stream).ended ? null : poll(ms, () => this.#read(), total);
    if (chunk !== null) stream.push(chunk);
    else {
      stream.push(null);
      if (stream.readableLength === 0) stream.read(0); // emits "end", when the event loop turns
    }
    return chunk !== null;
  }

  #read(): Buffer | null | undefined {
    const stream = this.#stream as unknown as FileStream;
    const { pos, end = Number.POSITIVE_INFINITY } = isFile(stream) ? stream : ({} as FileStream);
    const size = pos === undefined ? SIZE : Math.min(SIZE, end - pos + 1);
    if (size <= 0) return null;
    const bytes = Buffer.allocUnsafeSlow(size);
    const count = atOnce(() => node.read(this.#fd, bytes, 0, size, pos ?? null));
    if (count === undefined) return undefined;
    if (isFile(stream)) {
      stream.bytesRead += count;
      if (pos !== undefined) stream.pos = pos + count;
    }
    return count === 0 ? null : bytes.subarray(0, count);
  }
}

/** What a call comes to; undefined if it would have to wait. */
function atOnce<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EOF") return 0 as T; // on Windows
    if (code === "EAGAIN") return undefined;
    throw error;
  }
}

/** Ends a file's stream, after a chunk if there is one. False, and nothing has happened, if that needs the event loop. */
export function endNow(stream: Writable, chunk: unknown, encoding?: BufferEncoding): boolean {
  if (!isFile(stream)) return false;
  if (stream.writableEnded && stream.writableLength === 0 && chunk == null) return true;
  if (!writeAll(stream, chunk ?? "", encoding)) return false;
  stream.end(); // all is written: it only remains to be closed
  return true;
}

/** Writes all of a chunk. False, and nothing is written, if that needs the event loop. */
export function writeAll(stream: Writable, chunk: unknown, encoding?: BufferEncoding): boolean {
  if (stream.writableLength > 0 || !stream.writable || stream.writableCorked > 0) return false;
  const isText = typeof chunk === "string";
  if (!isText && !(chunk instanceof Uint8Array)) return false;
  const fd = descriptorOf(stream);
  if (fd === null) return false;
  const bytes = isText ? Buffer.from(chunk, encoding) : chunk;
  for (let done = 0; done < bytes.length; ) {
    const { pos } = isFile(stream) ? stream : ({} as FileStream);
    const offset = done;
    const count = poll(Number.POSITIVE_INFINITY, () =>
      atOnce(() => node.write(fd, bytes, offset, bytes.length - offset, pos ?? null)),
    );
    done += count;
    if (!isFile(stream)) continue;
    stream.bytesWritten += count;
    if (pos !== undefined) stream.pos = pos + count;
  }
  return true;
}

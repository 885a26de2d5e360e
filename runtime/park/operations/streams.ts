// Reading and writing streams a step at a time, whoever waits between the steps: a fiber (compat/stream.ts), or a
// promise in the park worker (net.ts).
import type { EventEmitter } from "node:events";
import { Socket } from "node:net";
import type { Readable, Writable } from "node:stream";

import { Hidden } from "../../hidden";

export type Chunk = Buffer | string;

/** What a reading waits for: more in the stream's buffer; the next chunk, which it may be given; or all there will be. */
export const enum Want {
  More,
  Chunk,
  All,
}

/** Yields what it wants when it needs more data than there is: see `DataListener`. Null tells that there is no more. */
export type Reading<T> = Generator<Want, T, Chunk | null | undefined>;

/** Called once, with the error if there is one. */
export type Done = (error?: Error | null) => void;

type Listeners = Record<string, (...args: never[]) => void>;

/** Adds listeners by event. The returned function takes them back. */
export function heed(emitter: EventEmitter, listeners: Listeners): () => void {
  for (const event in listeners) emitter.on(event, listeners[event] as never);
  return () => {
    for (const event in listeners) emitter.off(event, listeners[event] as never);
  };
}

export function prematureClose(): Error {
  return Object.assign(new Error("Premature close"), { code: "ERR_STREAM_PREMATURE_CLOSE" });
}

export function streamDestroyed(method: string): Error {
  const error = new Error(`Cannot call ${method} after a stream was destroyed`);
  return Object.assign(error, { code: "ERR_STREAM_DESTROYED" });
}

export function timedOut(syscall: string): Error {
  return Object.assign(new Error(`${syscall} ETIMEDOUT`), { code: "ETIMEDOUT", syscall });
}

/** The next chunk, or `size` bytes of it; null at the end. With `all`, the chunk is all that is to come, if it can be. */
export function* readChunk(stream: Readable, size?: number, all = false): Reading<Chunk | null> {
  const count = stream.readableObjectMode ? undefined : size;
  // Asked for nothing, a stream never has it.
  if (count === 0) return stream.readableEncoding === null ? Buffer.alloc(0) : "";
  for (;;) {
    const chunk = stream.read(count);
    if (chunk !== null) return chunk;
    if (stream.errored) throw stream.errored;
    if (stream.readableEnded) return null;
    if (stream.destroyed || stream.closed) throw prematureClose();
    const given = yield count === undefined ? (all ? Want.All : Want.Chunk) : Want.More;
    if (given !== undefined) return given;
  }
}

/** The next line, without its newline; null at the end. Left early, it puts back what it has taken. */
export function* readLine(stream: Readable, encoding: BufferEncoding): Reading<string | null> {
  const pieces: Chunk[] = [];
  let whole = false;
  try {
    for (;;) {
      const chunk = yield* readChunk(stream);
      if (chunk === null) {
        whole = true;
        return pieces.length === 0 ? null : joined(pieces).toString(encoding);
      }
      const newline = chunk.indexOf("\n");
      if (newline < 0) {
        pieces.push(chunk);
        continue;
      }
      pieces.push(part(chunk, 0, newline));
      whole = true;
      if (newline + 1 < chunk.length) putBack(stream, [part(chunk, newline + 1)]);
      const line = joined(pieces).toString(encoding);
      return line.endsWith("\r") ? line.slice(0, -1) : line;
    }
  } finally {
    if (!whole) putBack(stream, pieces);
  }
}

/** All that is still to come, as text. Left early, it puts back what it has taken. */
export function* readText(stream: Readable, encoding: BufferEncoding): Reading<string> {
  return (yield* readAll(stream)).toString(encoding);
}

/** All that is still to come. Left early, it puts back what it has taken. */
export function* readAll(stream: Readable): Reading<Chunk> {
  const pieces: Chunk[] = [];
  let whole = false;
  try {
    for (;;) {
      const chunk = yield* readChunk(stream, undefined, true);
      if (chunk === null) break;
      pieces.push(chunk);
    }
    whole = true;
    return joined(pieces);
  } finally {
    if (!whole) putBack(stream, pieces);
  }
}

function part(chunk: Chunk, start: number, end?: number): Chunk {
  return typeof chunk === "string" ? chunk.slice(start, end) : chunk.subarray(start, end);
}

function joined(pieces: Chunk[]): Chunk {
  if (pieces.every((piece) => typeof piece === "string")) return pieces.join("");
  if (pieces.length === 1 && Buffer.isBuffer(pieces[0])) return pieces[0];
  return Buffer.concat(pieces.map((piece) => (typeof piece === "string" ? Buffer.from(piece) : piece)));
}

/** Gives a stream back what was taken from it. */
export function putBack(stream: Readable, pieces: Chunk[]): void {
  if (pieces.length === 0 || stream.destroyed || stream.readableEnded) return;
  stream.unshift(joined(pieces), stream.readableEncoding ?? undefined);
}

const keepsErrors = new Hidden<Socket, true>();

/**
 * For sockets in blocking use: what happens between two calls is told by the next call, so that a peer that goes away
 * in between does not bring the process down.
 */
export function keepErrors(stream: object): void {
  if (!(stream instanceof Socket) || keepsErrors.get(stream)) return;
  keepsErrors.set(stream, true);
  stream.on("error", () => {});
}

/** A socket's own timeout, if it has one, is counted from now. */
function startTimeout(stream: object): void {
  if (stream instanceof Socket && stream.timeout) stream.setTimeout(stream.timeout);
}

/** Whether the program itself has paused a stream, whatever `readableFlowing` was set to besides. */
export function isPausedByProgram(stream: Flow): boolean {
  const before = stream.readableFlowing;
  stream.readableFlowing = true;
  const paused = stream.isPaused();
  stream.readableFlowing = before;
  return paused;
}

/** Node lets `readableFlowing` be set: without the events, and the delay, of `pause` and `resume`. */
export type Flow = Omit<Readable, "readableFlowing"> & { readableFlowing: boolean | null };

/**
 * Waits for a `Reading` each time it has yielded. It listens all the time from the first to the last: a listener for
 * "readable" that is new makes the stream tell at once, again and again, of data that the reading has found too little.
 */
export class DataListener {
  /** Whether it lets the stream flow while somebody waits, so that a chunk comes at once: with a "data" event. */
  readonly byChunk: boolean;
  readonly #stream: Flow;
  readonly #stop: () => void;
  /** What was to be seen of the stream's flow before. */
  readonly #flowing: boolean | null;
  #done: ((error?: Error | null, chunk?: Chunk) => void) | null = null;
  #all = false;
  /** Chunks on their way to who wants all of them. */
  #pieces: Chunk[] = [];
  #failure: Error | null = null;

  constructor(stream: Readable, byChunk = false) {
    this.byChunk = byChunk;
    this.#stream = stream as Flow;
    this.#flowing = stream.readableFlowing;
    const more = () => this.#settle();
    const data = (chunk: Chunk) => {
      if (this.#done === null) return; // it is being read
      if (this.#all) this.#pieces.push(chunk);
      else this.#settle(chunk);
    };
    if (byChunk) this.#stream.readableFlowing = false; // or the listener would make it flow
    const fail = (error: Error) => this.#fail(error);
    const listeners: Listeners = { end: more, close: more, error: fail };
    if (byChunk) listeners.data = data;
    else listeners.readable = more;
    if (stream instanceof Socket) listeners.timeout = () => this.#done && this.#fail(timedOut("read"));
    this.#stop = heed(stream, listeners);
  }

  /** Calls `done` when there may be more to read, or with an error, or with the chunk that has come, or all of them. */
  wait(want: Want, done: (error?: Error | null, chunk?: Chunk) => void): void {
    this.#done = done;
    this.#all = want === Want.All;
    startTimeout(this.#stream);
    if (this.#failure !== null) this.#settle();
    else if (this.byChunk) this.#stream.readableFlowing = true;
  }

  stop(): void {
    const waited = this.#done !== null;
    this.#done = null;
    this.#stop();
    if (!this.byChunk) return;
    const stream = this.#stream;
    putBack(stream as Readable, this.#pieces);
    if (!waited && stream.readableFlowing !== false) return; // the program has resumed it
    stream.readableFlowing = isPausedByProgram(stream) ? false : this.#flowing;
    // A listener that was added meanwhile found it paused, and did not make it flow.
    if (stream.readableFlowing === null && stream.listenerCount("data") > 0) stream.resume();
  }

  #fail(error: Error): void {
    this.#failure = error;
    this.#settle();
  }

  #settle(chunk?: Chunk): void {
    const done = this.#done;
    if (done === null) return;
    this.#done = null;
    if (this.byChunk) this.#stream.readableFlowing = false;
    const pieces = this.#pieces;
    this.#pieces = [];
    if (this.#failure !== null) putBack(this.#stream as Readable, pieces);
    done(this.#failure, pieces.length === 0 ? chunk : joined(pieces));
  }
}

/** Writes a chunk; done when the stream has handed it on (for a socket: the kernel has it). */
export function write(stream: Writable, chunk: unknown, encoding: BufferEncoding | undefined, done: Done): void {
  if (stream.destroyed) throw stream.errored ?? streamDestroyed("write");
  const handOver = (callback: Done) => stream.write(chunk, encoding as BufferEncoding, callback);
  const taken = () => !stream.errored && stream.writable && stream.writableLength === 0 && !discards(stream);
  hand(stream, handOver, taken, done);
}

/** An HTTP message whose socket is gone throws away what it is given, and tells nobody until it emits "close". */
function discards(stream: Writable & { socket?: Socket | null }): boolean {
  return stream.socket?.destroyed === true;
}

/** Ends the stream, after a chunk if there is one; done when all is flushed. */
export function end(stream: Writable, chunk: unknown, encoding: BufferEncoding | undefined, done: Done): void {
  if (stream.writableFinished && chunk == null) {
    done();
    return;
  }
  if (stream.destroyed) throw stream.errored ?? streamDestroyed("end");
  const handOver = (callback: Done) => stream.end(chunk, encoding as BufferEncoding, callback);
  hand(stream, handOver, () => stream.writableFinished, done);
}

/** @param finished whether nothing is left to wait for, once it was handed over */
function hand(stream: Writable, handOver: (callback: Done) => void, finished: () => boolean, done: Done): void {
  let over = false;
  const finish: Done = (error) => {
    if (over) return;
    over = true;
    done(error);
  };
  // Mostly there is nothing to watch: it is done at once. But not where an error is certain.
  let guard = stream.writable ? null : Guard.of(stream).add(finish);
  handOver((error) => {
    // A socket that was destroyed under a write calls that a success.
    const cut = stream.destroyed && !stream.writableFinished ? (stream.errored ?? streamDestroyed("write")) : null;
    const failure = error ?? cut;
    guard?.remove(finish, failure !== null);
    finish(failure);
  });
  if (finished()) finish();
  if (!over) guard ??= Guard.of(stream).add(finish);
}

const guards = new Hidden<Writable, Guard>();

/**
 * Watches a stream that has been handed something. An error is told to the callback of the write and also emitted,
 * before or after; and some streams (HTTP messages) only say "close" and never call. One set of listeners serves any
 * number of writes.
 */
class Guard {
  readonly #stream: Writable;
  readonly #pending = new Set<Done>();
  #stop: (() => void) | null = null;

  static of(stream: Writable): Guard {
    let guard = guards.get(stream);
    if (!guard) guards.set(stream, (guard = new Guard(stream)));
    return guard;
  }

  constructor(stream: Writable) {
    this.#stream = stream;
  }

  add(done: Done): this {
    this.#pending.add(done);
    this.#stop ??= heed(this.#stream, {
      error: (error: Error) => this.#end(error),
      close: () => this.#end(this.#stream.errored ?? prematureClose()),
      ...(this.#stream instanceof Socket && { timeout: () => this.#tell(timedOut("write")) }),
    });
    startTimeout(this.#stream);
    return this;
  }

  /** @param failed with an error that may be yet to be emitted: somebody has to listen until then */
  remove(done: Done, failed: boolean): void {
    this.#pending.delete(done);
    if (this.#pending.size === 0 && !failed) this.#unlisten();
  }

  #end(error: Error): void {
    this.#unlisten();
    this.#tell(error);
  }

  #tell(error: Error): void {
    const pending = [...this.#pending];
    this.#pending.clear();
    for (const done of pending) done(error);
  }

  #unlisten(): void {
    this.#stop?.();
    this.#stop = null;
  }
}

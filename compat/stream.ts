// stream: reading and writing in blocking style. What is added to Readable and Writable is there for every socket, file
// stream, HTTP message and pipe.
import { Readable, Writable } from "node:stream";
import { block } from "../runtime/block";
import { invalidArgument } from "../runtime/errors";
import type { ModulePatch } from "./patching";

declare module "stream" {
  interface Readable {
    /**
     * The next chunk, or `size` bytes where the stream has an encoding-free byte mode; null at the end. Suspends the
     * fiber until there is one. (Like `read()`, fewer than `size` bytes come at the end of the stream.)
     * @throws what the stream's "error" event would bring; ERR_STREAM_PREMATURE_CLOSE if it closed without an end
     */
    readSync(size?: number): Buffer | string | null;
    /** The chunks until the end, each waited for. Leaving the loop early destroys the stream, as `for await` does. */
    chunksSync(): Generator<Buffer | string, void, undefined>;
    /** All that is still to come, as text. */
    textSync(encoding?: BufferEncoding): string;
  }
  interface Writable {
    /**
     * Writes, and suspends the fiber until the stream has taken the chunk over (for a socket: the kernel has it).
     * @throws the error of this write
     */
    writeSync(chunk: string | Uint8Array, encoding?: BufferEncoding): void;
    /** Ends the stream, after a last chunk if one is given, and waits until all is flushed. */
    endSync(chunk?: string | Uint8Array, encoding?: BufferEncoding): void;
  }
}

function prematureClose(): Error {
  return Object.assign(new Error("Premature close"), { code: "ERR_STREAM_PREMATURE_CLOSE" });
}

/** Suspends until one of the events, or an error; takes its listeners back in any case. */
function untilEvent(stream: Readable | Writable, events: string[]): void {
  block<void>((waiter) => {
    const done = () => {
      stop();
      waiter.resolve();
    };
    const failed = (error: Error) => {
      stop();
      waiter.reject(error);
    };
    const stop = () => {
      for (const event of events) stream.off(event, done);
      stream.off("error", failed);
    };
    for (const event of events) stream.on(event, done);
    stream.on("error", failed);
    return stop;
  });
}

function readSync(this: Readable, size?: number): Buffer | string | null {
  for (;;) {
    const chunk = this.read(size);
    if (chunk !== null) return chunk;
    if (this.errored) throw this.errored;
    if (this.readableEnded) return null;
    if (this.destroyed) throw prematureClose();
    untilEvent(this, ["readable", "end", "close"]);
  }
}

function* chunksSync(this: Readable): Generator<Buffer | string, void, undefined> {
  let ended = false;
  try {
    for (let chunk = readSync.call(this); chunk !== null; chunk = readSync.call(this)) yield chunk;
    ended = true;
  } finally {
    if (!ended) this.destroy();
  }
}

function textSync(this: Readable, encoding: BufferEncoding = "utf8"): string {
  if (!Buffer.isEncoding(encoding)) throw invalidArgument("encoding", "a known encoding", encoding);
  const pieces: Buffer[] = [];
  for (let chunk = readSync.call(this); chunk !== null; chunk = readSync.call(this)) {
    pieces.push(typeof chunk === "string" ? Buffer.from(chunk, this.readableEncoding ?? encoding) : chunk);
  }
  return Buffer.concat(pieces).toString(encoding);
}

function writeSync(this: Writable, chunk: string | Uint8Array, encoding?: BufferEncoding): void {
  finish(this, (done) => this.write(chunk, encoding as BufferEncoding, done));
}

function endSync(this: Writable, chunk?: string | Uint8Array, encoding?: BufferEncoding): void {
  finish(this, (done) => this.end(chunk, encoding as BufferEncoding, done));
}

function finish(stream: Writable, operation: (done: (error?: Error | null) => void) => void): void {
  block<void>((waiter) => {
    // An error of a write is also emitted, after its callback: nobody else need listen for it.
    const ignore = () => {};
    stream.on("error", ignore);
    const stop = () => void setImmediate(() => stream.off("error", ignore));
    operation((error) => {
      stop();
      if (error) waiter.reject(error);
      else waiter.resolve();
    });
    if (!stream.errored && stream.writable && stream.writableLength === 0) waiter.resolve(); // all taken at once
    return stop;
  });
}

export const streamPatch: ModulePatch = {
  name: "stream",
  apply(define) {
    define.add(Readable.prototype, "readSync", readSync);
    define.add(Readable.prototype, "chunksSync", chunksSync);
    define.add(Readable.prototype, "textSync", textSync);
    define.add(Writable.prototype, "writeSync", writeSync);
    define.add(Writable.prototype, "endSync", endSync);
    // Duplex has Writable's methods by copy, and http's outgoing messages are no Writables.
    for (const writable of [require("node:stream").Duplex, require("node:http").OutgoingMessage]) {
      define.add(writable.prototype, "writeSync", writeSync);
      define.add(writable.prototype, "endSync", endSync);
    }
  },
};

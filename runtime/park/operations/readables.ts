// Streams in the park worker: whatever they belong to, they are read, written and let go of in the same way.
import type { Duplex, Readable } from "node:stream";
import { held, letGo } from "./held";
import { type Patience, promised } from "./patience";
import { type Chunk, DataListener, end, type Reading, readAll, readChunk, readLine, readText, write } from "./streams";

async function carryOut<T>(patience: Patience, stream: Readable, reading: Reading<T>): Promise<T> {
  let step = reading.next();
  if (step.done) return step.value;
  const data = new DataListener(stream);
  try {
    while (!step.done) {
      const want = step.value;
      await promised<void>(patience, (_, done) => data.wait(want, done));
      step = reading.next();
    }
    return step.value;
  } finally {
    data.stop();
    reading.return(undefined as T);
  }
}

export const operations = {
  "stream.read"(patience: Patience, handle: number, size?: number): Promise<Chunk | null> {
    const stream = held<Readable>(handle);
    return carryOut(patience, stream, readChunk(stream, size));
  },

  "stream.readLine"(patience: Patience, handle: number, encoding: BufferEncoding): Promise<string | null> {
    const stream = held<Readable>(handle);
    return carryOut(patience, stream, readLine(stream, encoding));
  },

  "stream.readText"(patience: Patience, handle: number, encoding: BufferEncoding): Promise<string> {
    const stream = held<Readable>(handle);
    return carryOut(patience, stream, readText(stream, encoding));
  },

  "stream.readAll"(patience: Patience, handle: number): Promise<Chunk> {
    const stream = held<Readable>(handle);
    return carryOut(patience, stream, readAll(stream));
  },

  "stream.write"(patience: Patience, handle: number, chunk: unknown, encoding?: BufferEncoding): Promise<void> {
    return promised(patience, (_, done) => write(held<Duplex>(handle), chunk, encoding, done));
  },

  "stream.end"(patience: Patience, handle: number, chunk?: unknown, encoding?: BufferEncoding): Promise<void> {
    return promised(patience, (_, done) => end(held<Duplex>(handle), chunk, encoding, done));
  },

  /** Whether a stream is of no more use. */
  "stream.gone"(_patience: Patience, handle: number): boolean {
    try {
      return held<Readable>(handle).destroyed;
    } catch {
      return true;
    }
  },

  "stream.destroy"(_patience: Patience, handle: number): void {
    letGo<Readable>(handle)?.destroy();
  },
};

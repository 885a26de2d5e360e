// Fibers that read a stream, one at a time.
import type { Readable } from "node:stream";

import { block, withFiberStack } from "../runtime/block";
import { canBlock } from "../runtime/coroutine";
import { Hidden } from "../runtime/hidden";
import { schedule } from "../runtime/hub";
import {
  type Chunk,
  DataListener,
  keepErrors,
  putBack,
  type Reading,
  readChunk,
  Want,
} from "../runtime/park/operations/streams";
import { Semaphore } from "../runtime/sync/semaphore";
import { noteGone } from "./clients";
import { type DirectSocket, directly } from "./direct-socket";
import { Descriptor } from "./parked/descriptor";

/** Whether nobody else takes a stream's data. */
function isLeftAlone(stream: Readable): boolean {
  return (
    stream.readableFlowing !== true && stream.listenerCount("data") === 0 && stream.listenerCount("readable") === 0
  );
}

const sources = new Hidden<Readable, Source>();

class Source {
  readonly #stream: Readable;
  /** One fiber reads, others wait for their turn. */
  readonly #turn = new Semaphore(1);
  /** Kept from one reading to the next, if that follows at once: to add and to remove listeners costs more than to read. */
  #data: DataListener | null = null;
  /** Likewise kept in use. */
  #direct: DirectSocket | null = null;
  #scheduled = false;

  static of(stream: Readable): Source {
    let source = sources.get(stream);
    if (!source) sources.set(stream, (source = new Source(stream)));
    return source;
  }

  constructor(stream: Readable) {
    this.#stream = stream;
    keepErrors(stream);
  }

  carryOut<T>(reading: Reading<T>): T {
    this.#turn.acquire();
    let done = false;
    try {
      const value = this.#carryOut(reading);
      done = true;
      return value;
    } finally {
      if (!done) reading.return(undefined as T);
      this.#leave(done);
    }
  }

  /** Carries out `readChunk`, which there is no need of while a socket's bytes come directly. */
  next(): Chunk | null {
    this.#turn.acquire();
    let done = false;
    try {
      const chunk = this.#isTaken() ? this.#direct?.receive() : undefined;
      const value = chunk ?? this.#carryOut(readChunk(this.#stream));
      done = true;
      return value;
    } finally {
      this.#leave(done);
    }
  }

  #carryOut<T>(reading: Reading<T>): T {
    const parked = canBlock() ? null : this.#descriptor();
    return parked === null ? this.#suspending(reading) : parked.carryOut(reading);
  }

  /** Whether the next chunk can but come directly. A listener for the stream's data would have ended that. */
  #isTaken(): boolean {
    const stream = this.#stream;
    const taken = this.#direct?.taken === true && this.#direct.canReceive && canBlock();
    return taken && stream.readableFlowing !== true && stream.readableLength === 0;
  }

  #suspending<T>(reading: Reading<T>): T {
    let step = reading.next();
    while (!step.done) step = reading.next(this.#wait(step.value));
    return step.value;
  }

  /** What it can be read from without the event loop. */
  #descriptor(): Descriptor | null {
    return this.#stream.readableFlowing === true ? null : Descriptor.of(this.#stream);
  }

  #wait(want: Want): Chunk | undefined {
    if (this.#canReceive()) {
      const chunk = this.#receive(want);
      if (chunk !== null) return chunk;
    }
    return block<Chunk | undefined>((waiter) => {
      const byChunk = want !== Want.More && (this.#data?.byChunk || isLeftAlone(this.#stream));
      if (this.#data?.byChunk !== byChunk) this.#stop();
      const data = (this.#data ??= new DataListener(this.#stream, byChunk));
      waiter.discard = (chunk) => chunk !== undefined && putBack(this.#stream, [chunk]);
      data.wait(want, (error, chunk) => (error ? waiter.reject(error) : waiter.resolve(chunk)));
      return () => this.#stop();
    });
  }

  /** Whether it is a socket that is nobody else's. */
  #canReceive(): boolean {
    this.#direct = directly(this.#stream);
    return this.#data === null && this.#direct?.canReceive === true && isLeftAlone(this.#stream);
  }

  /** A chunk; undefined if there is something for the reading to look at; null if the stream has something to tell. */
  #receive(want: Want): Chunk | undefined | null {
    const chunk = (this.#direct as DirectSocket).receive();
    if (chunk === undefined) return this.#stream.destroyed ? undefined : null;
    if (want !== Want.More) return chunk;
    this.#stream.push(chunk);
    return undefined;
  }

  #stop(): void {
    this.#data?.stop();
    this.#data = null;
    this.#direct?.leave();
  }

  #leave(done: boolean): void {
    if (!done || this.#data?.byChunk === false) this.#stop();
    this.#turn.release();
    if (this.#scheduled || (this.#data === null && !this.#direct?.taken)) return;
    this.#scheduled = true;
    schedule(this);
  }

  /** On the hub, when the fiber that has read does something else. */
  run(): void {
    this.#scheduled = false;
    if (!this.#turn.locked) this.#stop();
  }
}

/**
 * Carries a reading out in the running fiber. Out of a fiber, the thread sleeps if the stream can do without the event loop
 * (parked/descriptor.ts); else it succeeds as far as the data is there already.
 */
export function carryOut<T>(stream: Readable, reading: Reading<T>, entry: (...args: never[]) => unknown): T {
  try {
    return Source.of(stream).carryOut(reading);
  } catch (error) {
    noteGone(stream, error);
    throw withFiberStack(error, entry);
  }
}

/** The same for `readChunk`. */
export function nextChunk(stream: Readable, entry: (...args: never[]) => unknown): Chunk | null {
  try {
    return Source.of(stream).next();
  } catch (error) {
    noteGone(stream, error);
    throw withFiberStack(error, entry);
  }
}

// What a response comes to, on its way to the scheduler.
import type { Output, ResponseHead } from "../protocol";
import type { Link } from "./link";

/** Longer text is made bytes here, not on the one thread that all responses go through. */
const LONGEST_TEXT = 4096;

export class Outbound {
  readonly #link: Link;
  #output: Output | null = null;
  #held = false;
  #closed = false;
  /** Bytes, modulo 2^32. */
  #sent = 0;
  #whenRoom: (() => void) | null = null;

  constructor(link: Link) {
    this.#link = link;
  }

  informational(text: string): void {
    this.#open().informational += text;
    this.#flush();
  }

  /** Goes with what follows it. */
  head(head: ResponseHead): void {
    this.#open().head = head;
  }

  /** @param done called when there is room for more, at once or later */
  write(chunks: readonly { chunk: Buffer | string; encoding: BufferEncoding }[], done: () => void): void {
    const output = this.#open();
    for (const { chunk, encoding } of chunks) {
      if (chunk.length === 0) continue;
      const isShortText = typeof chunk === "string" && chunk.length <= LONGEST_TEXT && isUtf8(encoding);
      const part = isShortText ? chunk : typeof chunk === "string" ? Buffer.from(chunk, encoding) : copyOf(chunk);
      output.chunks.push(part);
      this.#sent = (this.#sent + Buffer.byteLength(part)) | 0;
    }
    this.#flush();
    this.#whenRoom = done;
    // At the end there is nothing to hold back, and a client that reads slowly need not hold the thread.
    if (this.#held) this.#taken();
    else this.roomMayBe();
  }

  /** There may be room by now. */
  roomMayBe(): void {
    if (this.#whenRoom !== null && this.#link.hasRoom(this.#sent)) this.#taken();
  }

  #taken(): void {
    const done = this.#whenRoom;
    this.#whenRoom = null;
    done?.();
  }

  end(trailers: string): void {
    this.#open().end = trailers;
    this.#flush();
  }

  /** Sends what `fn` brings, up to the end of the response, in one message. */
  together(fn: () => void): void {
    this.#held = true;
    try {
      fn();
    } finally {
      this.#held = false;
      this.#flush();
    }
  }

  /** Nobody is there to take any more. */
  close(): void {
    this.#closed = true;
  }

  #open(): Output {
    return (this.#output ??= { type: "output", informational: "", head: null, chunks: [], end: null });
  }

  #flush(): void {
    if (this.#held || this.#output === null) return;
    const output = this.#output;
    this.#output = null;
    if (this.#closed) return;
    const transfer: ArrayBuffer[] = [];
    output.chunks = output.chunks.map((chunk) => {
      if (typeof chunk === "string") return chunk;
      const whole = chunk.byteLength === chunk.buffer.byteLength ? chunk : copyOf(chunk);
      transfer.push(whole.buffer as ArrayBuffer);
      return whole;
    });
    this.#link.post(output, transfer);
  }
}

/** Of its own, to be handed over: the app may use its bytes again. */
function copyOf(bytes: Uint8Array): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes);
}

function isUtf8(encoding: string): boolean {
  return encoding === undefined || encoding === "utf8" || encoding === "utf-8";
}

// A response to an HTTP request for code out of fibers: the real one lives in the park worker, this one holds its handle.
import http = require("node:http");
import net = require("node:net");

import { parkedObject } from "../../runtime/errors";
import type { Head, Trailers } from "../../runtime/park/operations/http";
import { newHandle, park, parkRelease } from "../../runtime/park/park";
import { checkEncoding, checkSize } from "../stream";
import { describe } from "./socket";

/** Lets go of the real responses of those that became garbage. */
const handles = new FinalizationRegistry<number>((handle) => parkRelease("stream.destroy", handle));

/**
 * Its body can be read in blocking style. In the asynchronous ways too, but then the thread sleeps until the next piece of
 * it has come.
 */
export class ParkedMessage extends http.IncomingMessage {
  readonly #handle = newHandle();
  /** Its last byte has been put into the buffer here. */
  #whole = false;

  /** @param open sends the request in the worker, which holds the response by that handle */
  constructor(open: (handle: number) => Head) {
    super(new net.Socket());
    const { ends, headersDistinct, ...head } = open(this.#handle);
    describe(this.socket, ends);
    Object.assign(this, head);
    (this as Partial<http.IncomingMessage>).headersDistinct = bare(headersDistinct);
    withoutReadingAhead(this);
    this.on("error", () => {}); // the next blocking call tells it
    handles.register(this, this.#handle, this);
  }

  override readSync(size?: number): Buffer | string | null {
    checkSize(size);
    if (size === 0) return this.readableEncoding === null ? Buffer.alloc(0) : "";
    while (!this.#whole && this.readableLength < (size ?? 1)) this.#fetch();
    return this.#take(size);
  }

  override textSync(encoding: BufferEncoding = "utf8"): string {
    checkEncoding(encoding);
    if (!this.#whole) this.#fetchAll();
    const rest = this.#take();
    return rest === null ? "" : rest.toString(encoding);
  }

  #take(size?: number): Buffer | string | null {
    const data = super.read(size);
    if (data === null && this.errored) throw this.errored;
    return data;
  }

  #fetch(): void {
    this.#check();
    const chunk = this.#try(() => park<Buffer | null>("stream.read", this.#handle));
    if (chunk === null) this.#finish();
    else this.push(chunk);
  }

  #fetchAll(): void {
    this.#check();
    this.push(this.#try(() => park<Buffer>("stream.readAll", this.#handle)));
    this.#finish();
  }

  #finish(): void {
    const { trailersDistinct, ...rest } = this.#try(() => park<Trailers>("http.trailers", this.#handle));
    Object.assign(this, rest);
    (this as Partial<http.IncomingMessage>).trailersDistinct = bare(trailersDistinct);
    this.#whole = true;
    this.push(null);
    handles.unregister(this);
  }

  #check(): void {
    if (this.errored) throw this.errored;
    if (!this.destroyed) return;
    throw Object.assign(new Error("Premature close"), { code: "ERR_STREAM_PREMATURE_CLOSE" });
  }

  #try<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      this.destroy(error as Error);
      throw error;
    }
  }

  /** To find out whether there is more, Node asks for nothing; here that would have the thread sleep. */
  override read(size?: number): Buffer | string | null {
    const isAsynchronous = this.readableFlowing !== null || this.listenerCount("readable") > 0;
    return size === 0 && !isAsynchronous ? null : super.read(size);
  }

  override _read(): void {
    if (this.#whole) return;
    try {
      this.#fetch();
    } catch {
      // It is destroyed with that error.
    }
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    if (!this.#whole) {
      this.aborted = true;
      handles.unregister(this);
      parkRelease("stream.destroy", this.#handle);
    }
    callback(error);
  }

  override setTimeout(): never {
    throw parkedObject("setTimeout()", "readSync, textSync, chunksSync; give the request options.timeout");
  }
}

/** As Node has it: an object without a prototype. */
function bare(headers: unknown): NodeJS.Dict<string[]> {
  return Object.assign(Object.create(null), headers);
}

function withoutReadingAhead(message: http.IncomingMessage): void {
  (message as unknown as { _readableState: { highWaterMark: number } })._readableState.highWaterMark = 0;
}

// A socket for code out of fibers: the real one lives in the park worker, this one holds its handle.
import net = require("node:net");

import { parkedObject } from "../../runtime/errors";
import type { Ends, SocketFigure, SocketMethod } from "../../runtime/park/operations/net";
import { streamDestroyed } from "../../runtime/park/operations/streams";
import { newHandle, park, parkChecked, parkRelease } from "../../runtime/park/park";
import { checkEncoding, checkSize } from "../stream";

/** Lets go of the real sockets of those that became garbage. */
const handles = new FinalizationRegistry<number>((handle) => parkRelease("stream.destroy", handle));

/** Events that this object itself can bring about; what else happens, happens in another thread. */
const ownEvents = new Set<unknown>(["close", "error", "newListener", "removeListener"]);

// biome-ignore lint/suspicious/noExplicitAny: any function
type Listener = (...args: any[]) => void;

export interface ParkedSocketOptions {
  allowHalfOpen?: boolean | undefined;
  timeout?: number | undefined;
}

/** A connected socket that is used by blocking calls only. */
export class ParkedSocket extends net.Socket {
  /** @internal */ readonly ends: Ends;
  readonly #handle = newHandle();
  /** The other side has sent its last byte, and it has been read. */
  #ended = false;
  /** Our side has. */
  #finished = false;
  #failure: unknown = null;
  readonly #figures: Record<SocketFigure, number> = { bytesRead: 0, bytesWritten: 0 };

  /**
   * @param open opens a socket in the worker, to be held by that handle
   */
  constructor(open: (handle: number) => Ends, options: ParkedSocketOptions) {
    super({ allowHalfOpen: options.allowHalfOpen === true });
    this.ends = open(this.#handle);
    Object.defineProperty(this, "ends", { enumerable: false });
    describe(this, this.ends, options.timeout);
    handles.register(this, this.#handle, this);
  }

  /** @internal */
  get handle(): number {
    return this.#handle;
  }

  override readSync(size?: number): Buffer | string | null {
    checkSize(size);
    return this.#read(() => park("stream.read", this.#handle, size));
  }

  override readLineSync(encoding: BufferEncoding = "utf8"): string | null {
    checkEncoding(encoding);
    return this.#read(() => park("stream.readLine", this.#handle, encoding));
  }

  override textSync(encoding: BufferEncoding = "utf8"): string {
    checkEncoding(encoding);
    if (this.#ended) return "";
    this.#check("read");
    const text = this.#use(() => park<string>("stream.readText", this.#handle, encoding));
    this.#end();
    return text;
  }

  override writeSync(chunk: string | Uint8Array, encoding?: BufferEncoding): void {
    this.#check("write");
    this.#use(() => parkChecked(() => checkChunk(chunk), "stream.write", this.#handle, chunk, encoding));
  }

  override endSync(chunk?: string | Uint8Array, encoding?: BufferEncoding): void {
    if (this.#finished && chunk == null) return;
    this.#check("end");
    this.#use(() => parkChecked(() => checkChunk(chunk), "stream.end", this.#handle, chunk, encoding));
    this.#finished = true;
    if (this.#ended) this.destroy();
  }

  #read<T>(read: () => T | null): T | null {
    if (this.#ended) return null;
    this.#check("read");
    const data = this.#use(read);
    if (data === null) this.#end();
    return data;
  }

  #end(): void {
    this.#ended = true;
    if (!this.allowHalfOpen) this.#finished = true;
    if (this.#finished) this.destroy();
  }

  /** @internal Calls what asks the real socket for something. */
  use<T>(method: string, call: () => T): T {
    this.#check(method);
    return this.#use(call);
  }

  #use<T>(call: () => T): T {
    try {
      return call();
    } catch (error) {
      // Most errors end a socket; a timeout, or a wrong argument, does not.
      if (park<boolean>("stream.gone", this.#handle)) {
        this.#failure = error;
        this.destroy();
      }
      throw error;
    }
  }

  #check(method: string): void {
    if (this.#failure !== null) throw this.#failure;
    if (this.destroyed) throw this.#ended && method === "write" ? endedByOther() : streamDestroyed(method);
  }

  // biome-ignore lint/suspicious/noExplicitAny: as in Node, the arguments are optional from the left
  override write(chunk: any, ...rest: any[]): boolean {
    this.#refuseCallback("write", rest);
    this.writeSync(chunk, rest[0]);
    return true;
  }

  // biome-ignore lint/suspicious/noExplicitAny: the same
  override end(...args: any[]): this {
    this.#refuseCallback("end", args);
    this.endSync(args[0], args[1]);
    return this;
  }

  override on(event: string | symbol, listener: Listener): this {
    // Node's own constructor adds a listener before this class has any fields.
    if (#handle in this) refuseEvent(event);
    return super.on(event as string, listener);
  }

  override addListener(event: string | symbol, listener: Listener): this {
    return this.on(event, listener);
  }

  override prependListener(event: string | symbol, listener: Listener): this {
    refuseEvent(event);
    return super.prependListener(event as string, listener);
  }

  override read(): never {
    throw refusedUse("read()");
  }

  override pipe(): never {
    throw refusedUse("pipe()");
  }

  override resume(): never {
    throw refusedUse("resume()");
  }

  override connect(): never {
    throw refusedUse("connect()");
  }

  override [Symbol.asyncIterator](): never {
    throw refusedUse("for await");
  }

  #refuseCallback(method: string, args: unknown[]): void {
    if (args.some((arg) => typeof arg === "function")) throw refusedUse(`${method}() with a callback`);
  }

  #set(method: SocketMethod, ...args: unknown[]): this {
    this.#refuseCallback(method, args);
    this.#check(method);
    this.#use(() => park("net.set", this.#handle, method, args));
    return this;
  }

  override setTimeout(ms: number, callback?: () => void): this {
    this.#set("setTimeout", ms, ...(callback ? [callback] : []));
    (this as { timeout?: number }).timeout = ms || undefined;
    return this;
  }

  override setEncoding(encoding?: BufferEncoding): this {
    return this.#set("setEncoding", encoding);
  }

  override setNoDelay(noDelay?: boolean): this {
    return this.#set("setNoDelay", noDelay);
  }

  override setKeepAlive(enable?: boolean, initialDelay?: number): this {
    return this.#set("setKeepAlive", enable, initialDelay);
  }

  override resetAndDestroy(): this {
    if (!this.destroyed) this.#set("resetAndDestroy");
    return this.destroy();
  }

  /** The worker never keeps the process alive, so neither does this. */
  override ref(): this {
    return this;
  }

  override unref(): this {
    return this;
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    handles.unregister(this);
    parkRelease("stream.destroy", this.#handle);
    super._destroy(error, callback);
  }

  override address(): net.AddressInfo | Record<string, never> {
    const { localAddress, localFamily, localPort } = this;
    return this.destroyed || localAddress === undefined
      ? {}
      : ({ address: localAddress, family: localFamily, port: localPort } as net.AddressInfo);
  }

  /** @internal */
  figure(name: SocketFigure): number {
    if (!this.destroyed) this.#figures[name] = park("net.figure", this.#handle, name);
    return this.#figures[name];
  }
}

for (const name of ["bytesRead", "bytesWritten"] as const) {
  Object.defineProperty(ParkedSocket.prototype, name, {
    configurable: true,
    get(this: ParkedSocket) {
      return this.figure(name);
    },
  });
}

function refuseEvent(event: unknown): void {
  if (!ownEvents.has(event)) throw refusedUse(`a listener for "${String(event)}"`);
}

function checkChunk(chunk: unknown): void {
  new net.Socket().write(chunk as string);
}

function endedByOther(): Error {
  return Object.assign(new Error("This socket has been ended by the other party"), { code: "EPIPE" });
}

/** Gives a socket of this thread, which is not connected, the properties of one that is. */
export function describe(socket: net.Socket, { local, remote }: Ends, timeout?: number): void {
  const facts: Record<string, unknown> = {
    localAddress: local.address,
    localPort: local.port,
    localFamily: local.family,
    remoteAddress: remote.address,
    remotePort: remote.port,
    remoteFamily: remote.family,
    timeout: timeout || undefined,
    pending: false,
  };
  for (const [name, value] of Object.entries(facts)) {
    Object.defineProperty(socket, name, { value, configurable: true, enumerable: true, writable: true });
  }
}

export function refusedUse(use: string): Error {
  return parkedObject(use, "readSync, readLineSync, writeSync, endSync");
}

// Results that are yet to come. (gevent: `gevent.event.AsyncResult`)
import { invalidArgument } from "../errors";
import { checkLimit, EXPIRED, type Limit, timeoutOf } from "../limit";
import { Line } from "./line";
import { Timeout } from "./timeout";
import { callLater, checkLink, type Link, Links, WAIT, type Waitable } from "./waitable";

/** What an AsyncResult can follow: anything that ends with a value or an error. */
export interface Outcome<T> {
  readonly successful: boolean;
  readonly value: T | undefined;
  readonly exception: unknown;
}

/**
 * A place for a value, or an error, that somebody else will bring; all who wait for it get it.
 *
 *     const result = new AsyncResult();
 *     socket.once("data", (data) => result.set(data));
 *     const data = result.get(1000);
 *
 * It can be linked to a fiber, `fiber.link(result)`, and async code can `await` it. Nobody need look at an error.
 */
export class AsyncResult<T = unknown> implements Waitable, PromiseLike<T> {
  #ready = false;
  #failed = false;
  #outcome: unknown = undefined;
  readonly #line = new Line();
  readonly #links = new Links<this>();
  /** For async code: of the outcome that there is, or of the next one. */
  #promise: Promise<T> | null = null;
  #settlePromise: (() => void) | null = null;

  /** Whether it has a value or an error. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Whether it has a value. */
  get successful(): boolean {
    return this.#ready && !this.#failed;
  }

  /** Its value; undefined if it has none. */
  get value(): T | undefined {
    return this.successful ? (this.#outcome as T) : undefined;
  }

  /** Its error; undefined if it has none. */
  get exception(): unknown {
    return this.#failed ? this.#outcome : undefined;
  }

  /** Gives it a value, in place of any that it had, and wakes everybody who waits. */
  set(value: T): void {
    this.#settle(false, value);
  }

  /** Gives it an error, which `get` throws. */
  setException(error: unknown): void {
    this.#settle(true, error);
  }

  /** Takes the outcome of a fiber, or of another result, that has one. What `fiber.link(result)` calls. */
  follow(source: Outcome<T>): void {
    if (typeof source?.successful !== "boolean") throw invalidArgument("source", "a fiber or another result", source);
    if (source.successful) this.set(source.value as T);
    else this.setException(source.exception);
  }

  /**
   * Waits for the outcome: returns the value, or throws the error.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }
   * @throws Timeout when there is none by then
   */
  get(limit: Limit = Number.POSITIVE_INFINITY): T {
    checkLimit(limit, "limit");
    if (!this.#await(limit)) throw new Timeout(timeoutOf(limit));
    if (this.#failed) throw this.#outcome;
    return this.#outcome as T;
  }

  /** As `get`, without waiting. */
  getNowait(): T {
    return this.get(0);
  }

  /**
   * Waits until there is an outcome.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }
   * @returns the value; undefined if it is an error, or the time was over first
   */
  wait(limit: Limit = Number.POSITIVE_INFINITY): T | undefined {
    checkLimit(limit, "limit");
    this.#await(limit);
    return this.value;
  }

  /** Calls `link(result)`, once, on the hub's stack, when there is an outcome; soon, if there is now. */
  link(link: Link<this>): void {
    checkLink(link, "link");
    if (this.#ready) callLater(link, this);
    else this.#links.add(link);
  }

  /** Takes a link back. Does nothing if there is none. */
  unlink(link: Link<this>): void {
    checkLink(link, "link");
    this.#links.remove(link);
  }

  /** @internal */
  [WAIT](limit: Limit): T {
    return this.get(limit);
  }

  // biome-ignore lint/suspicious/noThenProperty: a result is a thenable by design, so that async code can await it
  then<R = T, E = never>(
    onFulfilled?: ((value: T) => R | PromiseLike<R>) | null,
    onRejected?: ((error: unknown) => E | PromiseLike<E>) | null,
  ): Promise<R | E> {
    this.#promise ??= new Promise((resolve, reject) => {
      this.#settlePromise = () => (this.#failed ? reject(this.#outcome) : resolve(this.#outcome as T));
      if (this.#ready) this.#settlePromise();
    });
    return this.#promise.then(onFulfilled, onRejected);
  }

  #settle(failed: boolean, outcome: unknown): void {
    const wasReady = this.#ready;
    this.#ready = true;
    this.#failed = failed;
    this.#outcome = outcome;
    this.#line.serveAll();
    this.#links.notify(this);
    if (wasReady) this.#promise = null;
    else this.#settlePromise?.();
  }

  #await(limit: Limit): boolean {
    return this.#ready || this.#line.wait(limit, undefined) !== EXPIRED;
  }
}

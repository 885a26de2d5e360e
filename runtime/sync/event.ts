// Events. (gevent: `gevent.event.Event`)
import { checkLimit, EXPIRED, type Limit, timeoutOf } from "../limit";
import { Line } from "./line";
import { Timeout } from "./timeout";
import { callLater, checkLink, type Link, Links, WAIT, type Waitable } from "./waitable";

/**
 * A flag that fibers wait for: `set` wakes all who wait, and nobody waits while it is set; `clear` takes it back.
 * Async code can `await` it. (Which means that an async function cannot return one: it would return when it is set.)
 *
 *     const loaded = new Event();
 *     spawn(() => { loaded.wait(); use(data); });
 *     spawn(() => { data = load(); loaded.set(); });
 */
export class Event implements Waitable, PromiseLike<true> {
  #set = false;
  readonly #line = new Line<true>();
  readonly #links = new Links<this>();

  /** Whether it is set. */
  get isSet(): boolean {
    return this.#set;
  }

  /** The same as `isSet`. */
  get ready(): boolean {
    return this.#set;
  }

  /** Wakes everybody who waits now, in the order in which they came, even if it is cleared before they continue. */
  set(): void {
    this.#set = true;
    this.#line.serveAll(true);
    this.#links.notify(this);
  }

  clear(): void {
    this.#set = false;
  }

  /**
   * Waits until it is set.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }
   * @returns false if the time was over first
   */
  wait(limit: Limit = Number.POSITIVE_INFINITY): boolean {
    checkLimit(limit, "limit");
    return this.#set || this.#line.wait(limit, undefined) !== EXPIRED;
  }

  /** Calls `link(event)`, once, on the hub's stack, when it is next set; soon, if it is now. */
  link(link: Link<this>): void {
    checkLink(link, "link");
    if (this.#set) callLater(link, this);
    else this.#links.add(link);
  }

  /** Takes a link back. Does nothing if there is none. */
  unlink(link: Link<this>): void {
    checkLink(link, "link");
    this.#links.remove(link);
  }

  /** @internal */
  [WAIT](limit: Limit): true {
    if (!this.wait(limit)) throw new Timeout(timeoutOf(limit));
    return true;
  }

  // biome-ignore lint/suspicious/noThenProperty: an event is a thenable by design, so that async code can await it
  then<R = true, E = never>(
    onFulfilled?: ((value: true) => R | PromiseLike<R>) | null,
    onRejected?: ((error: unknown) => E | PromiseLike<E>) | null,
  ): Promise<R | E> {
    return new Promise<true>((resolve) => this.link(() => resolve(true))).then(onFulfilled, onRejected);
  }
}

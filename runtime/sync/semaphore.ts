// Semaphores. (gevent: `gevent.lock.Semaphore`, `BoundedSemaphore`)
import { checkCount, checkFunction, overReleased } from "../errors";
import { checkLimit, EXPIRED, type Limit, timeoutOf } from "../limit";
import { Line } from "./line";
import { Timeout } from "./timeout";
import { callLater, checkLink, type Link, Links, WAIT, type Waitable } from "./waitable";

/** What can be acquired and released: a Semaphore, an RLock, a Condition. */
export abstract class Lockable {
  /**
   * Waits until it can be had, and takes it. First come, first served: nobody overtakes those who wait.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }; 0 does not wait at all
   * @returns false, and nothing is taken, if the time was over first
   */
  abstract acquire(limit?: Limit): boolean;

  /** Gives it back. */
  abstract release(): void;

  /**
   * Takes it for as long as a block lasts: `using held = lock.hold();`. To be released once; again does nothing.
   * @param limit the longest to wait
   * @throws Timeout when it could not be had by then
   */
  hold(limit: Limit = Number.POSITIVE_INFINITY): Disposable {
    if (!this.acquire(limit)) throw new Timeout(timeoutOf(limit));
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.release();
        held = false;
      },
    };
  }

  /**
   * Calls `fn` while holding it.
   * @param limit the longest to wait for it
   * @returns what `fn` returns
   * @throws Timeout when it could not be had by then; `fn` was not called
   */
  runExclusive<T>(fn: () => T, limit: Limit = Number.POSITIVE_INFINITY): T {
    checkFunction(fn, "fn");
    if (!this.acquire(limit)) throw new Timeout(timeoutOf(limit));
    try {
      return fn();
    } finally {
      this.release();
    }
  }
}

/**
 * A number of permits: `acquire` takes one, waiting for it if there is none, `release` gives one back, or adds one.
 *
 *     const connections = new Semaphore(10);
 *     connections.runExclusive(() => fetchPage(url));        // at most ten at a time
 */
export class Semaphore extends Lockable implements Waitable {
  #counter: number;
  readonly #line = new Line<true>(() => this.#giveBack()); // killed before it could use its permit
  readonly #watchers = new Line<true>();
  readonly #links = new Links<this>();

  /** @param value how many permits there are at first; a whole number, or Infinity */
  constructor(value = 1) {
    super();
    checkCount(value, "value");
    this.#counter = value;
  }

  /** How many permits can be had now. */
  get counter(): number {
    return this.#counter;
  }

  /** Whether `acquire` would wait. */
  get locked(): boolean {
    return this.#counter === 0;
  }

  /** Whether it would not. */
  get ready(): boolean {
    return this.#counter > 0;
  }

  acquire(limit: Limit = Number.POSITIVE_INFINITY): boolean {
    checkLimit(limit, "limit");
    if (this.#counter === 0) return this.#line.wait(limit, undefined) !== EXPIRED;
    this.#counter--;
    return true;
  }

  /** Gives a permit to who has waited longest; if nobody does, there is one more. Never waits. */
  release(): void {
    this.#giveBack();
  }

  /**
   * Waits until a permit can be had, and does not take it.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }
   * @returns false if the time was over first
   */
  wait(limit: Limit = Number.POSITIVE_INFINITY): boolean {
    checkLimit(limit, "limit");
    return this.#counter > 0 || this.#watchers.wait(limit, undefined) !== EXPIRED;
  }

  /** Calls `link(semaphore)`, once, on the hub's stack, when a permit can be had; soon, if one can be had now. */
  link(link: Link<this>): void {
    checkLink(link, "link");
    if (this.#counter > 0) callLater(link, this);
    else this.#links.add(link);
  }

  /** Takes a link back. Does nothing if there is none. */
  unlink(link: Link<this>): void {
    checkLink(link, "link");
    this.#links.remove(link);
  }

  /** @internal */
  [WAIT](limit: Limit): this {
    if (!this.wait(limit)) throw new Timeout(timeoutOf(limit));
    return this;
  }

  #giveBack(): void {
    if (this.#line.serve(true)) return;
    this.#counter++;
    this.#watchers.serveAll(true);
    this.#links.notify(this);
  }
}

/** A semaphore that has never more permits than at first: releasing one too many is a mistake, and throws. */
export class BoundedSemaphore extends Semaphore {
  readonly #most: number;

  constructor(value = 1) {
    super(value);
    this.#most = value;
  }

  /** @throws ERR_OVER_RELEASED if no permit is taken */
  override release(): void {
    if (this.counter + 1 > this.#most) {
      throw overReleased(`The semaphore was released more often than acquired: it has all its ${this.#most} permits`);
    }
    super.release();
  }
}

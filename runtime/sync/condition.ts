// Condition variables. (Python: `threading.Condition`)
import { refusal, shielded } from "../block";
import { now } from "../clock";
import { canBlock } from "../coroutine";
import { checkCount, checkFunction, invalidArgument, notOwner } from "../errors";
import { checkLimit, EXPIRED, type Limit, signalOf, timeoutOf } from "../limit";
import { Line } from "./line";
import { RLock } from "./rlock";
import { Lockable, Semaphore } from "./semaphore";

/**
 * A lock, and a line of fibers that wait until something has changed which the lock protects.
 *
 *     condition.runExclusive(() => {
 *       condition.waitFor(() => items.length > 0);           // lets go of the lock while it waits
 *       use(items.shift());
 *     });
 *     condition.runExclusive(() => { items.push(item); condition.notify(); });
 */
export class Condition extends Lockable {
  readonly #lock: RLock | Semaphore;
  readonly #line = new Line<true>(() => this.#line.serve(true)); // killed before it saw the change: the next may see it

  /** @param lock the lock to use, also in several conditions; default: an RLock of its own */
  constructor(lock: RLock | Semaphore = new RLock()) {
    super();
    if (!(lock instanceof RLock || lock instanceof Semaphore)) {
      throw invalidArgument("lock", "an RLock or a Semaphore", lock);
    }
    this.#lock = lock;
  }

  acquire(limit: Limit = Number.POSITIVE_INFINITY): boolean {
    return this.#lock.acquire(limit);
  }

  release(): void {
    this.#lock.release();
  }

  /**
   * Lets go of the lock, waits for `notify`, and takes the lock again: also when it throws, so that a fiber that is
   * killed meanwhile may release it as ever.
   * @param limit the longest to wait for `notify`: milliseconds, an AbortSignal, or { timeout, signal }
   * @returns false if the time was over first
   * @throws ERR_NOT_OWNER if the lock is not held
   */
  wait(limit: Limit = Number.POSITIVE_INFINITY): boolean {
    checkLimit(limit, "limit");
    this.#checkHeld();
    if (!canBlock()) throw refusal();
    const count = this.#lock instanceof RLock ? this.#lock.releaseAll() : this.#lock.release();
    try {
      return this.#line.wait(limit, undefined) !== EXPIRED;
    } finally {
      shielded(() => (this.#lock instanceof RLock ? this.#lock.reacquire(count as number) : this.#lock.acquire()));
    }
  }

  /**
   * Waits until `predicate` returns something true: asked first, and after every `notify`.
   * @param limit the longest to wait, all told
   * @returns what it returned last
   */
  waitFor<T>(predicate: () => T, limit: Limit = Number.POSITIVE_INFINITY): T {
    checkFunction(predicate, "predicate");
    checkLimit(limit, "limit");
    const end = now() + timeoutOf(limit);
    const signal = signalOf(limit);
    for (;;) {
      const result = predicate();
      const timeout = end - now();
      if (result || timeout <= 0) return result;
      this.wait({ timeout, signal });
    }
  }

  /**
   * Wakes the `count` fibers that have waited longest. They continue once they have the lock.
   * @throws ERR_NOT_OWNER if the lock is not held
   */
  notify(count = 1): void {
    checkCount(count, "count", 1);
    this.#checkHeld();
    for (let left = Math.min(count, this.#line.size); left > 0; left--) this.#line.serve(true);
  }

  /** Wakes all who wait now. */
  notifyAll(): void {
    this.notify(Number.POSITIVE_INFINITY);
  }

  #checkHeld(): void {
    const held = this.#lock instanceof RLock ? this.#lock.owned : this.#lock.locked;
    if (!held) throw notOwner("The condition's lock must be held by who waits or notifies");
  }
}

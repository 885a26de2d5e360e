// Reentrant locks. (gevent: `gevent.lock.RLock`)
import { currentRoot } from "../coroutine";
import { notOwner } from "../errors";
import { checkLimit, type Limit } from "../limit";
import { Lockable, Semaphore } from "./semaphore";

const hub = {};

// Its async context tells a fiber from others, even one whose Fiber object is garbage and that is being unwound.
function me(): object {
  return currentRoot()?.resource ?? hub;
}

/**
 * A lock that one fiber holds at a time, as often as it likes: each `acquire` needs a `release`.
 * The hub's own stack counts as one fiber, which cannot wait.
 */
export class RLock extends Lockable {
  readonly #semaphore = new Semaphore(1);
  #owner: object | null = null;
  #count = 0;

  /** Whether anybody holds it. */
  get locked(): boolean {
    return this.#semaphore.locked;
  }

  /** Whether the running fiber holds it. */
  get owned(): boolean {
    return this.#owner === me();
  }

  acquire(limit: Limit = Number.POSITIVE_INFINITY): boolean {
    checkLimit(limit, "limit");
    if (this.owned) {
      this.#count++;
      return true;
    }
    if (!this.#semaphore.acquire(limit)) return false;
    this.#owner = me();
    this.#count = 1;
    return true;
  }

  /** @throws ERR_NOT_OWNER if the running fiber does not hold it */
  release(): void {
    if (!this.owned) throw notOwner("The lock is released by a fiber that does not hold it");
    if (--this.#count > 0) return;
    this.#owner = null;
    this.#semaphore.release();
  }

  /** @internal Releases it altogether; returns how often it was held. */
  releaseAll(): number {
    const count = this.#count;
    this.#count = 1;
    this.release();
    return count;
  }

  /** @internal Takes it again, as often as before. */
  reacquire(count: number): void {
    this.acquire();
    this.#count = count;
  }
}

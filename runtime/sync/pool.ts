// Pools of fibers. (gevent: `gevent.pool.Pool`)
import { checkCount, checkFunction, Full, invalidArgument } from "../errors";
import { Fiber, type Steps, spawn } from "../fiber";
import { checkLimit, type Limit } from "../limit";
import { Group } from "./group";
import { Semaphore } from "./semaphore";

/**
 * A group with room for so many members: `spawn` waits while it is full.
 *
 *     const pool = new Pool(10);
 *     const pages = pool.map(fetchPage, urls);               // ten at a time
 */
export class Pool extends Group {
  /** How many members there may be. */
  readonly size: number;
  readonly #room: Semaphore;

  /** @param size how many members there may be; default: any number */
  constructor(size = Number.POSITIVE_INFINITY) {
    checkCount(size, "size");
    super();
    this.size = size;
    this.#room = new Semaphore(size);
  }

  /** How many more members there is room for. */
  get freeCount(): number {
    return this.#room.counter;
  }

  /** Whether `spawn` would wait. */
  override get full(): boolean {
    return this.#room.locked;
  }

  /**
   * Waits until there is room.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }
   * @returns false if the time was over first
   */
  waitAvailable(limit: Limit = Number.POSITIVE_INFINITY): boolean {
    return this.#room.wait(limit);
  }

  /**
   * Makes a fiber a member, waiting for room. Start it afterwards (or use `start`), so that it does not run meanwhile.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }
   * @throws Full when there was no room by then
   */
  override add(fiber: Fiber, limit: Limit = Number.POSITIVE_INFINITY): void {
    if (!(fiber instanceof Fiber)) throw invalidArgument("fiber", "a fiber", fiber);
    checkLimit(limit, "limit");
    if (fiber.dead || this.has(fiber)) return;
    this.#enter(limit);
    if (fiber.dead || this.has(fiber))
      this.left(); // meanwhile
    else super.add(fiber);
  }

  /** Makes a fiber that was not started a member, waiting for room, and starts it; as `add`. */
  override start(fiber: Fiber, limit: Limit = Number.POSITIVE_INFINITY): void {
    this.add(fiber, limit);
    fiber.start();
  }

  /** Starts a fiber that calls `fn(...args)`, as a member, once there is room; a generator function, too. */
  // biome-ignore lint/suspicious/noExplicitAny: a fiber runs any function
  override spawn<T, A extends any[]>(fn: Steps<T, A>, ...args: A): Fiber<T>;
  // biome-ignore lint/suspicious/noExplicitAny: a fiber runs any function
  override spawn<T, A extends any[]>(fn: (...args: A) => T, ...args: A): Fiber<T>;
  // biome-ignore lint/suspicious/noExplicitAny: a fiber runs any function
  override spawn<T, A extends any[]>(fn: (...args: A) => T, ...args: A): Fiber<T> {
    checkFunction(fn, "fn");
    this.#enter(Number.POSITIVE_INFINITY);
    let fiber: Fiber<T>;
    try {
      fiber = spawn(fn, ...args);
    } catch (error) {
      this.left();
      throw error;
    }
    super.add(fiber as Fiber);
    return fiber;
  }

  #enter(limit: Limit): void {
    if (!this.#room.acquire(limit)) throw new Full("the pool is full");
  }

  /** @internal */
  protected override left(): void {
    this.#room.release();
  }
}

// What comes in by events, for fibers that take it one at a time, first come first served.
import { withFiberStack } from "../runtime/block";
import { Empty, ShutDown } from "../runtime/errors";
import { type Limit, timeoutOf } from "../runtime/limit";
import { Queue } from "../runtime/sync/queue";
import { Timeout } from "../runtime/sync/timeout";

type Item<T> = { readonly value: T } | { readonly error: unknown };

/** What a fiber is given that was killed before it could continue goes to the next, or back to the front. */
export class Inbox<T> {
  readonly #items = new Queue<Item<T>>();
  #waiting = 0;

  /** How many things it keeps. */
  get size(): number {
    return this.#items.size;
  }

  /** How many fibers wait for something to come in. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Whether an event is for this inbox: fibers wait, or nobody but it listens. */
  wants(emitter: { listenerCount(event: string): number }, event: string): boolean {
    return this.#waiting > 0 || emitter.listenerCount(event) === 1;
  }

  /** Takes a value in, also when nobody waits for it. */
  put(value: T): void {
    if (!this.#items.isShutDown) this.#items.putNowait({ value });
  }

  /** Takes an error in, which whoever is next throws. */
  fail(error: unknown): void {
    if (!this.#items.isShutDown) this.#items.putNowait({ error });
  }

  /** Nothing more comes in. What is kept can still be taken, unless `dropping`. */
  close(dropping = false): void {
    this.#items.shutdown(dropping);
  }

  /**
   * Takes what is next, waiting for it.
   * @param entry the function of the program's that stack traces begin with
   * @param ms what a Timeout tells, where `limit` is only what is left of it
   * @returns null when it is closed, and empty
   * @throws Timeout, AbortError
   */
  take(limit: Limit, entry: (...args: never[]) => unknown, ms = timeoutOf(limit)): { readonly value: T } | null {
    this.#waiting++;
    try {
      const item = this.#items.get(limit);
      if ("error" in item) throw withFiberStack(item.error, entry);
      return item;
    } catch (error) {
      if (error instanceof ShutDown) return null;
      throw error instanceof Empty ? new Timeout(ms) : error;
    } finally {
      this.#waiting--;
    }
  }
}

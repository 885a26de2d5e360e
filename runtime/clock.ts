// Time, in milliseconds.

// As they were before anybody patched or replaced them: the runtime's own timers never start fibers.
const { setTimeout, clearTimeout } = require("node:timers") as typeof import("node:timers");

// And not `performance`, which costs a millisecond to load.
const { hrtime } = process;

/** Milliseconds since some moment. */
export function now(): number {
  const [seconds, nanoseconds] = hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

const LONGEST = 2 ** 31 - 1; // that a Node timer can wait

/** A timer that can be longer than Node's, and need not end. */
export interface Expiry {
  cancel(): void;
  /** It is not to keep the process alive. */
  unref(): void;
}

class LongTimer implements Expiry {
  #timer: NodeJS.Timeout;
  #referenced = true;

  constructor(ms: number, callback: () => void) {
    this.#timer = this.#start(ms, callback);
  }

  #start(ms: number, callback: () => void): NodeJS.Timeout {
    if (ms <= LONGEST) return setTimeout(callback, ms);
    return setTimeout(() => {
      this.#timer = this.#start(ms - LONGEST, callback);
      if (!this.#referenced) this.#timer.unref();
    }, LONGEST);
  }

  cancel(): void {
    clearTimeout(this.#timer);
  }

  unref(): void {
    this.#referenced = false;
    this.#timer.unref();
  }
}

/** Calls `callback` on the hub's stack after `ms`; null, and never, for Infinity. */
export function expire(ms: number, callback: () => void): Expiry | null {
  return ms === Number.POSITIVE_INFINITY ? null : new LongTimer(ms, callback);
}

// What is known of a fiber without the fiber: enough to list it, and nothing that would keep it alive.
import { AsyncResource } from "node:async_hooks";
import { now } from "../clock";

let lastId = 0;

/**
 * A fiber's async context, and the facts that others may look at. Kept for each stack while a fiber is on it: nothing
 * here leads to the Fiber, which is unwound when it is garbage (see coroutine.ts).
 */
export class FiberRecord extends AsyncResource {
  readonly id = ++lastId;
  /** On the clock of `now()`. */
  readonly createdAt = now();
  /** How many calls of Node's module loader are on its stack; the program's main module is not one. */
  loading = 0;
  #ends: (() => void)[] | null = null;
  /** Whether nothing could resume it any more, so that it is being unwound. */
  abandoned = false;
  /** The id of the fiber that created it; null: the hub did. */
  readonly parent: number | null;
  /** Whether it belongs to what goes on for as long as the process does, as all do that it creates from then on. */
  resident: boolean;

  /** @param parent of the fiber that creates it; null: the hub does */
  constructor(
    public name: string,
    parent: FiberRecord | null,
  ) {
    super("FIBER");
    this.parent = parent === null ? null : parent.id;
    this.resident = parent?.resident ?? false;
  }

  /**
   * Calls `end`, which must not block or throw, at the very moment of the fiber's end, also if it was abandoned and unwound
   * in the name of another Fiber. So nothing that `end` holds may lead to the Fiber: it would never be garbage.
   */
  atEnd(end: () => void): void {
    if (this.#ends === null) this.#ends = [end];
    else this.#ends.push(end);
  }

  /** The fiber has ended. */
  ended(): void {
    if (this.#ends !== null) for (const end of this.#ends) end();
  }
}

/** Fibers that a timer is going to start. */
export const delayed = new Set<FiberRecord>();

// Fiber-local values. (gevent: `gevent.local`; Java: `ThreadLocal`)
import { currentRoot } from "../coroutine";
import { checkFunction } from "../errors";

const hub = {};

/**
 * A variable of which every fiber has its own. What a fiber set goes with the fiber. The hub's own stack, and with it all
 * async code, counts as one more. (What shall pass on to fibers that a fiber spawns is a matter for AsyncLocalStorage.)
 *
 *     const connection = new FiberLocal(() => pool.take());
 *     connection.get().query("…");                           // each fiber its own
 */
export class FiberLocal<T = unknown> {
  readonly #initial: () => T;
  // By async context, which stays the same when a fiber is unwound whose Fiber object is garbage.
  readonly #values = new WeakMap<object, { value: T }>();

  /** @param initial makes the value for a fiber that asks before it has set one; default: undefined */
  constructor(initial: () => T = () => undefined as T) {
    checkFunction(initial, "initial");
    this.#initial = initial;
  }

  /** The running fiber's value. */
  get(): T {
    const owner = currentRoot()?.resource ?? hub;
    let holder = this.#values.get(owner);
    if (holder === undefined) this.#values.set(owner, (holder = { value: this.#initial() }));
    return holder.value;
  }

  /** Gives the running fiber a value. */
  set(value: T): void {
    this.#values.set(currentRoot()?.resource ?? hub, { value });
  }

  /** Whether the running fiber has a value now. */
  has(): boolean {
    return this.#values.has(currentRoot()?.resource ?? hub);
  }

  /** Takes the running fiber's value away: asked for the next time, it is made anew. */
  delete(): boolean {
    return this.#values.delete(currentRoot()?.resource ?? hub);
  }
}

// Native stacks, on loan to one coroutine after another. In between they stay warm: in V8, at the top of what they run.
import { fiberLimit } from "./errors";
import type { Stacks } from "./switch";

// As it was before anybody patched or replaced it.
const { setTimeout } = require("node:timers") as typeof import("node:timers");

/** So many stay warm for good. */
const WARM_LEAST = 256;
/** More than that, as long as they are in use: of those that were not for so many milliseconds, so many go cold. */
const COOL_EVERY = 1000;
const COOL_AT_ONCE = 512;

/** A native stack on loan. The finalizer of this small object tells when nobody can resume its user any more. */
export interface Lease<User> {
  readonly stack: number;
  readonly stackSize: number;
  /** What runs on it. The two lead to each other, and are garbage together. */
  user: User | null;
}

interface Warm<User> {
  readonly leases: Lease<User>[];
  /** How few there were at some moment since the last look. */
  least: number;
}

export class Leases<User extends object> {
  /** How many stacks are on loan. */
  count = 0;
  /** Whether a stack that is resumed now is to go cold: to leave what it runs. */
  cooling = false;
  readonly #stacks: Stacks;
  readonly #warm = new Map<number, Warm<User>>(); // by size
  readonly #weak: (WeakRef<Lease<User>> | undefined)[] = []; // by stack
  readonly #finalizers: FinalizationRegistry<Pick<Lease<User>, "stack" | "stackSize">>;
  #cooler: NodeJS.Timeout | null = null;

  /** @param abandoned called when a stack's user is garbage, on loan as it is */
  constructor(stacks: Stacks, abandoned: (stack: number, stackSize: number) => void) {
    this.#stacks = stacks;
    this.#finalizers = new FinalizationRegistry(({ stack, stackSize }) => abandoned(stack, stackSize));
  }

  /** @throws ERR_FIBER_LIMIT when the system has no more room */
  take(stackSize: number): Lease<User> {
    const warm = this.#warm.get(stackSize);
    const lease = warm?.leases.pop();
    if (warm && lease) {
      if (warm.leases.length < warm.least) warm.least = warm.leases.length;
      this.count++;
      return lease;
    }
    let stack: number;
    try {
      stack = this.#stacks.acquire(stackSize);
    } catch (error) {
      throw fiberLimit((error as Error).message);
    }
    this.count++;
    return this.renew(stack, stackSize);
  }

  /** Another lease of a stack that is on loan, in the place of one that is garbage. */
  renew(stack: number, stackSize: number): Lease<User> {
    const lease: Lease<User> = { stack, stackSize, user: null };
    this.#finalizers.register(lease, { stack, stackSize }, lease);
    this.#weak[stack] = new WeakRef(lease);
    return lease;
  }

  /** The stack stays warm for another user. Runs on that stack. */
  return(lease: Lease<User>): void {
    this.count--;
    lease.user = null;
    let warm = this.#warm.get(lease.stackSize);
    if (!warm) this.#warm.set(lease.stackSize, (warm = { leases: [], least: 0 }));
    if (warm.leases.push(lease) > WARM_LEAST) this.#coolLater();
  }

  /** What runs on a stack; undefined if that is garbage. */
  userOf(stack: number): User | undefined {
    return this.#weak[stack]?.deref()?.user ?? undefined;
  }

  #coolLater(): void {
    this.#cooler ??= setTimeout(() => this.#cool(), COOL_EVERY).unref();
  }

  /** Lets stacks go cold that a burst has left behind: V8 walks warm ones at every collection. On the hub's stack. */
  #cool(): void {
    this.#cooler = null;
    for (const warm of this.#warm.values()) {
      const unused = Math.min(warm.least - WARM_LEAST, COOL_AT_ONCE);
      this.cooling = true;
      for (const lease of warm.leases.splice(0, unused)) {
        this.#finalizers.unregister(lease);
        this.#stacks.resume(lease.stack);
      }
      this.cooling = false;
      warm.least = warm.leases.length;
      if (warm.least > WARM_LEAST) this.#coolLater();
    }
  }
}

// The package `fibers`: coroutines that yield to whoever runs them, on whatever stack that is.
//
// An old-style fiber lives as often as it is run from its start. Each life is a fiber of ours, so that all that blocks, is
// seen, or is killed elsewhere does so here. And a fiber that a program makes otherwise (`spawn`) looks like an old-style one
// to what runs in it. Not so a callback's: libraries ask whether they are in a fiber, and in plain Node that is not.
import { block, blockLikeNode, type Waiter } from "../../runtime/block";
import {
  admit,
  beginOnTop,
  type Coroutine,
  canBlock,
  continueOnTop,
  current,
  currentRoot,
  hasRoom,
  State,
  stackCounts,
} from "../../runtime/coroutine";
import type { AnyFunction } from "../../runtime/disguise";
import { FiberExit, fiberLimit } from "../../runtime/errors";
import { nameOf, newRecord, Fiber as OwnFiber } from "../../runtime/fiber";
import { raise, schedule } from "../../runtime/hub";

/** What comes out of `Fiber.yield()`. */
interface Resumption {
  readonly failed: boolean;
  readonly value: unknown;
}

class Life extends OwnFiber {
  /** What ends it without being a failure, once it is reset. */
  zombie: Error | null = null;

  constructor(
    readonly owner: LegacyFiber,
    fn: AnyFunction,
    args: unknown[],
  ) {
    super(live, {}, undefined, [fn, args], newRecord(nameOf(fn)));
  }

  isReset(error: unknown): boolean {
    return this.zombie !== null && error === this.zombie;
  }

  override goesUncaught(error: unknown): boolean {
    return !this.called && !this.isReset(error);
  }

  protected override unobserved(error: unknown): void {
    if (!this.told && this.goesUncaught(error)) raise(error);
  }
}

function live(fn: AnyFunction, args: unknown[]): unknown {
  return Reflect.apply(fn, globalThis, args);
}

const enum Status {
  Ended,
  Running,
  Yielding,
  /** In a call that blocks, and that will end by itself. */
  Blocked,
}

class LegacyFiber {
  /** Null: this is what old-style code sees of a fiber of ours. */
  readonly #fn: AnyFunction | null;
  #life: OwnFiber | null;
  #yielding: Waiter<Resumption> | null = null;
  #yielded: unknown = undefined;
  /** Runs that came while it was blocked. */
  #early: Resumption[] = [];

  constructor(fn: AnyFunction | null, life: OwnFiber | null = null) {
    this.#fn = fn;
    this.#life = life;
  }

  get started(): boolean | undefined {
    if (!(#life in this)) return undefined;
    return this.#life?.dead === false;
  }

  run(...args: unknown[]): unknown {
    const self = genuine(this);
    const status = self.#status();
    if (status === Status.Running) throw new Error("This Fiber is already running");
    if (args.length > 1) throw new TypeError("run() excepts 1 or no arguments");
    if (status === Status.Ended) return self.#begin(args);
    const resumption = { failed: false, value: args[0] };
    if (status === Status.Yielding) return self.#continue(resumption);
    // Whoever calls this counts on it that the fiber yields, as it would by now if that call blocked the thread.
    self.#early.push(resumption);
    return undefined;
  }

  throwInto(...args: unknown[]): unknown {
    const self = genuine(this);
    self.#checkYielding();
    if (args.length > 1) throw new TypeError("throwInto() expects 1 or no arguments");
    return self.#throw(args[0]);
  }

  reset(...args: unknown[]): unknown {
    const self = genuine(this);
    if (!self.started) return undefined;
    self.#checkYielding();
    if (args.length > 0) throw new TypeError("reset() expects no arguments");
    if (!(self.#life instanceof Life)) return self.#throw(new FiberExit());
    const zombie = new Error("This Fiber is a zombie");
    self.#life.zombie = zombie;
    return self.#throw(zombie);
  }

  /** Of the running fiber. */
  static get current(): LegacyFiber | undefined {
    const root = currentRoot() as OwnFiber | null;
    if (root === null || root.implicit) return undefined;
    if (root instanceof Life) return root.owner;
    let view = views.get(root);
    if (!view) views.set(root, (view = new LegacyFiber(null, root)));
    return view;
  }

  /** Of the running fiber, before it yields: what it is run with, if that is known. */
  static beforeYield(args: unknown[]): Resumption | undefined {
    const fiber = LegacyFiber.current;
    if (fiber === undefined) throw new Error("yield() called with no fiber running");
    const life = fiber.#life as OwnFiber;
    if (life instanceof Life && life.zombie !== null) throw life.zombie;
    if (life.record.abandoned) throw new Error("This Fiber is a zombie");
    if (args.length > 1) throw new TypeError("yield() expects 1 or no arguments");
    fiber.#yielded = args.pop(); // which nothing on a suspended stack shall hold
    return life.called ? undefined : fiber.#early.shift(); // else whoever has run it gets its turn first
  }

  static park(waiter: Waiter<Resumption>): () => void {
    const fiber = LegacyFiber.current as LegacyFiber;
    fiber.#yielding = waiter;
    if (fiber.#early.length > 0) schedule({ run: () => fiber.#deliver() });
    return () => {
      fiber.#yielding = null;
    };
  }

  static isGenuine(value: unknown): boolean {
    return typeof value === "object" && value !== null && #life in value;
  }

  #status(): Status {
    if (this.#life === null || this.#life.dead) return Status.Ended;
    if (innermost(this.#life).state === State.Running) return Status.Running;
    return this.#yielding !== null ? Status.Yielding : Status.Blocked;
  }

  #checkYielding(): void {
    const status = this.#status();
    if (status === Status.Ended || status === Status.Running) throw new Error("This Fiber is not yielding");
  }

  #begin(args: unknown[]): unknown {
    if (this.#fn === null) return undefined; // it was waited for, and was killed: this is late
    checkRoom();
    admit();
    const life = new Life(this, this.#fn, args);
    if (!life.prepare()) throw fiberLimit("the system has no memory for a stack");
    this.#life = life;
    this.#early = [];
    return this.#call(() => beginOnTop(life));
  }

  #continue(resumption: Resumption): unknown {
    const waiter = this.#yielding as Waiter<Resumption>;
    return this.#call(() => {
      this.#yielding = null;
      waiter.resolveOnTop(resumption);
    });
  }

  #deliver(): void {
    const resumption = this.#yielding === null ? undefined : this.#early.shift();
    if (resumption !== undefined) this.#continue(resumption);
  }

  #throw(error: unknown): unknown {
    if (this.#yielding !== null) return this.#continue({ failed: true, value: error });
    const part = innermost(this.#life as OwnFiber);
    return this.#call(() => {
      part.interrupt(error);
      continueOnTop(part);
    });
  }

  /** Gives it the thread, and returns or throws what comes of it. */
  #call(enter: () => void): unknown {
    checkRoom();
    const life = this.#life as OwnFiber;
    const { called } = life;
    life.called = true;
    let given: { value: unknown } | null;
    try {
      enter();
      const waits = isInNode(life) && canBlock() && innermost(life).left === null;
      given = waits ? whenOutOfNode(life, () => this.#given(life)) : this.#given(life);
    } finally {
      life.called = called;
    }
    return given === null ? outcome(life) : given.value;
  }

  /** What it has for who has run it, as it leaves its stack; null if it has ended. */
  #given(life: OwnFiber): { value: unknown } | null {
    if (life.dead) return null;
    const value = this.#yielding === null ? undefined : this.#yielded;
    this.#yielded = undefined;
    return { value };
  }
}

const views = new WeakMap<OwnFiber, LegacyFiber>();

function genuine(fiber: LegacyFiber): LegacyFiber {
  if (!LegacyFiber.isGenuine(fiber)) throw new TypeError("Illegal invocation");
  return fiber;
}

/** Before anything is begun that a stack overflow would leave half-way. */
function checkRoom(): void {
  if (current !== null && !hasRoom()) throw new RangeError("Maximum call stack size exceeded");
}

/** The part of a fiber that runs, or is suspended. */
function innermost(fiber: Coroutine): Coroutine {
  return fiber.child === null ? fiber : innermost(fiber.child);
}

/** Whether it is in a function of Node's that would block the thread in plain Node, or is just on its way out. */
function isInNode(life: OwnFiber): boolean {
  if (life.dead) return false;
  const { state, waiter } = innermost(life);
  return state !== State.Suspended || waiter?.likeNode === true;
}

/** Suspends the running fiber meanwhile, as that function would; returns what `get` does at the moment that it is over. */
function whenOutOfNode<T>(life: OwnFiber, get: () => T): T {
  return blockLikeNode<T>((waiter) => {
    let watched = innermost(life);
    const look = () => {
      watched.left = null;
      if (!isInNode(life)) {
        waiter.resolveLater(get());
        return;
      }
      watched = innermost(life);
      watched.left = look;
    };
    watched.left = look;
    return () => {
      watched.left = null;
    };
  });
}

function outcome(life: OwnFiber): unknown {
  if (life.successful) return life.value instanceof FiberExit ? undefined : life.value;
  if (life instanceof Life && !life.isReset(life.exception)) throw life.exception;
  return undefined;
}

// No frame of these may hold what leads to the fiber, see runtime/coroutine.ts.
function yieldToCaller(...args: unknown[]): unknown {
  const { failed, value } = LegacyFiber.beforeYield(args) ?? block<Resumption>(LegacyFiber.park);
  if (failed) throw value;
  return value;
}

// The types are at least as wide as those of @types/fibers, type parameters and all.
// biome-ignore lint/suspicious/noExplicitAny: what comes of a fiber, and what is put into it
type Any = any;

interface Fiber {
  /** Whether it has begun, and not ended. */
  readonly started: boolean;
  /**
   * Begins it, or continues it where it has yielded. One that has ended begins anew.
   * @param value its function's argument, or what `Fiber.yield` returns in it. If it is in a blocking call just now, the
   *   next `Fiber.yield` returns this at once
   * @returns what it yields, or returns
   * @throws what it throws; Error "This Fiber is already running"; ERR_NO_FIBERS, ERR_FIBER_LIMIT
   */
  run<T = Any, R = Any>(value?: T): R;
  /**
   * Has the `Fiber.yield`, or other blocking call, that it is in throw `error`.
   * @returns what it then yields, or returns
   * @throws what it throws; Error "This Fiber is not yielding"
   */
  throwInto(error?: unknown): Any;
  /**
   * Ends it: `Fiber.yield` throws in it, and does so each time. Does nothing if it has not begun.
   * @returns what its function returns, if it does
   * @throws what it throws, but for what was thrown into it; Error "This Fiber is not yielding"
   */
  reset<T = Any>(): T;
  // Programs keep things in fibers.
  [property: string]: Any;
}

interface FiberConstructor {
  // biome-ignore lint/complexity/noBannedTypes: as in @types/fibers
  new (fn: Function): Fiber;
  // biome-ignore lint/complexity/noBannedTypes: as in @types/fibers
  (fn: Function): Fiber;
  readonly prototype: Fiber;

  /**
   * The fiber that runs now, be it an old-style one or one of `spawn` and the like; undefined if there is none, and in a
   * callback, a listener or the main program, though it be in a fiber.
   */
  readonly current: Fiber | undefined;
  /** How many stacks there are. */
  readonly fibersCreated: number;
  /** Means nothing here: stacks are kept as long as they are of use. */
  poolSize: number;
  /**
   * Suspends the running fiber; the `run` that it was run with returns `value`.
   * @returns what it is run with next
   * @throws what is thrown into it; Error "yield() called with no fiber running"; ERR_CANNOT_SUSPEND
   */
  yield<T = Any, R = Any>(value?: R): T;
}

/**
 * A fiber in the style of the package `fibers`, made with `new` or without. It runs when, and each time that, somebody calls
 * `run`, until it calls `Fiber.yield` or ends.
 *
 * What suspends in another way (`wait`, `sleep`) ends a call of `run`, too; that returns undefined then, and the fiber goes on
 * by itself. While it is in a blocking function of Node's, patched, `run` waits if it was called in a fiber, as it would in
 * plain Node; on the event loop's own stack, where nothing can wait, it returns undefined.
 *
 * @throws TypeError if `fn` is no function
 * @example
 * const counter = Fiber(() => { for (let i = 0; ; i++) Fiber.yield(i); });
 * counter.run(); // 0
 * counter.run(); // 1
 */
const Fiber = function Fiber(...args: unknown[]): unknown {
  if (args.length !== 1) throw new TypeError("Fiber expects 1 argument");
  if (typeof args[0] !== "function") throw new TypeError("Fiber expects a function");
  return Reflect.construct(LegacyFiber, args, new.target ?? Fiber);
} as unknown as FiberConstructor;

let poolSize = 120;

Object.defineProperties(LegacyFiber.prototype, {
  constructor: { value: Fiber, configurable: true, writable: true },
});
Object.defineProperties(Fiber, {
  name: { value: "Fiber" },
  prototype: { value: LegacyFiber.prototype },
  yield: { value: yieldToCaller, configurable: true, enumerable: true, writable: true },
  current: { get: () => LegacyFiber.current, configurable: true, enumerable: true },
  fibersCreated: { get: () => stackCounts().created, configurable: true, enumerable: true },
  poolSize: {
    get: () => poolSize,
    set: (size) => {
      poolSize = Number(size);
    },
    configurable: true,
    enumerable: true,
  },
});
Object.defineProperty(yieldToCaller, "name", { value: "yield" });

export = Fiber;

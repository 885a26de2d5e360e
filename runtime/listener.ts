// Event listeners, timers' callbacks and handlers: code that somebody on the hub's stack calls, in fibers of their own.
import { executionAsyncId } from "node:async_hooks";

import { begin, current, theSwitch } from "./coroutine";
import { checkFunction, invalidArgument, outOfRange } from "./errors";
import { Fiber, nameOf, newRecord } from "./fiber";
import { Hidden } from "./hidden";
import { raise } from "./hub";
import { isProgram } from "./program";
import { LinkedList } from "./sync/linked-list";

type Listener = (...args: never[]) => unknown;

/** Errors with which a listener's fiber ends without a word, for nobody else is concerned (compat/clients.ts). */
export const quiet = new Hidden<Error, true>();

function isQuiet(error: unknown): boolean {
  return error instanceof Error && quiet.get(error) === true;
}

const noOptions = {};

/** Runs a listener: its failure is as if the listener itself had thrown. */
class ListenerFiber extends Fiber {
  /** Whether the emitter has gone on already: then only the process can be told. */
  away: boolean;

  constructor(listener: Listener, self: unknown, args: unknown[], name: string, away: boolean) {
    super(listener, noOptions, self, args, newRecord(name));
    this.away = away;
  }

  override get implicit(): boolean {
    return true;
  }

  override goesUncaught(error: unknown): boolean {
    return this.away && !isQuiet(error);
  }

  protected override unobserved(error: unknown): void {
    if (this.away && !this.told && !isQuiet(error)) raise(error);
  }
}

/**
 * Whether a listener that is called now gets a fiber of its own: on the hub's stack, and on a fiber's above a native
 * frame that this fiber must not leave. Elsewhere it is part of the fiber that calls it.
 */
export function startsFiber(): boolean {
  if (current === null) return theSwitch().stacks !== null;
  return current.pinned === 0 && executionAsyncId() !== current.asyncId;
}

/** The same for a listener that is known: Node's own, and ours, never block. */
export function getsFiber(listener: unknown): boolean {
  return startsFiber() && isProgram(listener);
}

/**
 * Calls a listener in a fiber that starts at once, on top of the running stack. Returns or throws as the listener does.
 * But if it suspends first, `away` is called with the fiber, undefined is returned, and an error will go uncaught.
 * @param uncaught an error goes uncaught in any case, and undefined is returned
 */
export function runListener(
  listener: Listener,
  self: unknown,
  args: unknown[],
  name: string,
  away?: (fiber: Fiber) => void,
  uncaught = false,
): unknown {
  return outcomeOf(new ListenerFiber(listener, self, args, name, uncaught), away);
}

function goesAway(fiber: ListenerFiber): void {
  fiber.away = true;
}

function outcomeOf(fiber: ListenerFiber, away?: (fiber: Fiber) => void): unknown {
  if (away === undefined) begin(fiber, goesAway);
  else {
    begin(fiber, () => {
      goesAway(fiber);
      away(fiber);
    });
  }
  if (fiber.away) return undefined;
  if (!fiber.successful && !isQuiet(fiber.exception)) throw fiber.exception;
  return fiber.value;
}

/** The same for a callback that nobody but the event loop calls: an error goes uncaught in any case. */
export function runCallback(callback: Listener, self: unknown, args: unknown[], away?: (fiber: Fiber) => void): void {
  begin(new ListenerFiber(callback, self, args, nameOf(callback), true), away);
}

/** A fiber, to be started later, that calls a listener in the async context of now. An error of it will go uncaught. */
export function laterListener(listener: Listener, self: unknown, args: unknown[], name: string): Fiber {
  return new ListenerFiber(listener, self, args, name, true);
}

/**
 * How many fibers servers may have started that have not ended; what comes above that waits for its turn.
 * (gevent: the pool that a server spawns in)
 */
class Ceiling {
  #most = 10_000;
  #active = 0;
  readonly #waiting = new LinkedList<Fiber>();
  readonly #left = () => {
    this.#active--;
    this.#admit();
  };

  set most(most: number) {
    this.#most = most;
    this.#admit();
  }

  get reached(): boolean {
    return this.#active >= this.#most;
  }

  /** As `runListener`; where it is reached, the caller queues. */
  run(listener: Listener, self: unknown, args: unknown[], name: string, uncaught: boolean): unknown {
    const fiber = new ListenerFiber(listener, self, args, name, uncaught);
    this.#enter(fiber);
    return outcomeOf(fiber);
  }

  #enter(fiber: Fiber): void {
    this.#active++;
    fiber.record.atEnd(this.#left);
  }

  /** Starts `fiber` when there is room for it. */
  add(fiber: Fiber): void {
    this.#waiting.append(fiber);
    this.#admit();
  }

  #admit(): void {
    for (let place = this.#waiting.first; place !== null && !this.reached; place = this.#waiting.first) {
      this.#waiting.remove(place);
      this.#enter(place.value);
      place.value.start();
    }
  }
}

export const serverFibers = new Ceiling();

/** @param name what the caller calls it */
export function checkMaxServerFibers(most: unknown, name: string): number {
  if (typeof most !== "number") throw invalidArgument(name, "of type number", most);
  if (!(most >= 1 && (Number.isSafeInteger(most) || most === Number.POSITIVE_INFINITY))) {
    throw outOfRange(name, "a whole number >= 1, or Infinity", most);
  }
  return most;
}

/**
 * A function that calls `handler`, with the same arguments and `this`, in a fiber of its own each time: for servers
 * and frameworks that the patch does not reach. The fiber starts at once (at the hub's next turn, when called in a
 * fiber). The call returns what the handler returns, or throws what it throws, if it does so without suspending; else
 * undefined, and an error is an uncaught one, as a listener's is. Where there are no fibers, the handler itself is
 * called.
 */
// biome-ignore lint/suspicious/noExplicitAny: any handler
export function wrap<F extends (this: any, ...args: any[]) => unknown>(
  handler: F,
): (...args: Parameters<F>) => unknown {
  checkFunction(handler, "handler");
  const wrapped = function (this: unknown, ...args: Parameters<F>) {
    if (theSwitch().stacks === null) return Reflect.apply(handler, this, args);
    if (current === null) return runListener(handler, this, args, nameOf(handler));
    laterListener(handler, this, args, nameOf(handler)).start();
    return undefined;
  };
  Object.defineProperty(wrapped, "name", { value: handler.name, configurable: true });
  Object.defineProperty(wrapped, "length", { value: handler.length, configurable: true });
  return wrapped;
}

// Waiting for several things at once. (gevent: `iwait`, `wait`, `joinall`, `killall`)
import { now } from "../clock";
import { currentRoot } from "../coroutine";
import { checkCount, checkIterable, Empty, FiberExit, invalidArgument } from "../errors";
import { checkKillOptions, Fiber, type KillOptions } from "../fiber";
import { checkLimit, type LimitOptions, timeoutOf } from "../limit";
import { Queue } from "./queue";
import { Timeout } from "./timeout";
import type { Waitable } from "./waitable";

export interface WaitOptions extends LimitOptions {
  /** Of how many to wait. Default: of all. */
  count?: number;
}

/** What one can wait for beside others: a fiber, an event, a result, a semaphore, a promise. */
export type Awaitable = Waitable | PromiseLike<unknown>;

function isWaitable(value: unknown): value is Waitable {
  const { ready, link, unlink } = (value ?? {}) as Partial<Waitable>;
  return typeof ready === "boolean" && typeof link === "function" && typeof unlink === "function";
}

/** Calls `then` once `object` is ready, whether well or badly; returns what calls that off. */
function whenReady(object: Awaitable, then: () => void): () => void {
  if (object instanceof Fiber) object.observe();
  if (!isWaitable(object)) {
    let wanted = true;
    const settled = () => {
      if (wanted) then();
    };
    object.then(settled, settled);
    return () => {
      wanted = false;
    };
  }
  if (object.ready) {
    then();
    return () => {};
  }
  object.link(then);
  return () => object.unlink(then);
}

function checkObjects<T>(objects: Iterable<T>, name: string): T[] {
  checkIterable(objects, name);
  const list = [...objects];
  for (const [place, object] of list.entries()) {
    if (isWaitable(object) || typeof (object as PromiseLike<unknown> | null)?.then === "function") continue;
    throw invalidArgument(`${name}[${place}]`, "a fiber, an event, a result, a semaphore or a promise", object);
  }
  return list;
}

function checkFibers(fibers: Iterable<Fiber>, name: string): Fiber[] {
  checkIterable(fibers, name);
  const list = [...fibers];
  const place = list.findIndex((fiber) => !(fiber instanceof Fiber));
  if (place >= 0) throw invalidArgument(`${name}[${place}]`, "a fiber", list[place]);
  return list;
}

function checkWaitOptions(options: WaitOptions): number {
  checkLimit(options, "options");
  const { count = Number.POSITIVE_INFINITY } = options;
  checkCount(count, "options.count");
  return count;
}

/**
 * Yields each of `objects` when it is ready, in that order: a blocking iterator. It ends when all were yielded, or
 * `count` of them, or when the time is over; the time runs from the first step on. A failure counts as ready, and is
 * not thrown.
 *
 *     for (const fiber of iwait(fibers)) console.log(fiber.value);
 *
 * @throws AbortError, from a step
 */
export function iwait<T extends Awaitable>(objects: Iterable<T>, options: WaitOptions = {}): Generator<T, void, void> {
  const list = checkObjects(objects, "objects");
  return ready(list, Math.min(checkWaitOptions(options), list.length), options);
}

function* ready<T extends Awaitable>(objects: T[], count: number, options: LimitOptions): Generator<T, void, void> {
  const end = now() + timeoutOf(options);
  const queue = new Queue<T>();
  const callOff = objects.map((object) => whenReady(object, () => queue.put(object)));
  try {
    for (let left = count; left > 0; left--) {
      let object: T;
      try {
        object = queue.get({ timeout: Math.max(0, end - now()), signal: options.signal });
      } catch (error) {
        if (error instanceof Empty) return;
        throw error;
      }
      yield object;
    }
  } finally {
    for (const undo of callOff) undo();
  }
}

/**
 * Waits until all of `objects` are ready, or `count` of them, or the time is over. A failure counts as ready, and is not
 * thrown. (gevent: `wait`)
 * @returns those that are ready, in the order in which they became so
 */
export function waitAll<T extends Awaitable>(objects: Iterable<T>, options: WaitOptions = {}): T[] {
  return [...iwait(objects, options)];
}

/**
 * Waits until all fibers have ended, or `count` of them, or the time is over.
 * @param options.raiseError whether to throw what a fiber failed with as soon as it does; default: no
 * @returns those that have ended, in the order in which they did
 */
export function joinAll<F extends Fiber>(
  fibers: Iterable<F>,
  options: WaitOptions & { raiseError?: boolean } = {},
): F[] {
  const list = checkFibers(fibers, "fibers") as F[];
  const count = checkWaitOptions(options);
  const { raiseError = false } = options;
  if (typeof raiseError !== "boolean") throw invalidArgument("options.raiseError", "of type boolean", raiseError);
  const ended: F[] = [];
  for (const fiber of ready(list, Math.min(count, list.length), options)) {
    if (raiseError && fiber.dead && !fiber.successful) throw fiber.exception;
    ended.push(fiber);
  }
  return ended;
}

/**
 * Kills all fibers at once, as `Fiber#kill` does one; the running fiber, if it is among them, last.
 * Waiting for their end it looks at what they fail with, as `joinAll` does: that does not go uncaught.
 * @param error what to throw into them; default: a FiberExit for each
 * @param options.block whether to wait for their end; default: yes in a fiber, no on the hub's stack
 * @throws Timeout when they have not all ended in time
 */
export function killAll(fibers: Iterable<Fiber>, error?: unknown, options: KillOptions = {}): void {
  const list = [...new Set(checkFibers(fibers, "fibers"))].filter((fiber) => !fiber.dead);
  const { block } = checkKillOptions(options);
  const running = currentRoot();
  const others = list.filter((fiber) => (fiber as unknown) !== running);
  for (const fiber of others) fiber.throw(error ?? new FiberExit());
  if (others.length < list.length) (running as Fiber).throw(error ?? new FiberExit());
  if (!block) return;
  for (const _ of ready(others, others.length, options));
  if (others.some((fiber) => !fiber.dead)) throw new Timeout(timeoutOf(options));
}

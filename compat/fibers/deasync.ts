// The package `deasync`: functions with a callback, called in blocking style. In a fiber that suspends it, and no event loop
// runs within another; out of one the thread sleeps where it can.
import { block } from "../../runtime/block";
import { current } from "../../runtime/coroutine";
import type { AnyFunction } from "../../runtime/disguise";
import { cannotPark, checkFunction } from "../../runtime/errors";
import { sleepSync } from "../timers";

// As they were before anybody patched them.
const { clearImmediate, clearTimeout, setImmediate, setTimeout } =
  require("node:timers") as typeof import("node:timers");

/** So many sleeps in a row look like a loop. */
const MANY_SLEEPS = 100;

/** After so many turns of the event loop, `loopWhile` gives the thread a rest between two. */
const EAGER_TURNS = 100;

/**
 * A function that calls `fn`, with a callback in Node's style as one more argument, and returns what that is called with, or
 * throws it: in a fiber it suspends it.
 * Out of a fiber the thread sleeps, if `fn` is a function of `fs`, `crypto` or `zlib` that has a `*Sync` twin, or, under the
 * patch, of `dns`.
 * @throws ERR_INVALID_ARG_TYPE; when called out of a fiber, ERR_NOT_IN_FIBER for all other functions: `fn` is not called then
 * @example const { stdout } = deasync(child_process.exec)("ls");
 */
function deasync(fn: AnyFunction): AnyFunction {
  checkFunction(fn, "fn");
  return function (this: unknown, ...args: unknown[]) {
    if (current === null) return callTwin(fn, this, args);
    return block((waiter) => {
      Reflect.apply(fn, this, [...args, waiter.callback]);
    });
  };
}

/** Nobody can interrupt the thread, and so what Node's blocking function does is what the other one would. */
function callTwin(fn: AnyFunction, self: unknown, args: unknown[]): unknown {
  for (const name of ["fs", "crypto", "zlib", "dns"]) {
    const module = require(`node:${name}`) as Record<string, AnyFunction | undefined>;
    const key = Object.keys(module).find((key) => module[key] === fn);
    const twin = key === undefined ? undefined : module[`${key}Sync`];
    if (twin === undefined) continue;
    const result = Reflect.apply(twin, self, args);
    return name === "dns" ? firstValue(result) : result;
  }
  throw cannotPark(`deasync(${fn.name || "fn"})()`);
}

/** `dns.lookup` and `lookupService` call back with two values, of which their twins make an object. */
function firstValue(result: unknown): unknown {
  if (typeof result !== "object" || result === null || Array.isArray(result)) return result;
  const { address, hostname } = result as { address?: unknown; hostname?: unknown };
  return address ?? hostname ?? result;
}

/**
 * Suspends the running fiber while `pred()` is true. It is asked after each turn of the event loop; after a hundred of them,
 * each millisecond.
 * @throws ERR_NOT_IN_FIBER out of a fiber, if `pred()` is true; what `pred` throws; ERR_INVALID_ARG_TYPE
 */
function loopWhile(pred: () => unknown): void {
  checkFunction(pred, "pred");
  for (let turns = 0; pred(); turns++) {
    if (current === null) throw cannotPark("deasync.loopWhile()");
    if (turns < EAGER_TURNS) takeTurn();
    else rest();
  }
}

/**
 * Suspends the running fiber until the event loop has gone round once.
 * @throws ERR_NOT_IN_FIBER out of a fiber
 */
function runLoopOnce(): void {
  if (current === null) throw cannotPark("deasync.runLoopOnce()");
  takeTurn();
}

function takeTurn(): void {
  block<void>((waiter) => {
    const turn = setImmediate(() => waiter.resolve());
    return () => clearImmediate(turn);
  });
}

function rest(): void {
  block<void>((waiter) => {
    const timer = setTimeout(() => waiter.resolve(), 1);
    return () => clearTimeout(timer);
  });
}

/**
 * Waits for `ms` milliseconds: suspends the fiber; out of a fiber, the whole thread sleeps, and no callback runs meanwhile.
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
 */
function sleep(ms: number): void {
  sleepSync(ms);
  if (current === null) noteSleep();
}

/** Sleeps of the thread since the event loop last had control. */
let sleeps = 0;
let warned = false;

// A loop that waits for a callback in this way would never end, and never say why. But it may wait for something else.
function noteSleep(): void {
  if (sleeps++ === 0) process.nextTick(() => (sleeps = 0));
  if (sleeps < MANY_SLEEPS || warned) return;
  warned = true;
  // Not process.emitWarning, which needs a turn, too.
  console.error(
    `Warning: deasync.sleep() has put the thread to sleep ${MANY_SLEEPS} times in a row, and no callback runs meanwhile. If the ` +
      "program waits for one, it has to call this in a fiber: spawn(() => ...), or start with `runtime run`.",
  );
}

deasync.loopWhile = loopWhile;
deasync.runLoopOnce = runLoopOnce;
deasync.sleep = sleep;

export = deasync;

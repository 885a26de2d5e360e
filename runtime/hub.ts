// The hub: the thread's ordinary event loop on its ordinary stack. It alone resumes fibers; this file is its ready
// queue. What becomes ready while a fiber runs waits here until control is back on the hub's stack; but for a new fiber that
// is waited for, which may begin at once (`takeNext`).

import { now } from "./clock";

// As they were at the start, whatever a program puts in their place.
const { setImmediate } = require("node:timers") as typeof import("node:timers");
const { nextTick } = process;

/** Something that the hub runs when its turn comes. */
export interface Runnable {
  run(): void;
}

/** For how long, in milliseconds, the hub goes through the queue before it lets I/O run. */
const SLICE = 8;
/** The clock is read once in so many turns. */
const TURNS_BETWEEN_LOOKS = 16;

let queue: Runnable[] = [];
let next = 0;
let draining = false;
let drainRequested = false;
/** How much has run in this time slice, when that ends, and whether it has. */
let turn = 0;
let end = 0;
let isOver = false;

function drainRequestedNow(): void {
  drainRequested = false;
  drain();
}

function requestDrain(): void {
  if (drainRequested) return;
  setImmediate(drainRequestedNow);
  drainRequested = true; // not before: the stack may be too full for that call
}

/** Puts `runnable` at the end of the ready queue. */
export function schedule(runnable: Runnable): void {
  queue.push(runnable);
  if (!draining) requestDrain();
}

/** Puts `runnable` before all others: nothing else runs until control is back on the hub's stack. */
export function scheduleFirst(runnable: Runnable): void {
  if (next > 0) queue[--next] = runnable;
  else queue.unshift(runnable);
  if (!draining) requestDrain();
}

/** What waits in the ready queue. */
export function waiting(): Runnable[] {
  return queue.slice(next);
}

/** How many wait in the ready queue. */
export function scheduled(): number {
  return queue.length - next;
}

/** Runs what is ready, on the hub's stack, for at most a time slice; what is left comes after I/O had its turn. */
export function drain(): void {
  if (draining || next === queue.length) return;
  draining = true;
  turn = 0;
  end = now() + SLICE;
  isOver = false;
  try {
    while (next < queue.length) {
      const runnable = queue[next] as Runnable;
      queue[next++] = idle;
      try {
        runnable.run();
      } catch (error) {
        raise(error); // a callback's, not its neighbours'
      }
      if (isSliceOver()) break;
    }
  } finally {
    draining = false;
    if (next === queue.length) {
      queue = [];
      next = 0;
    } else {
      if (next > 1024 && next * 2 > queue.length) {
        queue = queue.slice(next);
        next = 0;
      }
      requestDrain();
    }
  }
}

function isSliceOver(): boolean {
  if (++turn % TURNS_BETWEEN_LOOKS === 0) isOver = now() > end;
  return isOver;
}

/** Takes `runnable` out of the queue, for a fiber that waits for it and may as well run it, if it is the next in there. */
export function takeNext(runnable: Runnable): boolean {
  if (!draining || queue[next] !== runnable || isSliceOver()) return false;
  queue[next++] = idle;
  return true;
}

const idle: Runnable = { run() {} };

/**
 * Lets `error` go uncaught, as if an event listener on the hub had thrown it.
 * On a stack of its own, so that nobody on this one can catch it.
 */
export function raise(error: unknown): void {
  nextTick(() => {
    throw error;
  });
}

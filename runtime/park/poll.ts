// For what no other thread can wait for: the calling thread asks for it again and again, and sleeps in between.
import { now } from "../clock";
import { Timeout } from "../sync/timeout";

// As it was before compat/atomics.ts made it cooperative.
const { wait } = Atomics;
let nobodyWakes: Int32Array | undefined; // not before it is needed: V8 can be told to have no such buffers

/** Puts the thread to sleep for `ms` milliseconds. Nothing else runs in it meanwhile. */
export function sleepThread(ms: number): void {
  wait((nobodyWakes ??= new Int32Array(new SharedArrayBuffer(4))), 0, 0, ms);
}

/** The longest sleep between two questions, in milliseconds. What takes long is asked for seldom. */
const LONGEST = 5;

/**
 * Calls `ask` until it has an answer, which is returned: anything but undefined.
 * @param total what a Timeout tells, where `ms` is only what is left of it
 * @throws what `ask` throws; Timeout after `ms` milliseconds
 */
export function poll<T>(ms: number, ask: () => T | undefined, total = ms): T {
  const start = now();
  for (;;) {
    const answer = ask();
    if (answer !== undefined) return answer;
    const waited = now() - start;
    if (waited >= ms) throw new Timeout(total);
    sleepThread(Math.min(LONGEST, Math.max(0.05, waited / 8), ms - waited));
  }
}

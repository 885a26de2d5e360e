import { setImmediate as turn } from "node:timers/promises";

/** Lets the event loop turn until `condition` holds; what is not so after `ms` milliseconds fails the test. */
export async function until(condition: () => unknown, ms = 20_000): Promise<void> {
  const end = Date.now() + ms;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`Not so within ${ms} ms: ${condition}`);
    await turn();
  }
}

export { turn };

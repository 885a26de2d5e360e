import { info } from "runtime";
import { describe, it } from "vitest";

/** Whether there are fibers here: not under RUNTIME_SWITCH=none, nor where the addon could not be built. */
export const hasFibers = info().switch !== "none";

/** A test's name that tells why it is skipped, where it is; scripts/test.mjs counts these. */
function named(name: string): string {
  return hasFibers ? name : `${name} (skipped, no fibers: ${info().reason})`;
}

/** A `describe` for what only fibers can do; where there are none it is skipped, and its name says so. */
export function describeFibers(name: string, tests: () => void): void {
  describe.runIf(hasFibers)(named(name), tests);
}

/** The same for a single test. */
export function itFibers(name: string, test: () => void | Promise<void>, timeout?: number): void {
  it.runIf(hasFibers)(named(name), test, timeout);
}

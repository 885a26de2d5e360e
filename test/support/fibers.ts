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

function testFibers(name: string, test: () => void | Promise<void>, timeout?: number): void {
  it.runIf(hasFibers)(named(name), test, timeout);
}

// biome-ignore lint/suspicious/noExplicitAny: it has a dozen forms
const each = (...rows: any[]) => {
  // biome-ignore lint/suspicious/noExplicitAny: the same
  return (name: string, ...rest: any[]) => (it.runIf(hasFibers).each as any)(...rows)(named(name), ...rest);
};

/** The same for a single test, and as `it.each` for several. */
export const itFibers = Object.assign(testFibers, { each: each as typeof it.each });

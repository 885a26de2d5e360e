import { info } from "runtime";
import { describe } from "vitest";

/** Whether there are fibers here: not under RUNTIME_SWITCH=none, nor where the addon could not be built. */
export const hasFibers = info().switch !== "none";

/** A `describe` for what only fibers can do; where there are none it is skipped, and says so. */
export function describeFibers(subject: string, tests: () => void): void {
  if (!hasFibers) console.log(`${subject}: skipped, there are no fibers (${info().reason})`);
  describe.runIf(hasFibers)(subject, tests);
}

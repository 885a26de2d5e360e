// timers: sleeping.
import timers = require("node:timers");

import { canSuspend } from "../runtime/coroutine";
import { checkDuration } from "../runtime/errors";
import { sleep } from "../runtime/wait";
import type { ModulePatch } from "./patching";

declare module "timers" {
  /**
   * Waits for `ms` milliseconds: suspends the fiber; out of a fiber, the whole thread sleeps.
   * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE
   */
  function sleepSync(ms: number): void;
}

// As it was before compat/atomics.ts made it cooperative.
const { wait } = Atomics;

function sleepSync(ms: number): void {
  checkDuration(ms, "ms");
  if (canSuspend()) sleep(ms);
  else wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

export const timersPatch: ModulePatch = {
  name: "timers",
  apply: (define) => define.add(timers, "sleepSync", sleepSync),
};

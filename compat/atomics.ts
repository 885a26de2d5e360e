// Atomics.wait in a fiber suspends it, so that what is built on it (synckit, sync-rpc, a library's own worker with a
// shared buffer) becomes cooperative.
import { block } from "../runtime/block";
import { canSuspend } from "../runtime/coroutine";
import type { ModulePatch } from "./patching";

type Result = "ok" | "not-equal" | "timed-out";

/** ES2024; TypeScript's libraries before that do not have it, all supported Nodes do. */
type WaitAsync = (...args: unknown[]) => { async: false; value: Result } | { async: true; value: Promise<Result> };
const { waitAsync } = Atomics as unknown as { waitAsync: WaitAsync };

const LONGEST = 2 ** 31 - 1;

export const atomicsPatch: ModulePatch = {
  name: "Atomics",
  apply(define) {
    define.replace(Atomics, "wait", (wait) => (...args) => {
      if (!canSuspend()) return wait(...args);
      return block<Result>((waiter) => {
        const pending = waitAsync(...args);
        if (!pending.async) {
          waiter.resolve(pending.value);
          return;
        }
        // A pending waitAsync does not keep the event loop alive; a thread in Atomics.wait would be.
        const alive = setInterval(() => {}, LONGEST);
        // It cannot be taken back either: a notification that reaches it too late is passed on to the next.
        waiter.discard = (result) => {
          if (result === "ok") Atomics.notify(args[0], args[1], 1);
        };
        pending.value.then((result) => {
          clearInterval(alive);
          waiter.resolve(result);
        });
        return () => clearInterval(alive);
      });
    });
  },
};

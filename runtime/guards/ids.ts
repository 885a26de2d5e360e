// Changing the process's user or group while there are fibers.
//
// To the kernel these belong to a thread, so libc sends a signal to every thread that it knows, and waits until each has
// marked its own record as done. Fibers look like threads to libc, but the signal for each of them would reach the one
// thread that runs them all, which can mark only its own: libc would wait for ever.
import { withoutContexts } from "../coroutine";
import { replace } from "../disguise";

export function guardIds(): void {
  for (const name of ["setuid", "seteuid", "setgid", "setegid", "setgroups", "initgroups"]) {
    replace(
      process,
      name,
      (set) =>
        function (this: unknown, ...args: unknown[]) {
          return withoutContexts(() => Reflect.apply(set, this, args));
        },
    );
  }
}

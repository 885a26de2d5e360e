// Changing the process's user or group while there are fibers.
//
// To the kernel these belong to a thread, so libc sends a signal to every thread that it knows, and waits until each has
// marked its own record as done. Fibers look like threads to libc: suspended ones hide from it (native/swap.cc), but the
// thread that a fiber's stack is made with would be gone before it has answered, and libc would wait for ever.
import { holdingContexts } from "../coroutine";
import { replace } from "../disguise";

export function guardIds(): void {
  for (const name of ["setuid", "seteuid", "setgid", "setegid", "setgroups", "initgroups"]) {
    replace(
      process,
      name,
      (set) =>
        function (this: unknown, ...args: unknown[]) {
          return holdingContexts(() => Reflect.apply(set, this, args));
        },
    );
  }
}

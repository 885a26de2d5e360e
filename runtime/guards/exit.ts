// process.exit() in a fiber.
//
// Its listeners run on the caller's stack, and Node promises them that nothing else runs any more. One that writes
// a file must not let the hub go on.
import { pinned } from "../coroutine";
import { replace } from "../disguise";

let called = false;

/** Whether the program has asked for its end itself. */
export function exitWasCalled(): boolean {
  return called;
}

export function guardExit(): void {
  replace(
    process,
    "exit",
    (exit) =>
      function (this: unknown, ...args: unknown[]) {
        called = true;
        return pinned("inside process.exit()", () => Reflect.apply(exit, this, args));
      },
  );
}

// process.exit() in a fiber.
//
// Its listeners run on the caller's stack, and Node promises them that nothing else runs any more. One that writes
// a file must not let the hub go on.
import { pinned } from "../block";
import { current } from "../coroutine";
import { replace } from "../disguise";

export function guardExit(): void {
  replace(
    process,
    "exit",
    (exit) =>
      function (this: unknown, ...args: unknown[]) {
        if (current === null) return Reflect.apply(exit, this, args);
        return pinned("inside process.exit()", () => Reflect.apply(exit, this, args));
      },
  );
}

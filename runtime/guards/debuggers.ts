// Debuggers that step.
//
// V8 archives a thread's pending step with the rest of its state, and when it takes that up again it looks for the frame that
// the step is to end in. One that is to end in whatever function is called next has no such frame: "step into", and each step
// at the end of the last function that the debugger does not ignore. V8 walks on past the end of the stack then, and crashes. So
// where there may be a debugger, a function is called before a stack is left, for such a step to end in.
import { isMainThread } from "node:worker_threads";
import { onceLoaded } from "../builtins";
import { beforeFirstFiber, theSwitch } from "../coroutine";
import { isGiven } from "../node-options";
import { addonOrNull } from "../switch";

// As it was before anybody patched or replaced it.
const { compileFunction } = require("node:vm") as typeof import("node:vm");

export function guardSteps(): void {
  if (isMainThread) {
    // Node says so to itself once it listens for debuggers: told by a signal, or by inspector.open().
    process.on("internalMessage" as "message", (message: unknown) => {
      if ((message as { cmd?: unknown } | null)?.cmd === "NODE_DEBUG_ENABLED") expectSteps();
    });
  }
  beforeFirstFiber(() => {
    theSwitch().stacks?.landSteps(landing());
    if (isGiven(/--inspect(?!-port|-publish)/)) expectSteps();
    onceLoaded("inspector", expectSteps); // the program may become a debugger itself
  });
}

function expectSteps(): void {
  addonOrNull()?.expectSteps();
}

/** A function that calls another one, in a script of their own: debuggers are told to ignore whole folders, such as node_modules. */
function landing(): () => void {
  const make = compileFunction(source, [], { filename: "runtime: where a step ends" });
  return make() as () => void;
}

const source = `"use strict";
// A debugger that steps stops here where a fiber leaves its stack, or is begun, or ends: V8 cannot keep a step over that.
// Let the program resume; set a breakpoint where it is to stop next.
return function stepEnds(last = here) {
  last();
};
function here() {}
`;

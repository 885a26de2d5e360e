// The main fiber: a whole program in a fiber, so that it may block from its first line.
import { current, inspectStacks, uncaught } from "./coroutine";
import { FiberExit } from "./errors";
import { Fiber } from "./fiber";
import { exitWasCalled } from "./guards/exit";
import { ownFrames } from "./observe/trace";

/** As Node exits when the event loop runs dry under a top-level await. */
export const UNSETTLED = 13;

/**
 * Runs a program in the main fiber, so that it may block from its first line; `runtime run` does this with a file.
 * If the event loop runs dry while the main fiber is still suspended, the program would block for ever: then standard
 * error tells which fibers wait where, and the exit code is 13.
 * @returns the main fiber; a failure of it that nobody looks at ends the process, as an uncaught error does
 */
export function runMain<T>(program: () => T): Fiber<T> {
  // A failure that nobody waits for is Node's to report: as of any main program, with the line that threw it.
  const goesUncaught = (error: unknown) => {
    if (main.observed || error instanceof FiberExit) return false;
    main.observe();
    pinForGood("while its failure is reported");
    return true;
  };
  const main: Fiber<T> = new Fiber(() => uncaught(program, goesUncaught), { name: "main" });
  process.on("exit", (code) => {
    if (main.dead || code !== 0 || exitWasCalled()) return;
    process.exitCode = UNSETTLED;
    const list = [...inspectStacks()]
      .map(([{ name }, trace]) => `\n  ${name || "(anonymous)"} is suspended\n${ownFrames(trace)}`)
      .join("\n");
    process.stderr.write(`Deadlock: the main fiber is suspended, and nothing is left that could resume it.\n${list}\n`);
  });
  return main.start();
}

/** For what is left of the running fiber. */
function pinForGood(why: string): void {
  if (current === null) return;
  current.pinned++;
  current.pinnedBy = why;
}

// The main fiber: a whole program in a fiber, so that it may block from its first line.
import { begin, current, inspectStacks } from "./coroutine";
import { Fiber } from "./fiber";
import { exitWasCalled } from "./guards/exit";
import { raise } from "./hub";
import { ownFrames } from "./observe/trace";

/** As Node exits when the event loop runs dry under a top-level await. */
export const UNSETTLED = 13;

class MainFiber<T> extends Fiber<T> {
  /** Whether it is for the process to be told of a failure, as nobody else can be. */
  tellsProcess = false;

  /** @param reports whether the process is told of a failure where that was thrown */
  constructor(
    program: () => T,
    readonly reports = false,
  ) {
    super(program, { name: "main" });
  }

  override goesUncaught(): boolean {
    return this.reports;
  }

  override get implicit(): boolean {
    return true;
  }

  protected override unobserved(error: unknown): void {
    if (this.tellsProcess) raise(error);
  }

  begin(): void {
    process.on("exit", (code) => {
      if (this.dead || code !== 0 || exitWasCalled()) return;
      process.exitCode = UNSETTLED;
      const list = [...inspectStacks()]
        .map(([{ name }, trace]) => `\n  ${name || "(anonymous)"} is suspended\n${ownFrames(trace)}`)
        .join("\n");
      process.stderr.write(
        `Deadlock: the main fiber is suspended, and nothing is left that could resume it.\n${list}\n`,
      );
    });
    if (current === null) begin(this);
    else this.start();
  }
}

/**
 * Runs a program in the main fiber, so that it may block from its first line; `runtime run` does this with a file. It
 * begins at once, as a main module does; called in a fiber, at the hub's next turn.
 * If the event loop runs dry while the main fiber is still suspended, the program would block for ever: then standard
 * error tells which fibers wait where, and the exit code is 13.
 * @returns the main fiber; a failure of it that nobody looks at is an uncaught error
 * @throws what the program throws before it first waits for anything, as a main module does
 */
export function runMain<T>(program: () => T): Fiber<T> {
  const main = new MainFiber(program);
  main.begin();
  if (main.dead && !main.successful) throw main.exception;
  main.tellsProcess = true;
  return main;
}

/**
 * @internal The same, where there is nobody but the process to tell of a failure: Node reports it as that of any main
 * program, with the line that threw it.
 */
export function runProgram(program: () => unknown): void {
  new MainFiber(program, true).begin();
}

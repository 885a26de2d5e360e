// The monitor: who keeps this thread to himself, and on which line.
import { records } from "../coroutine";
import { checkFunction, invalidArgument, noMonitor, outOfRange } from "../errors";
import { type Addon, loadAddon } from "../switch";

const DEFAULT_THRESHOLD = 100;
const LONGEST = 2 ** 31 - 1;

export interface MonitorOptions {
  /** How many milliseconds anything may run without a break. From 1 to 2,147,483,647; default 100. */
  threshold?: number;
  /**
   * Called on the hub's stack when a hog has ended, once for each; what it throws goes uncaught. Default: the hog is
   * told on standard error while it still runs, so that an endless loop is named too.
   */
  report?: (hog: Hog) => void;
}

/** Something that has run too long without a break. */
export interface Hog {
  /** The name of the fiber that ran; null: the hub did, that is, an ordinary callback. */
  fiber: string | null;
  /** The id of that fiber; null for the hub. */
  id: number | null;
  /** How long it ran, from one switch or turn of the event loop to the next, in milliseconds by the clock on the wall. */
  duration: number;
  /** Where it was when it had run for the threshold: lines as in `Error#stack`, without this package's own. */
  stack: string;
}

/** A monitor that runs. */
export interface Monitor {
  /** Ends it. Does nothing if it has ended, or if another `monitor()` has taken its place. */
  stop(): void;
}

let addon: Addon | null = null;
let running: Monitor | null = null;

/**
 * Watches this thread from now on: tells the fiber, or the hub, that runs for longer than `threshold` milliseconds
 * without a switch or a turn of the event loop, and the line of JavaScript that it was on. A thread of its own looks, and
 * V8 is interrupted only when there is something to tell, so it costs next to nothing. There is one monitor in a
 * thread: this one takes the place of one before. It does not keep the process alive. Also RUNTIME_MONITOR=100 in the
 * environment, for every thread that loads the package.
 *
 * Time that native code takes (a blocking system call, a regular expression, `Atomics.wait`) counts; the line is then
 * the one that JavaScript comes to next. Source maps are not applied.
 * @throws ERR_NO_FIBERS where the addon could not be loaded, or RUNTIME_SWITCH=none rules it out
 * @example const { stop } = monitor({ threshold: 50, report: ({ fiber, duration, stack }) => log(fiber, duration, stack) });
 */
export function monitor(options: MonitorOptions = {}): Monitor {
  if (typeof options !== "object" || options === null) throw invalidArgument("options", "of type object", options);
  const { threshold = DEFAULT_THRESHOLD, report } = options;
  checkThreshold(threshold, "options.threshold");
  if (report !== undefined) checkFunction(report, "options.report");
  return start(threshold, report);
}

function checkThreshold(value: unknown, name: string): asserts value is number {
  if (typeof value !== "number") throw invalidArgument(name, "of type number", value);
  if (!(value >= 1 && value <= LONGEST)) throw outOfRange(name, `from 1 to ${LONGEST} (milliseconds)`, value);
}

function start(threshold: number, report: MonitorOptions["report"]): Monitor {
  const native = theAddon();
  native.monitor(
    threshold,
    records,
    __dirname,
    report && ((fiber, id, duration, stack) => report({ fiber, id, duration, stack })),
  );
  const started = {
    stop() {
      if (running !== started) return;
      running = null;
      native.unmonitor();
    },
  };
  running = started;
  return started;
}

function theAddon(): Addon {
  try {
    addon ??= loadAddon();
  } catch (error) {
    if (error instanceof RangeError) throw error; // a stack overflow says nothing of this machine
    throw noMonitor(error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error));
  }
  return addon;
}

if (process.env.RUNTIME_MONITOR) {
  const threshold = Number(process.env.RUNTIME_MONITOR);
  checkThreshold(threshold, "RUNTIME_MONITOR");
  try {
    start(threshold, undefined);
  } catch (error) {
    process.emitWarning(`RUNTIME_MONITOR has no effect. ${(error as Error).message}`); // and the program goes on without
  }
}

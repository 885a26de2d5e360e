// The fibers of this thread, as a list of plain facts.
import { block } from "../block";
import { now } from "../clock";
import { begunFibers, canSuspend, currentRoot, hasRoom, inspectStacks, readyFibers } from "../coroutine";
import { scheduleFirst } from "../hub";
import { delayed, type FiberRecord } from "./record";
import { firstFrame, ownFrames } from "./trace";

/** What there is to tell of one fiber. */
export interface FiberInfo {
  /** The fiber's `id`. */
  id: number;
  /** The fiber's `name`; may be empty. */
  name: string;
  /**
   * "new": a timer is going to start it (`spawnLater`). "ready": it runs as soon as its turn comes.
   * "running": it has called `fibers()`. "suspended": it waits for something.
   */
  state: "new" | "ready" | "running" | "suspended";
  /** Milliseconds since it was created. */
  age: number;
  /** The program's own place where it is suspended, "work (/app/work.js:12:9)"; empty if it has not begun. */
  where: string;
  /** The id of the fiber that created it; null if it was created on the hub's stack. */
  parent: number | null;
  /** The lines of its stack trace, as in `Error#stack`, without this package's own; empty if it has not begun. */
  stack: string;
}

type Traces = Map<FiberRecord, string>;

/**
 * Lists this thread's fibers that are ready, running or suspended, and those that `spawnLater` is going to start, in the
 * order in which they were created. The list does not keep them alive.
 *
 * Each suspended fiber is asked for its stack trace, some 60 microseconds each. For that a fiber that calls this suspends
 * for a moment, in which no other runs; where it cannot, `where` and `stack` of all others are empty. A trace is as long as
 * `Error.stackTraceLimit` allows. Without fibers in this thread the list is empty.
 */
export function fibers(): FiberInfo[] {
  const root = currentRoot();
  if (root === null) return list(null, inspectStacks());
  const running = root.record;
  const own = traceHere();
  if (root.called || !canSuspend() || !hasRoom()) return list(running, new Map([[running, own]]));
  return block<FiberInfo[]>((waiter) =>
    scheduleFirst({ run: () => waiter.resolve(list(running, inspectStacks().set(running, own))) }),
  );
}

function traceHere(): string {
  const here: { stack?: unknown } = {};
  Error.captureStackTrace(here, fibers);
  return typeof here.stack === "string" ? here.stack.split("\n").slice(1).join("\n") : "";
}

function list(running: FiberRecord | null, traces: Traces): FiberInfo[] {
  const time = now();
  const ready = readyFibers();
  const begun = begunFibers();
  const stateOf = (record: FiberRecord): FiberInfo["state"] => {
    if (record === running) return "running";
    if (ready.has(record)) return "ready";
    return begun.has(record) ? "suspended" : "new";
  };
  const records = [...new Set([...begun, ...ready, ...delayed])].sort((a, b) => a.id - b.id);
  return records.map((record) => {
    const { id, name, parent, createdAt } = record;
    const stack = ownFrames(traces.get(record) ?? "");
    return { id, name, state: stateOf(record), age: time - createdAt, where: firstFrame(stack), parent, stack };
  });
}

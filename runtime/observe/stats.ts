// Numbers about this thread's fibers.
import { counts, currentRoot, pooledStacks, readyFibers } from "../coroutine";

/** Numbers about this thread's fibers: `spawned - ended` are alive, and are running, ready or suspended. */
export interface Stats {
  /** Fibers that were started so far: by `spawn`, `start`, `wrap`, or as a listener's. */
  spawned: number;
  /** 1 when called in a fiber, 0 on the hub's stack. */
  running: number;
  /** Fibers that run as soon as their turn comes: in the hub's queue, or waiting for a stack. */
  ready: number;
  /** Fibers that wait for something. */
  suspended: number;
  /** Fibers that have ended so far, in whatever way. */
  ended: number;
  /** How often so far a stack was switched to. */
  switches: number;
  /** Stacks that are kept for the next fibers. */
  pooled: number;
}

/**
 * Numbers about this thread's fibers, each since the thread began. They are counted anyway: asking costs a look through
 * the ready queue.
 */
export function stats(): Stats {
  const { spawned, ended, switches } = counts;
  const current = currentRoot();
  const queue = readyFibers();
  if (current !== null) queue.delete(current.record);
  const running = current === null ? 0 : 1;
  const ready = queue.size;
  return {
    spawned,
    running,
    ready,
    suspended: spawned - ended - running - ready,
    ended,
    switches,
    pooled: pooledStacks(),
  };
}

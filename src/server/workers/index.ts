// The engine of worker threads.
import type { Engine } from "../engine";

export interface WorkersOptions {
  /** Threads that are always there, and the most that there may be. */
  min?: number | undefined;
  max?: number | undefined;
  /** Milliseconds after which a thread that has nothing to do ends, where there are more than `min`. */
  idleTimeout?: number | undefined;
  /** Requests that may wait for a thread. */
  maxQueue?: number | undefined;
  /** Milliseconds from a request's head to the end of its response. */
  requestTimeout?: number | undefined;
}

export interface WorkersEngine extends Engine {
  /** Settles when the app is loaded; rejected with what that has failed with. */
  readonly ready: Promise<void>;
}

export function createWorkersEngine(_file: string, _options: WorkersOptions): WorkersEngine {
  throw new Error("The engine of worker threads is not in this build");
}

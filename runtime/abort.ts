// Listening to AbortSignals: one listener of ours on a signal, however many fibers it concerns, since Node warns of
// more than ten.
import { AbortError } from "./errors";
import { Hidden } from "./hidden";

/** Throws if `signal` is aborted. */
export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) throw new AbortError(signal.reason);
}

class Listeners {
  readonly #signal: AbortSignal;
  readonly #actions = new Set<() => void>();
  readonly #onAbort = () => {
    for (const action of this.#actions) action();
  };

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  add(action: () => void): void {
    if (this.#actions.size === 0) this.#signal.addEventListener("abort", this.#onAbort, { once: true });
    this.#actions.add(action);
  }

  delete(action: () => void): void {
    if (!this.#actions.delete(action) || this.#actions.size > 0) return;
    this.#signal.removeEventListener("abort", this.#onAbort);
  }
}

const listeners = new Hidden<AbortSignal, Listeners>();

/** Calls `action` when `signal` is aborted, unless what this returns was called before. */
export function whenAborted(signal: AbortSignal, action: () => void): () => void {
  let own = listeners.get(signal);
  if (own === undefined) listeners.set(signal, (own = new Listeners(signal)));
  own.add(action);
  return () => own.delete(action);
}

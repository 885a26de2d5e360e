// What fibers, events, results and semaphores have in common: one can wait for them, and link to them.
import { invalidArgument } from "../errors";
import { schedule } from "../hub";

/** The method of theirs that `wait` calls: waits, and returns the outcome, or throws it, or a Timeout. */
export const WAIT: unique symbol = Symbol("runtime.wait");

/** What can be linked to a source: a function, or an object that follows it, as an AsyncResult does. */
export type Link<S> = ((source: S) => void) | { follow(source: S): void };

/** Something that fibers can wait for: a Fiber, an Event, an AsyncResult, a Semaphore. */
export interface Waitable {
  /** Whether waiting for it would end at once. */
  readonly ready: boolean;
  /** Calls `link`, once, on the hub's stack, when it is ready; soon, if it is now. */
  link(link: Link<this>): void;
  /** Takes a link back. Does nothing if there is none. */
  unlink(link: Link<this>): void;
}

export function checkLink(value: unknown, name: string): void {
  if (typeof value === "function" || typeof (value as { follow?: unknown } | null)?.follow === "function") return;
  throw invalidArgument(name, "of type function, or an object to be settled such as an AsyncResult", value);
}

/** The links of one source, in the order in which they were made. */
export class Links<S> {
  #links: Link<S>[] = [];

  add(link: Link<S>): void {
    this.#links.push(link);
  }

  remove(link: Link<S>): void {
    const place = this.#links.indexOf(link);
    if (place >= 0) this.#links.splice(place, 1);
  }

  /** Has every link called, and forgets it. */
  notify(source: S): void {
    const links = this.#links;
    if (links.length === 0) return;
    this.#links = [];
    for (const link of links) callLater(link, source);
  }
}

/** Calls a link at the hub's next turn. */
export function callLater<S>(link: Link<S>, source: S): void {
  schedule({ run: () => (typeof link === "function" ? link(source) : link.follow(source)) });
}

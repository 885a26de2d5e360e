// The line in which fibers wait, the same under everything that they can wait for: first come, first served.
import type { Waiter } from "../block";
import { blockWithin, type EXPIRED, type Limit } from "../limit";
import { LinkedList, type Place } from "./linked-list";

interface Waiting<T, Item> {
  readonly waiter: Waiter<T>;
  readonly item: Item;
}

/**
 * Fibers in line for values of type T, each with an item of its own in its hand.
 *
 * Whoever is served has the value from that moment on, though it continues only when the hub comes to it. So nobody
 * can overtake it; and if it is killed before it continues, `discard` gets the value, to pass it on.
 */
export class Line<T = void, Item = undefined> {
  readonly #list = new LinkedList<Waiting<T, Item>>();
  readonly #discard: ((value: T) => void) | null;
  readonly #joined: ((item: Item) => void) | null;

  /** @param joined called with what somebody has in its hand who begins to wait */
  constructor(discard: ((value: T) => void) | null = null, joined: ((item: Item) => void) | null = null) {
    this.#discard = discard;
    this.#joined = joined;
  }

  /** How many wait. */
  get size(): number {
    return this.#list.size;
  }

  /** The first in line who will not be interrupted before it could continue, with what it has in its hand. */
  get first(): { readonly item: Item } | null {
    return this.#first()?.value ?? null;
  }

  /** Suspends the running fiber at the end of the line, until it is served. */
  wait(limit: Limit, item: Item): T | typeof EXPIRED {
    return blockWithin<T>(limit, (waiter) => {
      const place = this.#list.append({ waiter, item });
      waiter.discard = this.#discard;
      this.#joined?.(item);
      return () => this.#list.remove(place);
    });
  }

  /** Gives `value` to the first in line, who continues soon. False if nobody waits. */
  serve(value: T): boolean {
    const waiter = this.#leave();
    return waiter?.resolveLater(value) ?? false;
  }

  /** Gives `value` to `first`, for what it has in its hand. */
  exchange(value: T): { readonly item: Item } | null {
    const place = this.#first();
    if (place === null) return null;
    this.#list.remove(place);
    place.value.waiter.resolveLater(value);
    return place.value;
  }

  /** Gives `value` to everybody who waits now. */
  serveAll(value: T): void {
    while (this.serve(value));
  }

  /** Ends the waiting of everybody who waits now with an error of its own. */
  rejectAll(makeError: () => Error): void {
    for (let waiter = this.#leave(); waiter !== null; waiter = this.#leave()) waiter.rejectLater(makeError());
  }

  #first(): Place<Waiting<T, Item>> | null {
    let place = this.#list.first;
    while (place?.value.waiter.interrupted) place = place.next;
    return place;
  }

  #leave(): Waiter<T> | null {
    const place = this.#list.first;
    if (place === null) return null;
    this.#list.remove(place);
    return place.value.waiter;
  }
}

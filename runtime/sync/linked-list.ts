// A list from whose middle, too, an element is taken in constant time.

/** An element's place in a list. */
export interface Place<T> {
  readonly value: T;
  /** @internal */ previous: Place<T> | null;
  /** @internal */ next: Place<T> | null;
  /** @internal Whether it is in its list still. */ linked: boolean;
}

export class LinkedList<T> {
  #first: Place<T> | null = null;
  #last: Place<T> | null = null;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get first(): Place<T> | null {
    return this.#first;
  }

  append(value: T): Place<T> {
    const place = { value, previous: this.#last, next: null, linked: true };
    if (this.#last === null) this.#first = place;
    else this.#last.next = place;
    this.#last = place;
    this.#size++;
    return place;
  }

  /** Does nothing if it was removed before. */
  remove(place: Place<T>): void {
    if (!place.linked) return;
    place.linked = false;
    if (place.previous === null) this.#first = place.next;
    else place.previous.next = place.next;
    if (place.next === null) this.#last = place.previous;
    else place.next.previous = place.previous;
    this.#size--;
  }
}

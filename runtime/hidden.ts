// What we know of other people's objects, kept in the objects themselves, where nobody sees it.
//
// Not in a WeakMap: a scavenge takes all values of an old WeakMap for alive, so an entry whose value leads to its key, as
// most do, becomes old itself, with everything that hangs on it. For each HTTP request of a fiber that was 12 KB.

/** Gives its subclasses an object that there is already, for their private fields. */
class Present {
  constructor(object: object) {
    // biome-ignore lint/correctness/noConstructorReturn: this is what it is for
    return object;
  }
}

/** All that we know of an object, by kind. One private name for all kinds: V8 is slow where one place reads many. */
class Known extends Present {
  #values: unknown[] = [];

  static of(object: object): unknown[] | undefined {
    return #values in object ? (object as Known).#values : undefined;
  }

  static make(object: object): unknown[] {
    return new Known(object).#values;
  }
}

let kinds = 0;

/** A kind of value that objects can have. */
export class Hidden<K extends object, V> {
  readonly #kind = kinds++;

  /** Undefined if there is none. */
  get(object: K): V | undefined {
    return Known.of(object)?.[this.#kind] as V | undefined;
  }

  set(object: K, value: V | undefined): void {
    const values = Known.of(object) ?? Known.make(object);
    values[this.#kind] = value;
  }
}

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

/** A value for each of any number of objects. Two of these know nothing of each other. */
export interface Hidden<K extends object, V> {
  /** Undefined if there is none. */
  get(object: K): V | undefined;
  set(object: K, value: V | undefined): void;
}

/** A new kind of value that objects can have. */
export function hidden<K extends object, V>(): Hidden<K, V> {
  return class Field extends Present {
    #value: V | undefined;

    static get(object: K): V | undefined {
      return #value in object ? (object as unknown as Field).#value : undefined;
    }

    static set(object: K, value: V | undefined): void {
      const field = (#value in object ? object : new Field(object)) as Field;
      field.#value = value;
    }
  };
}

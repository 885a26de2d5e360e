// Node's classes, taught in this thread.
//
// By their prototypes, and not by classes of our own or methods of each object: frameworks (Express) put prototypes of their
// own, made from Node's, in the place of a message's; and methods of each object are slow to make.

/** Calls `methods` in the place of the prototype's for objects that have something under `key`, which is their first argument. */
export function intercept<T>(
  prototype: object,
  key: symbol,
  methods: Record<string, (held: T, args: never[]) => unknown>,
): void {
  for (const [name, method] of Object.entries(methods)) {
    const original = (prototype as Record<string, (...args: unknown[]) => unknown>)[name];
    const value = function (this: { [key: symbol]: T | undefined }, ...args: never[]): unknown {
      const held = this[key];
      return held === undefined ? original?.apply(this, args) : method(held, args);
    };
    Object.defineProperty(prototype, name, { value, configurable: true, writable: true });
  }
}

// Puts a function in another's place, so that only its behaviour tells.

// biome-ignore lint/suspicious/noExplicitAny: any function
export type AnyFunction = (this: any, ...args: any[]) => any;

/** Gives `replacement` the name, length and own properties of `original`. */
export function disguise<F extends AnyFunction>(replacement: F, original: AnyFunction): F {
  for (const key of Reflect.ownKeys(original)) {
    if (key === "prototype" || key === "arguments" || key === "caller") continue;
    Object.defineProperty(replacement, key, Object.getOwnPropertyDescriptor(original, key) as PropertyDescriptor);
  }
  return replacement;
}

/**
 * Replaces `target[key]` by what `make` makes of it, keeping the property's attributes.
 * False if there is no such function.
 */
export function replace<T extends object>(
  target: T,
  key: PropertyKey,
  make: (original: AnyFunction) => AnyFunction,
): boolean {
  const descriptor = Object.getOwnPropertyDescriptor(target, key);
  if (typeof descriptor?.value !== "function") return false;
  const value = disguise(make(descriptor.value), descriptor.value);
  Object.defineProperty(target, key, { ...descriptor, value });
  return true;
}

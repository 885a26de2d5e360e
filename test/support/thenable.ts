type Then<T> = (resolve: (value: T) => void, reject: (error: unknown) => void) => void;

/** An object that one can wait for, and that is no promise. */
export function thenable<T>(then: Then<T>): PromiseLike<T> {
  return { then } as PromiseLike<T>;
}

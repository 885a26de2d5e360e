/**
 * Gives an object methods of its own, unseen by those who enumerate. And not by a class: frameworks (Express) put their own
 * prototypes, made from Node's, in the place of a message's.
 */
// biome-ignore lint/suspicious/noExplicitAny: any methods
export function hide(object: object, methods: Record<string, (this: any, ...args: any[]) => unknown>): void {
  for (const [name, value] of Object.entries(methods)) {
    Object.defineProperty(object, name, { value, configurable: true, writable: true });
  }
}

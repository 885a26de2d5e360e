// What the park worker holds for its caller, by handle.

const things = new Map<number, unknown>();

export function hold(handle: number, thing: unknown): void {
  things.set(handle, thing);
}

/** @throws ERR_SOCKET_CLOSED when it was let go of, or its worker was lost */
export function held<T>(handle: number): T {
  if (!things.has(handle)) throw Object.assign(new Error("Socket is closed"), { code: "ERR_SOCKET_CLOSED" });
  return things.get(handle) as T;
}

/** Takes it out of what is held. */
export function letGo<T>(handle: number): T | undefined {
  const thing = things.get(handle) as T | undefined;
  things.delete(handle);
  return thing;
}

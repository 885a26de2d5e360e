// Values on their way between threads.

/** Bytes as they should be sent: a view of a larger buffer would take all of the buffer along. */
export function portable(value: unknown): unknown {
  if (!(value instanceof Uint8Array) || value.byteLength === value.buffer.byteLength) return value;
  return Uint8Array.prototype.slice.call(value);
}

/** Bytes as the program expects them: as Buffers again, alone or within arrays and plain objects. */
export function received(value: unknown): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (Array.isArray(value)) return value.map(received);
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return value;
  for (const [key, member] of Object.entries(value)) (value as Record<string, unknown>)[key] = received(member);
  return value;
}

/** An options object without the functions in it, which cannot be sent. Anything else as it is. */
export function sendable(argument: unknown): unknown {
  if (typeof argument !== "object" || argument === null || ArrayBuffer.isView(argument)) return argument;
  const copy: Record<string, unknown> = {};
  for (const key in argument) {
    const value = (argument as Record<string, unknown>)[key];
    if (typeof value !== "function" && typeof value !== "symbol") copy[key] = value;
  }
  return copy;
}

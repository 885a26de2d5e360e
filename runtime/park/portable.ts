// Values on their way between threads.

/** What a caller asks a new worker for: an end of a line to it, for what synckit would copy. */
export const LINE = "line";

/** Bytes with a buffer of their own, which can be handed over. */
export type Bytes = Uint8Array<ArrayBuffer>;

/** From here on it is cheaper to hand bytes over than to have them copied. */
const LARGE = 16 * 1024;

/** Whether a value is bytes that are to be handed over. They must be `portable`. */
export function isLarge(value: unknown): value is Bytes {
  return value instanceof Uint8Array && value.byteLength >= LARGE && value.buffer instanceof ArrayBuffer;
}

/** Bytes as they should be sent: a view of a larger buffer would take all of the buffer along. */
export function portable(value: unknown): unknown {
  if (!(value instanceof Uint8Array) || value.byteLength === value.buffer.byteLength) return value;
  return Uint8Array.prototype.slice.call(value);
}

/** Bytes as the program expects them: as Buffers again, alone or within arrays and plain objects. */
export function received(value: unknown, seen = new Set<object>()): unknown {
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  if (typeof value !== "object" || value === null || seen.has(value)) return value;
  const plain = Array.isArray(value) || Object.getPrototypeOf(value) === Object.prototype;
  if (!plain) return value;
  seen.add(value);
  for (const [key, member] of Object.entries(value)) {
    if (typeof member === "object") (value as Record<string, unknown>)[key] = received(member, seen);
  }
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

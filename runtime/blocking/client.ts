// Which values are clients, to be made blocking themselves, and which are data, to be handed out as they are.
import { Dirent, Stats } from "node:fs"; // classes to recognise results by, nothing of it is called
import { types } from "node:util";

/** What the Web's specifications call data, whoever implements it: often passed on within options, so it stays raw. */
const DATA_TAGS = new Set(
  (
    "URL URLSearchParams URLPattern Headers FormData Blob File AbortController AbortSignal Event TextEncoder " +
    "TextDecoder CryptoKey DOMException WeakRef FinalizationRegistry"
  ).split(" "),
);

const IteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
const StatsPrototype = Object.getPrototypeOf(Stats.prototype); // of BigIntStats, too

export type Callable = (this: unknown, ...args: unknown[]) => unknown;

export function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return isObject(value) && typeof (value as { then?: unknown }).then === "function";
}

export function isAsyncIterable(value: object): value is AsyncIterable<unknown> {
  return typeof (value as { [Symbol.asyncIterator]?: unknown })[Symbol.asyncIterator] === "function";
}

/** The rule that the documentation of `blocking` states. */
export function isClient(value: unknown): value is object {
  if (!isObject(value) || isThenable(value)) return false;
  if (typeof value === "function" || isAsyncIterable(value)) return true;
  const prototype = Object.getPrototypeOf(value);
  return !isPlain(prototype) && !isData(value) && (classHasMethods(prototype) || hasOwnMethods(value));
}

/** Whether objects of this prototype are plain ones, of whatever realm. */
function isPlain(prototype: object | null): boolean {
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

/** Arrays, and plain objects as they are written down. */
export function isCollection(value: unknown): value is object {
  if (typeof value !== "object" || value === null || types.isProxy(value)) return false;
  return Array.isArray(value) || isPlain(Object.getPrototypeOf(value));
}

function isData(value: object): boolean {
  return (
    Array.isArray(value) ||
    types.isMap(value) ||
    types.isSet(value) ||
    types.isWeakMap(value) ||
    types.isWeakSet(value) ||
    types.isDate(value) ||
    types.isRegExp(value) ||
    types.isNativeError(value) ||
    value instanceof Error ||
    types.isAnyArrayBuffer(value) ||
    types.isArrayBufferView(value) ||
    types.isBoxedPrimitive(value) ||
    types.isKeyObject(value) ||
    inherits(value, IteratorPrototype) ||
    inherits(value, StatsPrototype) ||
    value instanceof Dirent ||
    hasDataTag(value)
  );
}

function inherits(value: object, prototype: object): boolean {
  return Object.prototype.isPrototypeOf.call(prototype, value);
}

function hasDataTag(value: object): boolean {
  const tag: unknown = (value as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag];
  return typeof tag === "string" && (DATA_TAGS.has(tag) || tag.startsWith("Intl.") || tag.startsWith("Temporal."));
}

const withMethods = new WeakMap<object, boolean>(); // by prototype

function classHasMethods(prototype: object): boolean {
  let found = withMethods.get(prototype);
  if (found === undefined) {
    const parent = Object.getPrototypeOf(prototype);
    found = hasOwnMethods(prototype) || (!isPlain(parent) && classHasMethods(parent));
    withMethods.set(prototype, found);
  }
  return found;
}

/** A getter counts: what it returns may be a client. */
function hasOwnMethods(object: object): boolean {
  return Reflect.ownKeys(object).some((key) => {
    if (key === "constructor") return false;
    const descriptor = Object.getOwnPropertyDescriptor(object, key);
    return typeof descriptor?.value === "function" || descriptor?.get !== undefined;
  });
}

/** Whether `new fn()` is possible. Runs nothing of `fn`. */
export function isConstructor(fn: object): boolean {
  try {
    Reflect.construct(String, [], fn as never);
    return true;
  } catch {
    return false;
  }
}

/** Whether a function was made to be a class, and not just happens to be constructible as old-style methods are. */
export function isClass(fn: object): boolean {
  const descriptor = Object.getOwnPropertyDescriptor(fn, "prototype");
  if (descriptor === undefined || !isObject(descriptor.value)) return false;
  const { value: prototype, writable } = descriptor;
  return (
    isConstructor(fn) &&
    (!writable || Reflect.ownKeys(prototype).length > 1 || !isPlain(Object.getPrototypeOf(prototype)))
  );
}

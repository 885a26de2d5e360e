// Values on their way between threads, so that they arrive as what they were. A structured clone alone makes plain bytes
// of a Buffer (and takes along all of the pool that it is a part of), loses class and code of an error, and does not say
// what it could not clone. So such parts travel beside the value, each with its place in it.
import { types } from "node:util";
import { notCloneable } from "../errors";
import { describeError, type Failure, reviveError } from "../park/failure";

/** A value, ready to be sent. */
export interface Cargo {
  readonly value: unknown;
  /** What is to be put in its places on arrival. */
  readonly parts?: readonly Part[];
}

type Path = readonly (string | number)[];
type Part = readonly [path: Path, kind: "buffer" | "error" | "special", content: unknown];

export interface Packing {
  /** What is transferred, and so is not to be copied. */
  readonly transfer?: readonly unknown[];
  /** The file whose frames, and what is below them, are left out of the stacks of errors. */
  readonly machinery?: string;
  /** Whether what may not be cloneable is tried, for somebody who cannot deal with a failure later. */
  readonly certain?: boolean;
  /** What is sent in the place of an object that is not to be cloned; undefined if it is. `revive` gets it. */
  replace?(value: object): unknown;
}

/**
 * @param name what people call the value
 * @throws DataCloneError that tells where in the value something is that cannot be sent
 */
export function pack(value: unknown, name: string, packing: Packing = {}): Cargo {
  if (isSimple(value)) return { value };
  const packer = new Packer(name, packing);
  const copy = packer.copy(value, []);
  return packer.parts.length === 0 ? { value: copy } : { value: copy, parts: packer.parts };
}

/** @param revive makes of what was sent in an object's place what stands for it here */
export function unpack(
  { value, parts = [] }: Cargo,
  revive: (content: unknown) => unknown = (content) => content,
): unknown {
  const box: { value: unknown } = { value };
  for (const [path, kind, content] of parts) {
    let holder = box as Record<string | number, unknown>;
    let key: string | number = "value";
    for (const next of path) {
      holder = holder[key] as Record<string | number, unknown>;
      key = next;
    }
    if (kind === "buffer") holder[key] = asBuffer(holder[key] as Uint8Array);
    else holder[key] = kind === "error" ? unpackError(content as ErrorCargo) : revive(content);
  }
  return box.value;
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/** Arrays and plain objects; others are cloned as they are, or not at all. */
function isContainer(value: object): value is Record<string, unknown> {
  if (Array.isArray(value)) return true;
  const prototype = Object.getPrototypeOf(value);
  return (prototype === Object.prototype || prototype === null) && !types.isProxy(value);
}

export function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

/** Objects of which a structured clone always makes as good a copy. */
function isCloneable(value: object): boolean {
  if (Buffer.isBuffer(value)) return false;
  return (
    types.isAnyArrayBuffer(value) || types.isArrayBufferView(value) || types.isDate(value) || types.isRegExp(value)
  );
}

/** Whether a value can be sent as it is. */
function isSimple(value: unknown): boolean {
  if (!isObject(value)) return typeof value !== "symbol";
  if (!isContainer(value)) return isCloneable(value);
  for (const item of Array.isArray(value) ? value : Object.values(value)) {
    if (typeof item === "symbol" || isObject(item)) return isSimpleWithin(value, new Set()); // which most have no need of
  }
  return true;
}

function isSimpleWithin(value: unknown, seen: Set<object>): boolean {
  if (!isObject(value)) return typeof value !== "symbol";
  if (seen.has(value)) return true;
  if (!isContainer(value)) return isCloneable(value);
  seen.add(value);
  if (Array.isArray(value)) return value.every((item) => isSimpleWithin(item, seen));
  for (const key of Object.keys(value)) if (!isSimpleWithin(value[key], seen)) return false;
  return true;
}

class Packer {
  readonly parts: Part[] = [];
  readonly #name: string;
  readonly #packing: Packing;
  readonly #copies = new Map<object, unknown>();

  constructor(name: string, packing: Packing) {
    this.#name = name;
    this.#packing = packing;
  }

  copy(value: unknown, path: Path): unknown {
    if (typeof value === "symbol") throw notCloneable(this.#name, path, "it is a symbol");
    if (!isObject(value)) return value;
    if (this.#copies.has(value)) return this.#copies.get(value);
    const replacement = this.#packing.replace?.(value);
    if (replacement !== undefined) return this.#replaced(path, "special", replacement);
    if (typeof value === "function") throw notCloneable(this.#name, path, "it is a function");
    return isContainer(value) ? this.#copyContainer(value, path) : this.#copyOther(value, path);
  }

  #copyContainer(value: Record<string, unknown>, path: Path): unknown {
    if (Array.isArray(value)) {
      const copies: unknown[] = [];
      this.#copies.set(value, copies);
      for (const [index, item] of value.entries()) copies.push(this.copy(item, [...path, index]));
      return copies;
    }
    const copies: Record<string, unknown> = {};
    this.#copies.set(value, copies);
    for (const key of Object.keys(value)) {
      // A key such as __proto__ is to be the copy's own, too.
      const copy = this.copy(value[key], [...path, key]);
      Object.defineProperty(copies, key, { value: copy, configurable: true, enumerable: true, writable: true });
    }
    return copies;
  }

  #copyOther(value: object, path: Path): unknown {
    if (value instanceof Error) return this.#replaced(path, "error", packError(value, this.#packing.machinery ?? ""));
    if (!Buffer.isBuffer(value)) {
      if (this.#packing.certain && !isCloneable(value)) this.#try(value, path);
      return value;
    }
    this.parts.push([path, "buffer", undefined]);
    const { transfer = [] } = this.#packing;
    const whole = value.byteLength === value.buffer.byteLength || transfer.includes(value.buffer);
    const copy = whole ? value : Uint8Array.prototype.slice.call(value);
    this.#copies.set(value, copy);
    return copy;
  }

  #try(value: object, path: Path): void {
    if (this.#packing.transfer?.length) return; // it may be a part of what is transferred
    try {
      structuredClone(value);
    } catch (error) {
      throw notCloneable(this.#name, path, (error as Error).message);
    }
  }

  #replaced(path: Path, kind: "error" | "special", content: unknown): undefined {
    this.parts.push([path, kind, content]);
    return undefined;
  }
}

interface ErrorCargo {
  readonly failure: Failure;
  /** What an error has beside what a Failure tells: its name, a code that its class has, properties that are objects. */
  readonly own: Record<string, unknown>;
  readonly name: string;
}

function packError(error: Error, machinery: string): ErrorCargo {
  const own: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(error)) {
    if (typeof value === "object" && value !== null && !["cause", "errors"].includes(key) && canClone(value))
      own[key] = value;
  }
  const { code } = error as { code?: unknown };
  const failure = describeError(error, machinery || "\0");
  const isOfWeb = "class" in failure && failure.class === "DOMException"; // whose code follows from its name
  if (code !== undefined && !isOfWeb && canClone(code)) own.code = code;
  return {
    failure: canClone(failure) ? failure : describeError(withoutCause(error), "\0"),
    own,
    name: String(error.name),
  };
}

function withoutCause({ message, stack }: Error): Error {
  return Object.assign(new Error(message), { stack });
}

function unpackError({ failure, own, name }: ErrorCargo): unknown {
  const error = reviveError(failure) as Error;
  Object.assign(error, own);
  if (error.name !== name) Object.defineProperty(error, "name", { value: name, configurable: true, writable: true });
  return error;
}

function canClone(value: unknown): boolean {
  try {
    structuredClone(value);
    return true;
  } catch {
    return false;
  }
}

// The objects of a thread that others know of, by their numbers; and which they are: what can only be used where it is.
import { types } from "node:util";
import { isAsyncIterable, isClass, isClient, isConstructor, isObject } from "../../blocking/client";
import { type Key, keyOf, type Reference } from "./protocol";

interface Known {
  readonly object: object;
  /** How often it was sent: it is forgotten when it was released as often. */
  sent: number;
}

export class Objects {
  readonly #known = new Map<number, Known>();
  readonly #numbers = new WeakMap<object, number>();
  readonly #shapes = new WeakMap<object, number>();
  readonly #announce: (shape: number, methods: readonly Key[]) => void;
  #lastNumber = 0;
  #lastShape = 0;

  /** @param announce tells the other side of a shape, before it gets to see an object of it */
  constructor(announce: (shape: number, methods: readonly Key[]) => void) {
    this.#announce = announce;
  }

  /** The module itself has the number 0, and always stays. */
  set root(exports: unknown) {
    if (!isObject(exports)) return;
    this.#known.set(0, { object: exports, sent: 0 });
    this.#numbers.set(exports, 0);
  }

  get(number: number): object {
    return (this.#known.get(number) as Known).object;
  }

  /** Whether an object stays where it is, and a reference is sent. */
  stays(value: unknown): value is object {
    return isObject(value) && (this.#numbers.has(value) || isRemote(value));
  }

  /** What is sent in the place of an object; undefined if the object itself is. */
  reference(object: object): Reference | undefined {
    if (!this.stays(object)) return undefined;
    let number = this.#numbers.get(object);
    if (number === undefined) this.#numbers.set(object, (number = ++this.#lastNumber));
    const known = this.#known.get(number);
    if (known === undefined) this.#known.set(number, { object, sent: 1 });
    else known.sent++;
    return { object: number, kind: kindOf(object), name: nameOf(object), shape: this.#shapeOf(object) };
  }

  release(numbers: readonly (readonly [object: number, times: number])[]): void {
    for (const [number, times] of numbers) {
      const known = this.#known.get(number);
      if (known !== undefined && (known.sent -= times) <= 0) this.#known.delete(number);
    }
  }

  /** Which methods an object has from its class: others need not ask for them. */
  #shapeOf(object: object): number {
    const prototype = Object.getPrototypeOf(object);
    if (prototype === null) return 0;
    let shape = this.#shapes.get(prototype);
    if (shape === undefined) {
      this.#shapes.set(prototype, (shape = ++this.#lastShape));
      this.#announce(shape, methodsOf(prototype));
    }
    return shape;
  }
}

const kindOf = (object: object) =>
  typeof object !== "function" ? "object" : isConstructor(object) ? "class" : "function";

function nameOf(object: object): string {
  const { name } = (typeof object === "function" ? object : (object.constructor ?? {})) as { name?: unknown };
  return typeof name === "string" ? name : "";
}

function methodsOf(prototype: object): Key[] {
  const methods = new Map<PropertyKey, boolean>();
  for (let one: object | null = prototype; one !== null; one = Object.getPrototypeOf(one)) {
    for (const key of Reflect.ownKeys(one)) {
      if (methods.has(key)) continue;
      const value = Object.getOwnPropertyDescriptor(one, key)?.value;
      methods.set(key, typeof value === "function" && key !== "constructor" && !isClass(value));
    }
  }
  return [...methods].flatMap(([key, isMethod]) => (isMethod ? (keyOf(key) ?? []) : []));
}

/** A client of `blocking`'s rule; an iterator; or an object that is made of functions. */
function isRemote(value: object): boolean {
  if (isClient(value)) return true;
  if (Array.isArray(value) || types.isNativeError(value)) return false;
  if (typeof (value as { next?: unknown }).next === "function")
    return Symbol.iterator in value || isAsyncIterable(value);
  return (
    isPlain(value) && Reflect.ownKeys(value).some((key) => isFunction(Reflect.getOwnPropertyDescriptor(value, key)))
  );
}

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

function isFunction(descriptor: PropertyDescriptor | undefined): boolean {
  return typeof descriptor?.value === "function" || descriptor?.get !== undefined;
}

// The proxies: every operation is carried out on the raw object, and what it yields is shown as the membrane has it.
//
// A proxy must keep to what its target says of properties that cannot change (the invariants of the language), yet the
// raw object's own values are not what we show. So each proxy has a shadow for a target, an empty object of the same
// kind, which is told of such properties, with the values that we show, before anybody asks for them.
import { inspect } from "node:util";
import { Hidden } from "../hidden";
import { type Callable, isAsyncIterable, isClass, isCollection, isConstructor, isObject, isThenable } from "./client";
import { Iteration } from "./iteration";
import type { Membrane } from "./membrane";

const handlers = new Hidden<object, BlockingHandler>(); // of a proxy

/** Whether `value` is a proxy of ours. */
export function isBlocking(value: object): boolean {
  return handlers.get(value) !== undefined;
}

/** The object behind a proxy; any other value itself. */
export function rawOf<T>(value: T): T {
  return isObject(value) ? (((handlers.get(value)?.raw as T | undefined) ?? value) as T) : value;
}

/** As which the raw objects get to see `value`: a method that was taken from its object still belongs to it. */
export function argumentOf(value: unknown): unknown {
  return isObject(value) ? (handlers.get(value)?.asArgument() ?? value) : value;
}

/** The arguments of a call. Options are often where a client is handed over, `{ session }`: a copy of them, if need be. */
export function argumentsOf(args: unknown[]): unknown[] {
  return args.map((value) => (isCollection(value) ? membersOf(value) : argumentOf(value)));
}

function membersOf(collection: object): object {
  if (!Object.values(collection).some((value) => isObject(value) && isBlocking(value))) return collection;
  if (Array.isArray(collection)) return collection.map(argumentOf);
  const properties = Object.getOwnPropertyDescriptors(collection) as Record<string, PropertyDescriptor>;
  for (const property of Object.values(properties)) {
    if ("value" in property) property.value = argumentOf(property.value);
  }
  return Object.create(Object.getPrototypeOf(collection), properties);
}

/** A new proxy of `raw`. `owner` is whose method it is, if it is one. */
export function createProxy(raw: object, membrane: Membrane, takesCallback: boolean, owner?: object): object {
  const handler = new BlockingHandler(raw, membrane, takesCallback, owner);
  const proxy = new Proxy(shadowOf(raw), handler);
  handlers.set(proxy, handler);
  return proxy;
}

// What util.inspect finds, which looks behind proxies, at the shadow: it shall show the raw object.
const inspectable = Object.create(null, {
  [inspect.custom]: {
    value(this: object, _depth: number, options: object, format: typeof inspect): string {
      return format(rawOf(this), options);
    },
  },
});

/** An empty object that can be called and constructed if `raw` can, and has no property that it could not lose. */
function shadowOf(raw: object): object {
  if (typeof raw !== "function") return Object.create(inspectable);
  // A bound function can be constructed, yet has no property `prototype` for good, as other constructors do.
  const shadow = isConstructor(raw) ? Object.bind(undefined) : () => {};
  for (const key of Reflect.ownKeys(shadow)) Reflect.deleteProperty(shadow, key);
  return Object.setPrototypeOf(shadow, inspectable);
}

/** They tell what an object is, and belong to no instance. */
const REFLECTION = new Set<PropertyKey>(["constructor", "prototype", "__proto__"]);
/** The asynchronous side, for those who do await. */
const PROMISE_METHODS = new Set<PropertyKey>(["then", "catch", "finally"]);
const FUNCTION_METHODS = new Set<unknown>(
  Reflect.ownKeys(Function.prototype)
    .map((key) => Object.getOwnPropertyDescriptor(Function.prototype, key)?.value)
    .filter((value) => typeof value === "function"),
);

class BlockingHandler implements ProxyHandler<object> {
  readonly raw: object;
  readonly #membrane: Membrane;
  readonly #takesCallback: boolean;
  readonly #owner: object | undefined;
  // Not before they are of use: most objects are results, from which only data is taken.
  #methods: WeakMap<object, object> | undefined;
  #callbackMethods: WeakMap<object, object> | undefined;
  #bound: WeakMap<object, object> | undefined;
  #iterate: (() => Iteration) | undefined;

  constructor(raw: object, membrane: Membrane, takesCallback: boolean, owner?: object) {
    this.raw = raw;
    this.#membrane = membrane;
    this.#takesCallback = takesCallback;
    this.#owner = owner;
  }

  asArgument(): unknown {
    if (this.#owner === undefined || isClass(this.raw)) return this.raw;
    return this.#bind(this.raw as Callable, this.#owner);
  }

  apply(_shadow: object, self: unknown, args: unknown[]): unknown {
    return this.#membrane.call(this.raw as Callable, this.#owner ?? argumentOf(self), args, this.#takesCallback);
  }

  construct(_shadow: object, args: unknown[], target: NewableFunction): object {
    const inner = argumentsOf(args);
    // A class that extends the proxy gets the raw instance, to be `this` in its constructor and methods.
    if (handlers.get(target) !== this) return Reflect.construct(this.raw as never, inner, target);
    return this.#membrane.wrap(Reflect.construct(this.raw as never, inner)) as object;
  }

  get(_shadow: object, key: PropertyKey): unknown {
    if (key === Symbol.iterator && !(key in this.raw) && isAsyncIterable(this.raw)) return this.#iterator(this.raw);
    return this.#show(key, Reflect.get(this.raw, key, this.raw));
  }

  set(_shadow: object, key: PropertyKey, value: unknown, receiver: unknown): boolean {
    return Reflect.set(this.raw, key, argumentOf(value), rawOf(receiver));
  }

  has(shadow: object, key: PropertyKey): boolean {
    if (key in this.raw) return true;
    this.#forget(shadow, key);
    return key === Symbol.iterator && isAsyncIterable(this.raw);
  }

  deleteProperty(shadow: object, key: PropertyKey): boolean {
    const deleted = Reflect.deleteProperty(this.raw, key);
    if (deleted) this.#forget(shadow, key);
    return deleted;
  }

  ownKeys(shadow: object): (string | symbol)[] {
    for (const key of Reflect.ownKeys(shadow)) this.#forget(shadow, key);
    return Reflect.ownKeys(this.raw);
  }

  getOwnPropertyDescriptor(shadow: object, key: PropertyKey): PropertyDescriptor | undefined {
    const descriptor = this.#describe(key);
    if (descriptor === undefined) this.#forget(shadow, key);
    else if (!descriptor.configurable) Reflect.defineProperty(shadow, key, descriptor);
    return descriptor;
  }

  defineProperty(shadow: object, key: PropertyKey, descriptor: PropertyDescriptor): boolean {
    const inner = "value" in descriptor ? { ...descriptor, value: argumentOf(descriptor.value) } : descriptor;
    if (!Reflect.defineProperty(this.raw, key, inner)) return false;
    this.getOwnPropertyDescriptor(shadow, key);
    return true;
  }

  getPrototypeOf(): object | null {
    return Object.getPrototypeOf(this.raw);
  }

  setPrototypeOf(_shadow: object, prototype: object | null): boolean {
    return Reflect.setPrototypeOf(this.raw, prototype);
  }

  isExtensible(shadow: object): boolean {
    if (Reflect.isExtensible(this.raw)) return true;
    this.#close(shadow);
    return false;
  }

  preventExtensions(shadow: object): boolean {
    if (!Reflect.preventExtensions(this.raw)) return false;
    this.#close(shadow);
    return true;
  }

  /** What the proxy has in the place of the raw object's property. */
  #show(key: PropertyKey, value: unknown): unknown {
    if (REFLECTION.has(key) || FUNCTION_METHODS.has(value)) return value;
    if (typeof value !== "function" || isBlocking(value)) return this.#membrane.wrap(value);
    if (key === Symbol.asyncIterator || (PROMISE_METHODS.has(key) && isThenable(this.raw))) {
      return this.#bind(value as Callable, this.raw);
    }
    return this.#method(key, value);
  }

  #method(key: PropertyKey, fn: object): object {
    const takesCallback = this.#membrane.behaviour.takesCallback(this.raw, key);
    if (takesCallback) this.#callbackMethods ??= new WeakMap();
    else this.#methods ??= new WeakMap();
    const methods = (takesCallback ? this.#callbackMethods : this.#methods) as WeakMap<object, object>;
    let method = methods.get(fn);
    if (method === undefined) methods.set(fn, (method = createProxy(fn, this.#membrane, takesCallback, this.raw)));
    return method;
  }

  #bind(fn: Callable, self: object): Callable {
    this.#bound ??= new WeakMap();
    let bound = this.#bound.get(fn) as Callable | undefined;
    if (bound === undefined) this.#bound.set(fn, (bound = fn.bind(self)));
    return bound;
  }

  #iterator(source: AsyncIterable<unknown>): () => Iteration {
    const { behaviour } = this.#membrane;
    const steps = { discard: behaviour.discard, wrap: (value: unknown) => this.#membrane.wrap(value) };
    return (this.#iterate ??= () => new Iteration(source, steps));
  }

  #describe(key: PropertyKey): PropertyDescriptor | undefined {
    const descriptor = Reflect.getOwnPropertyDescriptor(this.raw, key);
    if (descriptor === undefined) return undefined;
    if ("value" in descriptor) return { ...descriptor, value: this.#show(key, descriptor.value) };
    const { get, set } = descriptor;
    return {
      ...descriptor,
      get: get && this.#bind(get, this.raw),
      set: set && this.#bind(set, this.raw),
    };
  }

  /** The raw object has lost a property, of which the shadow may have been told. */
  #forget(shadow: object, key: PropertyKey): void {
    if (!Object.hasOwn(this.raw, key)) Reflect.deleteProperty(shadow, key);
  }

  /** The raw object takes no further properties: the shadow is told of all that it has, and takes no more, either. */
  #close(shadow: object): void {
    if (!Reflect.isExtensible(shadow)) return;
    for (const key of Reflect.ownKeys(this.raw)) {
      Reflect.defineProperty(shadow, key, this.#describe(key) as PropertyDescriptor);
    }
    Reflect.setPrototypeOf(shadow, Object.getPrototypeOf(this.raw));
    Reflect.preventExtensions(shadow);
  }
}

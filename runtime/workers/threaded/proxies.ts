// The proxies of a thread's objects: whatever is done with one is done there. The same object has the same proxy, as long
// as anybody has that; then the thread may forget the object.
import { inspect } from "node:util";
import type { Link } from "./link";
import { type Key, keyOf, type Operation, propertyOf, type Reference } from "./protocol";

type ObjectReference = Extract<Reference, { object: number }>;
type Release = (objects: [object: number, times: number][]) => void;

interface Known {
  readonly proxy: WeakRef<object>;
  /** How often the thread has sent it. */
  times: number;
}

export class Proxies {
  readonly #link: Link;
  readonly #release: Release;
  readonly #known = new Map<number, Known>();
  readonly #numbers = new WeakMap<object, number>();
  readonly #shapes = new Map<number, Set<PropertyKey>>();
  readonly #garbage = new FinalizationRegistry<number>((number) => this.#forget(number));

  constructor(link: Link, release: Release) {
    this.#link = link;
    this.#release = release;
  }

  get size(): number {
    return this.#known.size;
  }

  numberOf(proxy: object): number | undefined {
    return this.#numbers.get(proxy);
  }

  /** The methods that all objects of a class have, which nobody need ask for. */
  addShape(shape: number, methods: readonly Key[]): void {
    this.#shapes.set(shape, new Set(methods.map(propertyOf)));
  }

  proxyOf({ object: number, kind, name, shape }: ObjectReference): object {
    const known = this.#known.get(number);
    const existing = known?.proxy.deref();
    if (known !== undefined && existing !== undefined) {
      known.times++;
      return existing;
    }
    const handler = new ThreadedHandler(this.#link, number, this.#shapes.get(shape) ?? new Set());
    const proxy = new Proxy(shadowOf(kind, name), handler);
    this.#known.set(number, { proxy: new WeakRef(proxy), times: 1 + (known?.times ?? 0) });
    this.#numbers.set(proxy, number);
    this.#garbage.register(proxy, number);
    return proxy;
  }

  #forget(number: number): void {
    const known = this.#known.get(number);
    if (known === undefined || known.proxy.deref() !== undefined) return;
    this.#known.delete(number);
    this.#release([[number, known.times]]);
    this.#link.endIfUnused();
  }
}

/** An empty object that can be called and constructed if the real one can, and has no property that it could not lose. */
function shadowOf(kind: ObjectReference["kind"], name: string): object {
  const shadow = kind === "object" ? {} : kind === "class" ? Object.bind(undefined) : () => {};
  for (const key of Reflect.ownKeys(shadow)) Reflect.deleteProperty(shadow, key);
  // What util.inspect finds, which looks behind proxies.
  const inspected = () => `[Threaded${kind === "object" ? "" : ` ${kind}`}${name && ` ${name}`}]`;
  return Object.setPrototypeOf(shadow, Object.create(null, { [inspect.custom]: { value: inspected } }));
}

type Callable = (...args: unknown[]) => unknown;

class ThreadedHandler implements ProxyHandler<object> {
  readonly #link: Link;
  readonly #number: number;
  readonly #methods: Set<PropertyKey>;
  readonly #stubs = new Map<PropertyKey, Callable>();

  constructor(link: Link, number: number, methods: Set<PropertyKey>) {
    this.#link = link;
    this.#number = number;
    this.#methods = methods;
  }

  get(shadow: object, key: PropertyKey): unknown {
    if (key === "then") return undefined; // no promise: what is one was waited for
    if (this.#number === 0 && key === Symbol.dispose) return () => this.#link.end();
    if (typeof shadow === "function" && (key === "call" || key === "apply" || key === "bind"))
      return Function.prototype[key];
    if (key === Symbol.hasInstance) return (value: unknown) => this.#perform("instance", undefined, [value]);
    if (this.#methods.has(key)) return this.#method(key);
    if (key === Symbol.iterator && this.#methods.has(Symbol.asyncIterator)) return this.#method(Symbol.asyncIterator);
    return keyOf(key) === undefined ? undefined : this.#perform("get", key);
  }

  set(_shadow: object, key: PropertyKey, value: unknown): boolean {
    this.#perform("set", key, [value]);
    return true;
  }

  has(_shadow: object, key: PropertyKey): boolean {
    return keyOf(key) !== undefined && (this.#perform("has", key) as boolean);
  }

  deleteProperty(_shadow: object, key: PropertyKey): boolean {
    return this.#perform("delete", key) as boolean;
  }

  ownKeys(): string[] {
    return this.#perform("keys") as string[];
  }

  getOwnPropertyDescriptor(_shadow: object, key: PropertyKey): PropertyDescriptor | undefined {
    if (keyOf(key) === undefined) return undefined;
    const description = this.#perform("describe", key) as [enumerable: boolean, value: unknown] | undefined;
    if (description === undefined) return undefined;
    const [enumerable, value] = description;
    return { enumerable, value, configurable: true, writable: true };
  }

  defineProperty(): boolean {
    return false;
  }

  preventExtensions(): boolean {
    return false;
  }

  setPrototypeOf(): boolean {
    return false;
  }

  apply(_shadow: object, self: unknown, args: unknown[]): unknown {
    const isThreads = typeof self === "object" && self !== null && this.#link.proxies.numberOf(self) !== undefined;
    return this.#perform("apply", undefined, args, isThreads ? self : undefined);
  }

  construct(_shadow: object, args: unknown[]): object {
    return this.#perform("new", undefined, args) as object;
  }

  /** Methods stay bound: `const { get } = statement`. */
  #method(key: PropertyKey): Callable {
    let stub = this.#stubs.get(key);
    if (stub === undefined) {
      stub = (...args) => this.#perform("call", key, args);
      Object.defineProperty(stub, "name", { value: String(key), configurable: true });
      this.#stubs.set(key, stub);
    }
    return stub;
  }

  #perform(does: Operation["does"], key?: PropertyKey, args?: unknown[], self?: unknown): unknown {
    const link = this.#link;
    return link.perform({
      does,
      object: this.#number,
      ...(key !== undefined && { key: keyOf(key) as Key }),
      ...(args !== undefined && { args: link.pack(args, "args") }),
      ...(self !== undefined && { self: link.pack(self, "this") }),
    });
  }
}

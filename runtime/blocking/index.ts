// blocking(): asynchronous objects, used in blocking style.
import { EventEmitter } from "node:events";
import { invalidArgument } from "../errors";
import { isObject } from "./client";
import { type Behaviour, Membrane } from "./membrane";
import { isBlocking, rawOf } from "./proxy";
import type { Blocking } from "./types";

export type { Blocking } from "./types";

export interface BlockingOptions {
  /**
   * Which methods take a Node-style callback, `(error, value) => …`, as their last argument: their names, or true for
   * every one (but those that all objects and all event emitters have). The callback is supplied, and the call blocks
   * until it is called; it returns the value (the first, if there are several, as with `util.promisify`) or throws the
   * error. Holds for objects that the target hands out, too. Default: false, none.
   */
  callbacks?: boolean | readonly PropertyKey[];
  /**
   * Gets a result that nobody will receive, because the fiber was killed or timed out while it waited for it: a
   * connection that was checked out, to be given back. It gets the raw value, on the hub's stack (or on the fiber's,
   * if that was interrupted in the very moment); every kind of result may come.
   * Default: such a result is dropped.
   */
  // biome-ignore lint/suspicious/noExplicitAny: the result of any method
  discard?: (value: any) => void;
}

/**
 * A proxy of an object or function whose calls return promises or take callbacks: through it, they block, and return
 * or throw the outcome. Only the fiber that calls is suspended.
 *
 *     const pool = blocking(new pg.Pool());
 *     spawn(() => {
 *       const client = pool.connect();                 // blocking itself
 *       try { return client.query("select 1").rows; } finally { client.release(); }
 *     });
 *
 * **Calls** run with the raw object as `this`, so private fields work, and methods stay bound:
 * `const { query } = blocking(pool)`. Proxies among the arguments are unwrapped, and those in plain objects and arrays
 * among them (`{ session }`: of such an object the callee gets a copy), not deeper. A promise, or another thenable, is
 * waited for: so what becomes complete only by chaining, as queries of knex or mongoose, better stays as it is, and is
 * given to `wait`. Callbacks that are passed are called as ever: on the hub's stack, with raw values; one that shall
 * block can be given as `asAsync(fn)`. A function that has a form of its own for `util.promisify` is called in that
 * (`blocking(child_process.exec)("ls").stdout`).
 *
 * **Results that are clients** come out blocking, too; data comes out as it is. Clients are functions, what has a
 * `Symbol.asyncIterator`, and instances of classes that have methods or getters: connections, transactions, cursors,
 * streams. An array of them that a call returns (by its first element) comes out as an array of proxies. Data are
 * primitive values, plain objects, other arrays, whatever is in them, instances of classes without methods, promises,
 * and of the language's and Node's own classes: Error, Date, RegExp, Map, Set, (typed) arrays and buffers, iterators,
 * URL, Headers, FormData, Blob, AbortSignal, KeyObject, Stats, Dirent and their like, and what inherits from them. The
 * same object has the same proxy each time.
 *
 * **Properties** are read from the raw object, their values follow the same rule: a promise stays a promise, for `wait`.
 * `constructor`, `prototype`, `then` and `Symbol.asyncIterator` are the raw object's, for `await` and `for await`.
 *
 * **Asynchronous iterables** can be iterated over in blocking style: `for (const row of blocking(cursor))`. Leaving the
 * loop waits for the iterator's `return`. A fiber that is interrupted in a step closes the iterator, without waiting; a
 * stream is destroyed.
 *
 * **Functions** can be called, and constructed if the raw one can be; `new (blocking(Pool))()` is blocking. A class
 * that extends the proxy has ordinary instances.
 *
 * Out of a fiber, calls whose result is no promise work. The others throw ERR_NOT_IN_FIBER; but the operation has
 * begun (not so with callbacks), its result goes to `options.discard`, its failure is ignored. The same holds for
 * ERR_CANNOT_SUSPEND where a fiber cannot suspend.
 *
 * @param target an object or a function. A proxy of this function, without options, is returned as it is.
 * @param options the same options object gives the same proxy for a target each time
 * @throws ERR_INVALID_ARG_TYPE
 * @example const { stdout } = blocking(child_process.exec)("ls");
 * @example const fs = blocking(await import("node:fs/promises"));
 * @example const client = blocking(legacyClient, { callbacks: ["connect", "query"] });
 * @example const pool = blocking(new pg.Pool(), { discard: (value) => value?.release?.() });
 */
export function blocking<T extends object, const Names extends readonly PropertyKey[]>(
  target: T,
  options: BlockingOptions & { callbacks: Names },
): Blocking<T, Names[number]>;
export function blocking<T extends object>(
  target: T,
  options: BlockingOptions & { callbacks: true },
): Blocking<T, PropertyKey>;
export function blocking<T extends object>(target: T, options?: BlockingOptions): Blocking<T>;
export function blocking(target: object, options?: BlockingOptions): object {
  if (!isObject(target)) throw invalidArgument("target", "an object or a function", target);
  const membrane = membraneOf(options);
  if (options === undefined && isBlocking(target)) return target;
  return membrane.proxy(rawOf(target));
}

let ordinary: Membrane | undefined;
const membranes = new WeakMap<BlockingOptions, Membrane>();

function membraneOf(options: BlockingOptions | undefined): Membrane {
  if (options === undefined) return (ordinary ??= new Membrane(behaviourOf({})));
  if (typeof options !== "object" || options === null) throw invalidArgument("options", "of type object", options);
  let membrane = membranes.get(options);
  if (membrane === undefined) membranes.set(options, (membrane = new Membrane(behaviourOf(options))));
  return membrane;
}

function behaviourOf({ callbacks = false, discard }: BlockingOptions): Behaviour {
  if (discard !== undefined && typeof discard !== "function") {
    throw invalidArgument("options.discard", "of type function", discard);
  }
  return { takesCallback: callbackRule(callbacks), discard: discard ?? null };
}

function callbackRule(callbacks: unknown): Behaviour["takesCallback"] {
  if (callbacks === false) return () => false;
  if (callbacks === true) return (target, name) => name === undefined || !isCommon(target, name);
  if (Array.isArray(callbacks) && callbacks.every((name) => typeof name === "string" || typeof name === "symbol")) {
    const names = new Set<PropertyKey>(callbacks);
    return (_target, name) => name !== undefined && names.has(name);
  }
  throw invalidArgument("options.callbacks", "a boolean or an array of method names", callbacks);
}

/** Whether all objects, or all event emitters, have such a method: none of them takes a callback. */
function isCommon(target: object, name: PropertyKey): boolean {
  return name in Object.prototype || (target instanceof EventEmitter && name in EventEmitter.prototype);
}

// What this thread and an object's thread say to each other. Each speaks by a port; and by a counter in shared memory,
// which wakes the other one where it sleeps until it is spoken to.
import type { Cargo } from "../cargo";

/** A property's key: text, or the name of one of the language's symbols. */
export type Key = string | { readonly symbol: string };

/** Something to be done with an object of the thread, known by its number. */
export interface Operation {
  readonly does:
    | "load"
    | "get"
    | "set"
    | "has"
    | "delete"
    | "keys"
    | "describe"
    | "instance"
    | "call"
    | "apply"
    | "new";
  readonly object: number;
  readonly key?: Key;
  /** What `this` is, for "apply". */
  readonly self?: Cargo;
  readonly args?: Cargo;
}

/** Of whoever uses the objects. */
export type Order =
  | { readonly id: number; readonly within: number; readonly operation: Operation }
  | { readonly answerTo: number; readonly outcome: Outcome }
  | { readonly release: readonly (readonly [object: number, times: number])[] };

/** Of the thread. */
export type Report =
  | { readonly id: number; readonly outcome: Outcome }
  /** A function of the other side is called: under the order `id`, which waits for the answer; or 0, and nobody waits. */
  | {
      readonly calls: number;
      readonly id: number;
      readonly invocation: number;
      readonly self: Cargo;
      readonly args: Cargo;
    }
  | { readonly forget: number; readonly times: number }
  | { readonly shape: number; readonly methods: readonly Key[] }
  /** Its number in the system; 0 where that is not to be had. */
  | { readonly thread: number }
  | { readonly ends: string; readonly error?: Cargo };

export type Outcome = { readonly value: Cargo } | { readonly failure: Cargo };

/** What travels from the thread in the place of something that stays where it is. */
export type Reference =
  | {
      readonly object: number;
      readonly kind: "object" | "function" | "class";
      readonly name: string;
      readonly shape: number;
    }
  | Returned;

/** What has come from the other side goes back there. */
export type Returned = { readonly called: number } | { readonly thrown: number };

/** What travels to the thread: one of its objects; a function of this side; an error, of which it gets a copy. */
export type Argument =
  | { readonly own: number }
  | { readonly called: number; readonly name: string; readonly length: number }
  | { readonly thrown: number; readonly copy: Cargo };

export interface ObjectThreadData {
  readonly url: string;
  readonly port: import("node:worker_threads").MessagePort;
  /** [0] counts orders, [1] reports. */
  readonly counters: Int32Array;
}

export const ORDERS = 0;
export const REPORTS = 1;

export function keyOf(key: PropertyKey): Key | undefined {
  if (typeof key !== "symbol") return String(key);
  const name = key.description?.replace(/^Symbol\./, "") ?? "";
  return (Symbol as unknown as Record<string, unknown>)[name] === key ? { symbol: name } : undefined;
}

export function propertyOf(key: Key): PropertyKey {
  return typeof key === "string" ? key : ((Symbol as unknown as Record<string, symbol>)[key.symbol] as symbol);
}

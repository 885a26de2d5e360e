// What `blocking` makes of a type, as far as TypeScript can say.
import type { Blob } from "node:buffer";
import type { KeyObject } from "node:crypto";
import type { EventEmitter } from "node:events";
import type { Dirent, StatsBase } from "node:fs";

// biome-ignore lint/suspicious/noExplicitAny: any function
type AnyFunction = (this: any, ...args: any[]) => any;
// biome-ignore lint/suspicious/noExplicitAny: any class
type AnyClass = abstract new (...args: any[]) => any;

/** What comes out as it is. */
type Data =
  | readonly unknown[]
  | Date
  | RegExp
  | Error
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>
  | ArrayBufferLike
  | ArrayBufferView
  | PromiseLike<unknown>
  | URL
  | URLSearchParams
  | Headers
  | FormData
  | Blob
  | AbortSignal
  | KeyObject
  | StatsBase<unknown>
  | Dirent
  | IterableIterator<unknown>;

/** What the raw object's own property is shown for. */
type Kept = "constructor" | "prototype" | "then" | "catch" | "finally" | typeof Symbol.asyncIterator;

type IsAny<T> = 0 extends 1 & T ? true : false;

type HasMethods<T> = { [K in keyof T]-?: T[K] extends AnyFunction | AnyClass ? K : never }[keyof T] extends never
  ? false
  : true;

/** The value of a property, or what a promise brings. An object type without methods is taken for data. */
type Shown<V, C extends PropertyKey> =
  IsAny<V> extends true
    ? V
    : V extends AnyFunction | AnyClass
      ? Blocking<V, C>
      : V extends Data
        ? V
        : V extends object
          ? HasMethods<V> extends true
            ? Blocking<V, C>
            : V
          : V;

type Result<R, C extends PropertyKey> = IsAny<R> extends true ? R : Brought<Awaited<R>, C>;

/** What a call brings: of an array the elements are shown. */
type Brought<V, C extends PropertyKey> =
  IsAny<V> extends true
    ? V
    : V extends readonly unknown[]
      ? [Shown<V[number], C>] extends [V[number]]
        ? V // nothing in it is shown otherwise
        : { [I in keyof V]: Shown<V[I], C> }
      : Shown<V, C>;

/** A proxy of a client is as good an argument as the client. */
type Argument<V, C extends PropertyKey> =
  IsAny<V> extends true
    ? V
    : [V] extends [undefined]
      ? // biome-ignore lint/suspicious/noExplicitAny: what type parameters leave, which are lost, says nothing
        any
      : V extends AnyFunction | AnyClass | Data
        ? V
        : V extends object
          ? HasMethods<V> extends true
            ? V | Blocking<V, C>
            : { [K in keyof V]: Field<V[K], C> }
          : V;

/** In an argument's options, too. */
type Field<V, C extends PropertyKey> =
  IsAny<V> extends true
    ? V
    : V extends AnyFunction | AnyClass | Data
      ? V
      : V extends object
        ? HasMethods<V> extends true
          ? V | Blocking<V, C>
          : V
        : V;

type Arguments<A extends unknown[], C extends PropertyKey> = { [I in keyof A]: Argument<A[I], C> };

/** One signature; `unknown`, which adds nothing to an intersection, for one that there is not. */
type Waiting<A, R, C extends PropertyKey> = A extends unknown[] ? (...args: Arguments<A, C>) => Result<R, C> : unknown;

// biome-ignore lint/suspicious/noExplicitAny: the callbacks of any function
type Callback = (error: any, ...values: any[]) => any;

/** One signature, less the callback at its end. */
type Supplied<A, C extends PropertyKey> = A extends unknown[]
  ? Required<A> extends [...infer Rest, infer Last]
    ? Last extends Callback
      ? Parameters<Last> extends [unknown, (infer V)?, ...unknown[]]
        ? (...args: Arguments<Rest, C>) => Brought<V, C>
        : (...args: Arguments<Rest, C>) => void
      : unknown
    : unknown
  : unknown;

type Overloads<F, C extends PropertyKey> = F extends {
  (...args: infer A1): infer R1;
  (...args: infer A2): infer R2;
  (...args: infer A3): infer R3;
  (...args: infer A4): infer R4;
  (...args: infer A5): infer R5;
  (...args: infer A6): infer R6;
  (...args: infer A7): infer R7;
  (...args: infer A8): infer R8;
}
  ? Waiting<A1, R1, C> &
      Waiting<A2, R2, C> &
      Waiting<A3, R3, C> &
      Waiting<A4, R4, C> &
      Waiting<A5, R5, C> &
      Waiting<A6, R6, C> &
      Waiting<A7, R7, C> &
      Waiting<A8, R8, C>
  : unknown;

type CallbackOverloads<F, C extends PropertyKey> = F extends {
  (...args: infer A1): unknown;
  (...args: infer A2): unknown;
  (...args: infer A3): unknown;
  (...args: infer A4): unknown;
  (...args: infer A5): unknown;
  (...args: infer A6): unknown;
}
  ? Supplied<A1, C> & Supplied<A2, C> & Supplied<A3, C> & Supplied<A4, C> & Supplied<A5, C> & Supplied<A6, C>
  : unknown;

type Supplying<F, C extends PropertyKey> =
  unknown extends CallbackOverloads<F, C> ? Overloads<F, C> : CallbackOverloads<F, C>;

type Calls<F, C extends PropertyKey> = F extends { __promisify__: infer P }
  ? Overloads<P, C> // as Node's types tell the form for util.promisify
  : F extends AnyFunction
    ? PropertyKey extends C
      ? Supplying<F, C>
      : Overloads<F, C>
    : unknown;

type Constructs<F, C extends PropertyKey> = F extends abstract new (
  ...args: infer A
) => infer I
  ? new (
      ...args: Arguments<A, C>
    ) => Shown<I, C>
  : unknown;

/** Their own types tell listeners their parameters, which overloads and type parameters would lose. */
type EmitterMethods<T> = T extends EventEmitter ? keyof EventEmitter : never;

type Members<T, C extends PropertyKey> = {
  [K in keyof T]: K extends Kept | EmitterMethods<T>
    ? T[K]
    : K extends C
      ? T[K] extends AnyFunction
        ? Supplying<T[K], C> & Members<T[K], C>
        : Shown<T[K], C>
      : Shown<T[K], C>;
};

type Iteration<T, C extends PropertyKey> =
  T extends Iterable<unknown> ? unknown : T extends AsyncIterable<infer V> ? Iterable<Shown<V, C>> : unknown;

/**
 * The type of `blocking(target)`: what returned promises returns their values. `Callbacks` are the names of methods
 * that take a callback; PropertyKey for every one.
 *
 * Overloaded functions keep their last eight signatures (those with callbacks, six), and type parameters become what
 * they extend: a call's result may have to be asserted. Object types without methods are taken for data, all others
 * for clients. The methods of event emitters (`on`, `once`, …) keep their types, so `client.on(…)` seems to return the
 * raw client.
 */
export type Blocking<T, Callbacks extends PropertyKey = never> = Calls<T, Callbacks> &
  Constructs<T, Callbacks> &
  Members<T, Callbacks> &
  Iteration<T, Callbacks>;

// An asynchronous iterator as a blocking one.
import { type Late, settle } from "./settle";

const ignore = () => {};

/** What an iteration takes from the proxy that it belongs to. */
export interface Steps {
  readonly discard: Late["discard"];
  /** What is handed out for a value of the source. */
  wrap(value: unknown): unknown;
}

/**
 * Iterates over an iterable, each step waited for. When the fiber is interrupted in a step, the loop around it is left
 * without a word to the iterator, as the error seems to be the iterator's own: so it closes the source itself. A stream
 * is destroyed, since its iterator, as every asynchronous generator, cannot return before the step has ended.
 */
export class Iteration implements IterableIterator<unknown, unknown, unknown> {
  readonly #iterable: AsyncIterable<unknown>;
  readonly #source: AsyncIterator<unknown>;
  readonly #steps: Steps;

  constructor(iterable: AsyncIterable<unknown>, steps: Steps) {
    this.#iterable = iterable;
    this.#source = iterable[Symbol.asyncIterator]();
    this.#steps = steps;
  }

  next(...args: [unknown?]): IteratorResult<unknown> {
    return this.#settle(this.#source.next(...(args as [undefined])));
  }

  return(value?: unknown): IteratorResult<unknown> {
    if (this.#source.return === undefined) return { done: true, value };
    return this.#settle(this.#source.return(value));
  }

  throw(error?: unknown): IteratorResult<unknown> {
    if (this.#source.throw === undefined) {
      this.return();
      throw error;
    }
    return this.#settle(this.#source.throw(error));
  }

  [Symbol.iterator](): this {
    return this;
  }

  #settle(step: PromiseLike<IteratorResult<unknown>>): IteratorResult<unknown> {
    const { discard, wrap } = this.#steps;
    const { done, value } = settle(Promise.resolve(step), {
      discard: discard && (({ done, value }: IteratorResult<unknown>) => done || discard(value)),
      cancel: () => this.#close(),
    }) as IteratorResult<unknown>;
    return { done, value: wrap(value) } as IteratorResult<unknown>;
  }

  #close(): void {
    Promise.resolve(this.#source.return?.()).catch(ignore);
    if (isStream(this.#iterable)) this.#iterable.destroy();
  }
}

function isStream(value: object): value is { destroy(): void } {
  const { destroy, pipe } = value as { destroy?: unknown; pipe?: unknown };
  return typeof destroy === "function" && typeof pipe === "function";
}

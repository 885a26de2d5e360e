// The functions of this thread that another one can call, by their numbers.

interface Known {
  readonly fn: Callable;
  /** How often it was sent: it is forgotten when the other side has forgotten as many. */
  sent: number;
}

type Callable = (this: unknown, ...args: unknown[]) => unknown;

export class Functions {
  readonly #known = new Map<number, Known>();
  readonly #numbers = new Map<object, number>();
  #last = 0;

  get size(): number {
    return this.#known.size;
  }

  /** The number of a function that is about to be sent. */
  numberOf(fn: object): number {
    let number = this.#numbers.get(fn);
    if (number === undefined) this.#numbers.set(fn, (number = ++this.#last));
    const known = this.#known.get(number);
    if (known === undefined) this.#known.set(number, { fn: fn as Callable, sent: 1 });
    else known.sent++;
    return number;
  }

  get(number: number): Callable {
    return (this.#known.get(number) as Known).fn;
  }

  forget(number: number, times: number): void {
    const known = this.#known.get(number);
    if (known === undefined || (known.sent -= times) > 0) return;
    this.#known.delete(number);
    this.#numbers.delete(known.fn);
  }
}

// How long the caller of an operation waits for it.

/** Told to an operation, so that it can stop when nobody waits any more. An AbortSignal costs more than most operations. */
export class Patience {
  /** Of callers that wait without end. */
  static readonly endless = new Patience();
  /** Whether nobody waits any more. */
  over = false;
  #stops: (() => void)[] = [];

  /** Has `stop` called when the operation is given up. The returned function takes that back. */
  atEnd(stop: () => void): () => void {
    if (this === Patience.endless) return () => {};
    this.#stops.push(stop);
    return () => {
      this.#stops = this.#stops.filter((one) => one !== stop);
    };
  }

  end(): void {
    this.over = true;
    for (const stop of this.#stops.splice(0)) stop();
  }
}

/**
 * A promise of what is started; `start` returns how to stop it when nobody wants it any more. The promise is rejected
 * then.
 */
export function promised<T>(
  patience: Patience,
  start: (resolve: (value: T) => void, done: (error?: Error | null) => void) => (() => unknown) | void,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let calm = () => {};
    const stop = start(
      (value) => {
        calm();
        resolve(value);
      },
      (error) => {
        calm();
        if (error) reject(error);
        else resolve(undefined as T);
      },
    );
    calm = patience.atEnd(() => {
      stop?.();
      reject(new Error("The caller waits no more"));
    });
  });
}

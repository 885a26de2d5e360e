// What a server does for a client in a fiber, from its turn to its end.
import { begin } from "../../runtime/coroutine";
import { FiberExit } from "../../runtime/errors";
import { Fiber, newRecord } from "../../runtime/fiber";
import { startsFiber } from "../../runtime/listener";
import type { Place } from "../../runtime/sync/linked-list";

export abstract class Job {
  /** Nothing is left of it. */
  whenOver = () => {};
  /** Its handler has ended, or never will begin. */
  whenReturned = () => {};
  /** Its place among those that wait for their turn. */
  place: Place<Job> | null = null;
  /** Not the fiber itself, which is to be unwound, like any other, when nothing can resume it any more. */
  readonly #fiber: WeakRef<Fiber>;
  /** Nobody else knows it before it has begun. */
  #unbegun: Fiber | null;
  #isReturned = false;
  #isClosed = false;

  constructor(name: string) {
    const fiber = new Fiber(run, {}, this, [], newRecord(name));
    fiber.atEnd(() => this.#returned()); // killed before it has begun, perhaps
    this.#fiber = new WeakRef(fiber);
    this.#unbegun = fiber;
  }

  begin(): void {
    const fiber = this.#unbegun as Fiber;
    this.#unbegun = null;
    if (startsFiber()) begin(fiber);
    else fiber.start();
  }

  /** Answers in the handler's place, and kills it. */
  abstract stop(why: string, status: number): void;

  /** In the fiber. */
  protected abstract handle(): void;

  /** The handler has thrown. */
  protected abstract failed(error: unknown): void;

  /** Whether the client has its answer, or is gone. */
  protected get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Whether the handler runs. */
  protected get isRunning(): boolean {
    return this.#unbegun === null && !this.#isReturned;
  }

  /** Throws into the handler; it never begins, if it has not. */
  protected interrupt(exit: FiberExit): void {
    if (this.#unbegun === null) this.#fiber.deref()?.interruptLater(exit);
    else this.close();
  }

  /** Nothing is to be sent to the client any more. False if that was known. */
  protected close(): boolean {
    if (this.#isClosed) return false;
    this.#isClosed = true;
    if (!this.isRunning) this.whenOver();
    return true;
  }

  /** @internal For the fiber's own frames. */
  run(): void {
    try {
      this.handle();
    } catch (error) {
      this.failed(error);
    } finally {
      this.#returned();
    }
  }

  #returned(): void {
    if (this.#isReturned) return;
    this.#isReturned = true;
    this.whenReturned();
    if (this.#isClosed) this.whenOver();
  }
}

function run(this: Job): void {
  this.run();
}

/** What kills a handler. Its trace is to show where the fiber was, and not who has killed it. */
export function exit(why: string): FiberExit {
  const error = new FiberExit(why);
  error.stack = `${error.name}: ${why}`;
  return error;
}

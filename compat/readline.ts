// readline: lines and answers in blocking style.
import type { Interface } from "node:readline";
import type { Readable, Writable } from "node:stream";

import { refusal } from "../runtime/block";
import { now } from "../runtime/clock";
import { canBlock } from "../runtime/coroutine";
import type { AnyFunction } from "../runtime/disguise";
import { fiberOnly, invalidArgument } from "../runtime/errors";
import { checkLimit, type Limit, signalOf, timeoutOf } from "../runtime/limit";
import { Semaphore } from "../runtime/sync/semaphore";
import { Timeout } from "../runtime/sync/timeout";
import { holdFlow, inOrder, listenInFibers } from "./emitters";
import { Inbox } from "./inbox";
import { Descriptor } from "./parked/descriptor";
import type { ModulePatch } from "./patching";

declare module "readline" {
  interface Interface {
    /**
     * `question` in blocking style: shows `query`, and suspends the fiber until there is a line, which is returned. Of
     * several fibers that ask, one asks after another.
     *
     * Lines that came between two calls answer the next ones: from the first `questionSync` or `linesSync` on, and
     * before that if the interface was created in a fiber; unless it has "line" listeners of the program's own, which
     * get them. What is kept is also returned when the limit is 0. Out of a fiber the thread sleeps until there is a
     * line, if the input has a descriptor (standard input, a file, ...).
     * @param query is written to the output; may be empty
     * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }; default: without end
     * @returns null at the end of the input (at a terminal: ^D on an empty line), then and from then on
     * @throws ERR_USE_AFTER_CLOSE when the interface is closed otherwise: by `close()`, or by ^C where nobody listens to
     *   "SIGINT"; what the input's "error" event brings; Timeout when the time was over first; AbortError when the
     *   signal was aborted first; ERR_NOT_IN_FIBER out of a fiber for other inputs, or a signal that is not aborted
     */
    questionSync(query: string, limit?: Limit): string | null;
    /**
     * The lines until the end of the input, or until the interface is closed; each is waited for, in the fiber. Which
     * are kept in between is said at `questionSync`; the input is paused when they are very many. Leaving the loop early
     * closes the interface, as `for await` does. Several fibers may read, each gets other lines.
     * @throws what the input's "error" event brings; ERR_NOT_IN_FIBER out of a fiber, as `questionSync`
     */
    linesSync(): Generator<string, void, undefined>;
  }
}

/** What an interface has beside that which is declared. */
type Open = Interface & { readonly closed: boolean; readonly input?: Readable; readonly output?: Writable };
type Key = { readonly ctrl?: boolean; readonly name?: string } | undefined;

/** How many lines are kept before the input is paused, as for `events.on`. */
const MANY = 1024;

/** The lines of an interface that came in, and those who wait for one. */
class Lines {
  static readonly #all = new WeakMap<Interface, Lines>();
  readonly #rl: Open;
  readonly #inbox = new Inbox<string>();
  readonly #turn = new Semaphore(1);
  #used = false;
  #paused = false;
  #endKey = false;
  #inputEnded = false;

  static of(rl: Interface): Lines {
    let lines = Lines.#all.get(rl);
    if (!lines) Lines.#all.set(rl, (lines = new Lines(rl as Open)));
    return lines;
  }

  private constructor(rl: Open) {
    this.#rl = rl;
    const { input } = rl;
    const pressed = (_: unknown, key: Key) => {
      this.#endKey = key?.ctrl === true && key.name === "d";
    };
    if (rl.terminal) input?.prependListener("keypress", pressed); // before it closes the interface
    rl.on("line", (line: string) => this.#keep(line));
    rl.once("close", () => {
      input?.off("keypress", pressed);
      this.#inbox.close();
    });
    if (rl.closed) this.#inbox.close();
  }

  /** From now on errors are told by blocking calls. */
  use(): this {
    if (this.#used) return this;
    this.#used = true;
    this.#rl.on("error", (error: unknown) => {
      if (!this.#inbox.wants(this.#rl, "error")) return; // the program's own listener hears of it
      this.#inbox.fail(error);
      this.#inbox.close(); // an input that has failed does not end
    });
    return this;
  }

  question(query: string, limit: Limit): string | null {
    const ms = timeoutOf(limit);
    const start = now();
    if (!this.#turn.acquire(limit)) throw new Timeout(ms);
    try {
      return this.#ask(query, { timeout: Math.max(0, ms - (now() - start)), signal: signalOf(limit) }, ms);
    } finally {
      this.#turn.release();
    }
  }

  #ask(query: string, limit: Limit, ms: number): string | null {
    let taken: { readonly value: string } | null;
    if (this.#inbox.size > 0 || this.#rl.closed || timeoutOf(limit) === 0) {
      if (this.#inbox.size > 0 || this.#ended) this.#rl.output?.write(query);
      taken = this.#inbox.take(0, questionSync, ms);
    } else taken = this.#waitForAnswer(query, limit, ms);
    if (taken === null && !this.#ended) throw useAfterClose();
    return taken?.value ?? null;
  }

  #waitForAnswer(query: string, limit: Limit, ms: number): { readonly value: string } | null {
    const source = canBlock() ? null : this.#source(signalOf(limit));
    this.#goOn();
    let open = true;
    const cancel = new AbortController();
    this.#rl.question(query, { signal: cancel.signal }, (line) => {
      open = false;
      this.#inbox.put(line);
    });
    try {
      if (source) this.#fill(source, ms);
      return this.#inbox.take(limit, questionSync, ms);
    } finally {
      if (open && !this.#rl.closed) cancel.abort();
    }
  }

  /** What to read from out of a fiber. */
  #source(signal?: AbortSignal): Descriptor {
    const source = this.#rl.input ? Descriptor.of(this.#rl.input) : null;
    if (source === null) throw refusal();
    if (signal) throw fiberOnly("limit.signal");
    return source;
  }

  /** Reads until there is a line, with the thread asleep; the interface gets it as it always does. */
  #fill(source: Descriptor, ms: number): void {
    const start = now();
    while (this.#inbox.size === 0 && !this.#rl.closed) {
      const more = source.pull(Math.max(0, ms - (now() - start)), ms);
      source.quietly(() => this.#rl.input?.read()); // a "data" event
      if (!more) this.#endInput();
    }
  }

  /** What Node does at the end of the input, which it will come to only when the event loop turns. */
  #endInput(): void {
    this.#inputEnded = true;
    const end = endListeners.get(this.#rl);
    if (end) Reflect.apply(end, this.#rl.input, []); // the last line may have no newline
    this.#rl.close();
  }

  /** Whether it is the input that has ended. */
  get #ended(): boolean {
    return this.#endKey || this.#inputEnded || this.#rl.input?.readableEnded === true;
  }

  next(): string | null {
    if (this.#inbox.size === 0) this.#goOn();
    if (!canBlock() && this.#inbox.size === 0 && !this.#rl.closed) {
      this.#fill(this.#source(), Number.POSITIVE_INFINITY);
    }
    return this.#inbox.take(Number.POSITIVE_INFINITY, linesSync)?.value ?? null;
  }

  /** Closes the interface, and forgets its lines. */
  close(): void {
    this.#inbox.close(true);
    this.#rl.close();
  }

  #keep(line: string): void {
    if (!this.#inbox.wants(this.#rl, "line")) return;
    this.#inbox.put(line);
    if (!this.#used || this.#paused || this.#inbox.size < MANY) return;
    this.#paused = true;
    this.#rl.pause();
  }

  #goOn(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.#rl.closed) this.#rl.resume();
  }
}

/** Node's own listeners for the end of an interface's input. */
const endListeners = new WeakMap<Interface, (...args: unknown[]) => void>();

/** Calls what creates an interface, and finds that listener. */
function created(create: AnyFunction, args: unknown[]): Interface {
  const [first] = args as [{ input?: Readable } | Readable | undefined];
  const input = ((first as { input?: Readable } | undefined)?.input ?? first) as Readable | undefined;
  const before = input?.listeners?.("end") ?? [];
  const rl = create(...args) as Interface;
  const end = input?.listeners?.("end").find((listener) => !before.includes(listener));
  if (end) endListeners.set(rl, end as (...args: unknown[]) => void);
  return rl;
}

function useAfterClose(): Error {
  return Object.assign(new Error("readline was closed"), { code: "ERR_USE_AFTER_CLOSE" });
}

function questionSync(this: Interface, query: string, limit: Limit = Number.POSITIVE_INFINITY): string | null {
  if (typeof query !== "string") throw invalidArgument("query", "of type string", query);
  checkLimit(limit, "limit");
  return Lines.of(this).use().question(query, limit);
}

function* linesSync(this: Interface): Generator<string, void, undefined> {
  const lines = Lines.of(this).use();
  let ended = false;
  try {
    for (let line = lines.next(); line !== null; line = lines.next()) yield line;
    ended = true;
  } finally {
    if (!ended) lines.close();
  }
}

export const readlinePatch: ModulePatch = {
  name: "readline",
  apply(define) {
    const readline = require("node:readline") as typeof import("node:readline"); // not before it is asked for
    const hold = (rl: Open, event: unknown) => (event === "line" && rl.input ? holdFlow(rl.input) : undefined);
    for (const { prototype } of [readline.Interface, readline.promises.Interface]) {
      listenInFibers(define, prototype as Open, inOrder, hold);
    }
    define.add(readline.Interface.prototype, "questionSync", questionSync);
    define.add(readline.Interface.prototype, "linesSync", linesSync);
    define.replace(
      readline,
      "createInterface",
      (create) =>
        // A function, as some call it with `new`.
        function createInterface(...args) {
          const rl = created(create, args);
          if (canBlock()) Lines.of(rl);
          return rl;
        },
    );
  },
};

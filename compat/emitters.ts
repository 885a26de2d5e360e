// Events whose listeners start in fibers, so that they may block.
//
// All listeners of one event run in one fiber, one after another, as they would without fibers. Only for the program's
// own is one started: Node's listeners, and ours, never block. What an emitter emits while one of its listeners is
// suspended waits for that one, as it would if the listener really blocked; but Node's own listeners, and ours, hear of
// it at once. Servers are different: each of their requests and connections is somebody else's, and waits for nobody.
import { EventEmitter } from "node:events";
import { Readable } from "node:stream";
import { begin } from "../runtime/coroutine";
import type { AnyFunction } from "../runtime/disguise";
import type { Fiber } from "../runtime/fiber";
import { Hidden } from "../runtime/hidden";
import { raise, schedule } from "../runtime/hub";
import { laterListener, runListener, serverFibers, startsFiber } from "../runtime/listener";
import { type Flow, isPausedByProgram } from "../runtime/park/operations/streams";
import { isProgram } from "../runtime/program";
import { addonOrNull } from "../runtime/switch";
import type { Define } from "./patching";

type Listener = AnyFunction & { listener?: AnyFunction };
type Listeners = Listener | Listener[];
/** What Node keeps listeners in; `listeners()` would copy them at every event. */
type Emitter = EventEmitter & { _events?: Record<string | symbol, Listeners | undefined> };

function isPrograms(listener: Listener): boolean {
  return isProgram(listener) || (listener.listener !== undefined && isProgram(listener.listener)); // `once` wraps it
}

function anyPrograms(listeners: Listeners): boolean {
  return typeof listeners === "function" ? isPrograms(listeners) : listeners.some(isPrograms);
}

/** Whether an event's listeners are to start in a fiber. */
function startFiber(listeners: Listeners, event: string | symbol): boolean {
  if (event === "newListener" || event === "removeListener") return false; // they tell an emitter what it was made for
  return startsFiber() && anyPrograms(listeners);
}

/** Calls Node's listeners, and ours; a fiber, not started, for the program's. */
function postpone(emitter: Emitter, event: string | symbol, listeners: Listeners, args: unknown[]): Fiber {
  const all = typeof listeners === "function" ? [listeners] : [...listeners];
  const programs = all.filter(isPrograms);
  const fiber = laterListener(
    () => {
      for (const listener of programs) Reflect.apply(listener, emitter, args);
    },
    undefined,
    [],
    nameOf(event),
  );
  for (const listener of all) if (!programs.includes(listener)) Reflect.apply(listener, emitter, args);
  return fiber;
}

function nameOf(event: string | symbol): string {
  return `on ${String(event)}`;
}

/** Stops what brings an emitter's events, as well as it can; the function that is returned lets it go on. */
type Hold<E> = (emitter: E, event: string | symbol) => (() => void) | undefined;

/** The events of an emitter one of whose listeners is suspended. */
class Backlog {
  readonly #owner: object;
  readonly #hold: Hold<object> | undefined;
  readonly #waiting: Fiber[] = [];
  #release: (() => void) | undefined;

  constructor(owner: object, hold: Hold<object> | undefined) {
    this.#owner = owner;
    this.#hold = hold;
  }

  follow(fiber: Fiber, event: string | symbol): void {
    this.#release ??= this.#hold?.(this.#owner, event);
    this.#await(fiber);
  }

  add(fiber: Fiber, event: string | symbol): void {
    this.#release ??= this.#hold?.(this.#owner, event);
    this.#waiting.push(fiber);
  }

  // Weakly: this leads to the emitter, and that perhaps to what the fiber waits for.
  #await(fiber: Fiber): void {
    const backlog = new WeakRef(this);
    fiber.record.atEnd(() => {
      const still = backlog.deref();
      if (still) schedule(still);
    });
  }

  /** On the hub, after the end of a listener's fiber. */
  run(): void {
    const fiber = this.#waiting.shift();
    if (fiber) {
      this.#await(fiber);
      begin(fiber);
      return;
    }
    backlogs.set(this.#owner, undefined);
    this.#release?.();
  }
}

const backlogs = new Hidden<object, Backlog>();

/**
 * How an event's listeners are called: in order, after those of the emitter's events before it; each by itself; or as
 * work, by itself and no more of them than servers may have. Undefined: without fibers.
 */
export type Manner = "in order" | "each" | "work" | undefined;

/** By each emit of ours, what it calls. */
const behind = new WeakMap<AnyFunction, () => AnyFunction>();

/** Not an emit of ours that is inherited: the one that was called has seen to the event. */
function pastOurs(emit: AnyFunction): AnyFunction {
  return behind.get(emit)?.() ?? emit;
}

/** Has the listeners of an emitter's, or of a class's, events start in fibers. */
export function listenInFibers<E extends EventEmitter>(
  define: Define,
  target: E,
  mannerOf: (event: string | symbol, emitter: E) => Manner,
  hold?: Hold<E>,
): void {
  /** Undefined: no fiber is to start. */
  function mannerOfStart(listeners: Listeners | undefined, event: string | symbol, emitter: E): Manner {
    const starts = listeners !== undefined && startFiber(listeners, event);
    // Of a request it is asked for also where there are no listeners: that makes http2's responses complete.
    const manner = starts || event === "request" ? mannerOf(event, emitter) : undefined;
    return starts ? manner : undefined;
  }

  const before = EventEmitter.prototype.emit;
  const nodesEmit = addonOrNull() !== null && !isProgram(before) ? before : null; // null: it may be others'
  behind.set(emitByNode, () => EventEmitter.prototype.emit);
  define.replace(target, "emit", (original) => {
    const parent = Object.getPrototypeOf(target) as EventEmitter;
    const others = Object.hasOwn(target, "emit") ? original : undefined;
    return others === undefined && parent === EventEmitter.prototype ? emitByNode : emitBy(() => others ?? parent.emit);
  });

  // Most events concern no fiber, and most of them nobody: what those need is short, so that V8 puts it where they come from.
  function emitByNode(this: Emitter & E, event: string | symbol, first?: unknown, second?: unknown): unknown {
    const { emit } = EventEmitter.prototype; // as it is now: others replace it, too
    const listeners = this._events?.[event];
    if (listeners === undefined && event !== "request" && event !== "error" && emit === nodesEmit) return false;
    const manner = mannerOfStart(listeners, event, this);
    // biome-ignore lint/complexity/noArguments: an array of them would have to be made
    const given = arguments;
    if (manner) {
      const args = [event, first, second]; // Array.from would take ten times as long
      if (given.length < 3) args.length = given.length;
      else for (let i = 3; i < given.length; i++) args.push(given[i]);
      return emitInFiber(emit, this, listeners as Listeners, manner, args, hold as Hold<object>);
    }
    // V8 knows best how to pass on arguments that it sees.
    if (given.length === 1) return emit.call(this, event);
    if (given.length === 2) return emit.call(this, event, first);
    if (given.length === 3) return emit.call(this, event, first, second);
    return Reflect.apply(emit, this, given);
  }

  /** The same, where others have put theirs in its place, or may in a class in between. */
  function emitBy(find: () => AnyFunction): AnyFunction {
    const emitAbove = () => pastOurs(find());
    const ours = function (this: Emitter & E, ...args: [event: string | symbol, ...rest: unknown[]]) {
      const [event] = args;
      const listeners = this._events?.[event];
      const manner = mannerOfStart(listeners, event, this);
      if (!manner) return Reflect.apply(emitAbove(), this, args);
      return emitInFiber(emitAbove(), this, listeners as Listeners, manner, args, hold as Hold<object>);
    };
    behind.set(ours, emitAbove);
    return ours;
  }
}

function emitInFiber(
  emit: AnyFunction,
  emitter: Emitter,
  listeners: Listeners,
  manner: Manner,
  args: unknown[],
  hold: Hold<object> | undefined,
): unknown {
  const event = args[0] as string | symbol;
  // In what follows, undefined tells that a listener has suspended.
  if (manner === "each") return runListener(emit, emitter, args, nameOf(event)) ?? true;
  const uncaught = isParsers(emitter, event, args[1]);
  if (manner === "work" && !serverFibers.reached)
    return serverFibers.run(emit, emitter, args, nameOf(event), uncaught) ?? true;
  const before = manner === "work" ? serverFibers : backlogs.get(emitter);
  if (!before) return runInOrder(emitter, emit, emitter, args, event, hold, uncaught) ?? true;
  before.add(postpone(emitter, event, listeners, args.slice(1)), event);
  return true;
}

/** Calls a listener in a fiber; if another one of the same owner's is suspended, then after that one's end. */
export function callInOrder(owner: object, listener: AnyFunction, self: unknown, args: unknown[], event: string): void {
  const before = backlogs.get(owner);
  if (before) before.add(laterListener(listener, self, args, nameOf(event)), event);
  else runInOrder(owner, listener, self, args, event);
}

function runInOrder(
  owner: object,
  listener: AnyFunction,
  self: unknown,
  args: unknown[],
  event: string | symbol,
  hold?: Hold<object>,
  uncaught?: boolean,
): unknown {
  const leaves = (fiber: Fiber) => {
    const backlog = new Backlog(owner, hold);
    backlogs.set(owner, backlog);
    backlog.follow(fiber, event);
  };
  return runListener(listener, self, args, nameOf(event), leaves, uncaught);
}

const LOSES_ERRORS_SINCE = 22;
const losesErrors = Number.parseInt(process.versions.node, 10) >= LOSES_ERRORS_SINCE;
const parsed = new Set<string | symbol>([
  "request",
  "checkContinue",
  "checkExpectation",
  "response",
  "continue",
  "information",
]);

interface Parsed {
  readonly parser?: { readonly incoming: unknown } | null;
  readonly socket?: Parsed | null;
}

/**
 * Whether an event is HTTP's parser's, in which Node from 22 on loses what a listener throws if AsyncResource#runInAsyncScope
 * was called there before, as it is for each fiber. Nobody could catch that but the process.
 */
function isParsers(emitter: object, event: string | symbol, message: unknown): boolean {
  if (!losesErrors || !parsed.has(event)) return false;
  const { parser } = (message as Parsed | undefined)?.socket ?? (emitter as Parsed);
  return parser?.incoming != null && (message === undefined || parser.incoming === message || event === "information");
}

/** Events that bring a server something to do. */
const work = new Set<string | symbol>([
  "connection",
  "secureConnection",
  "session",
  "stream",
  "request",
  "checkContinue",
  "checkExpectation",
  "upgrade",
  "connect",
]);

/** Of a server, each request and connection is somebody else's, and waits for nobody. */
export function serverManner(event: string | symbol): Manner {
  return work.has(event) ? "work" : "each";
}

export function inOrder(): Manner {
  return "in order";
}

/**
 * Keeps a stream's data in its buffer, whose limit then holds up whoever fills it. Not by `pause`, which its listeners
 * would hear of, and must be free to call.
 */
export function holdFlow(readable: object): (() => void) | undefined {
  if (!(readable instanceof Readable) || !readable.readableFlowing) return undefined;
  const stream = readable as Flow;
  stream.readableFlowing = false;
  return () => {
    if (stream.readableFlowing !== false || isPausedByProgram(stream)) return; // the program has chosen
    stream.readableFlowing = true;
    try {
      while (stream.readableFlowing && !stream.destroyed && stream.read() !== null);
    } catch (error) {
      raise(error); // a "data" listener's
    }
  };
}

// A coroutine: a body of code with a stack to run on while it lasts, in an async context of its own.
//
// Frames that stay on a coroutine's stack while it is suspended (main, execute, call, and block in block.ts) never
// hold the Coroutine object itself: they reach it through `current`, in callees that have returned by then. V8 takes
// everything on a suspended stack for alive; so, as nothing on the stack leads to the object, it is garbage as
// soon as nobody is left who could resume it, and can be unwound (`abandoned`).
import { AsyncResource, executionAsyncId } from "node:async_hooks";
import { noticeLoads } from "./builtins";
import { isPreparingStackTrace } from "./call-sites";
import type { AnyFunction } from "./disguise";
import { enterDomains, isInDomain, leaveDomains } from "./domains";
import { cannotSuspend, FiberExit, invalidArgument, noFibers } from "./errors";
import { drain, type Runnable, raise, schedule, takeNext, waiting } from "./hub";
import { type Lease, Leases } from "./leases";
import { importer, insideEsModule } from "./loader-stack";
import { isGiven } from "./node-options";
import * as channels from "./observe/channels";
import type { FiberRecord } from "./observe/record";
import { addonOrNull, openSwitch, type Stacks, type Switch } from "./switch";

// As it was before anybody patched or replaced it.
const runInAsyncScope = AsyncResource.prototype.runInAsyncScope;

let opened: Switch | null = null;
let stacks: Stacks; // once it is open, if there are fibers at all
let leases: Leases<Coroutine>; // the same

/** How stacks are switched in this thread. Opened when it is first asked for: a program without fibers never pays. */
export function theSwitch(): Switch {
  if (opened === null) {
    opened = openSwitch(main, failed);
    if (opened.stacks !== null) {
      stacks = opened.stacks;
      leases = new Leases(stacks, abandoned);
      for (const prepare of preparations) prepare();
    }
  }
  return opened;
}

const preparations: (() => void)[] = [];

/** Has `prepare` called once there can be fibers in this thread, before the first of them: for what costs something. */
export function beforeFirstFiber(prepare: () => void): void {
  preparations.push(prepare);
}

/** Rules fibers out in this thread, for good. False if it is too late for that: the switch is open. */
export function forgoFibers(reason: string): boolean {
  if (opened === null) opened = { name: "none", reason, stacks: null };
  return opened.stacks === null;
}

/** Why there can be no fibers in this thread; undefined if there can. Does not open a switch that would make some. */
export function whyNoFibers(): string | undefined {
  if (opened === null && addonOrNull() !== null) return undefined;
  const { stacks, reason } = theSwitch();
  return stacks === null ? reason : undefined;
}

/** Bytes of stack for JavaScript: a little more than the 984 KiB that V8 allows itself on Node's main thread. */
export const DEFAULT_STACK_SIZE = 1024 * 1024;
export const MIN_STACK_SIZE = 64 * 1024;

export const enum State {
  New,
  Ready,
  Running,
  Suspended,
  Dead,
}

/** What one coroutine is to run; not reachable from it once it runs. */
interface Task {
  fn: (...args: never[]) => unknown;
  self: unknown;
  args: unknown[];
}

/** The coroutine that runs now; null on the hub's stack. */
export let current: Coroutine | null = null;

/** The same, or whoever it runs for. */
export function currentRoot(): Coroutine | null {
  let coroutine = current;
  while (coroutine !== null && coroutine.host !== null) coroutine = coroutine.host;
  return coroutine;
}

const resources: (AsyncResource | undefined)[] = []; // by stack: the async context of what runs there
/** By stack: what is known of the fiber that has begun there. The addon's monitor looks into it. */
export const records: (FiberRecord | undefined)[] = [];
const depths: number[] = []; // by stack: how many hosts there are below what runs there
const starved: Coroutine[] = []; // could not be given a stack; start when one is free
let shortage: Error | null = null; // why the last lease failed, until a stack is free again

/** How often what has happened, to fibers only: not to the parts of one (`host`). */
export const counts = { spawned: 0, ended: 0, switches: 0 };

/** How many stacks are kept for the next fibers. */
export function pooledStacks(): number {
  const [created] = opened?.stacks?.counts() ?? [0];
  return created - leasedStacks();
}

/** Stacks on loan, all that there are, and those that are warm and not on loan. */
export function stackCounts(): { leased: number; created: number; warm: number } {
  const [created, cold] = theSwitch().stacks?.counts() ?? [0, 0];
  const leased = leasedStacks();
  return { leased, created, warm: created - cold - leased };
}

function leasedStacks(): number {
  return leases?.count ?? 0;
}

export abstract class Coroutine {
  /** @internal What others may know of the fiber that this is, or is a part of. */
  readonly record: FiberRecord;
  /** @internal */ state: State = State.New;
  /** @internal The async context: entered on the resumer's stack around every resume. */
  readonly resource: AsyncResource;
  /** @internal */ readonly asyncId: number;
  /** @internal */ readonly stackSize: number;
  /** @internal What it is suspended on: a Waiter, of which only block.ts knows more. */
  waiter: { abandon(): void; readonly likeNode: boolean } | null = null;
  /** @internal Errors that were thrown into it and are yet to appear in it. */
  interrupts: unknown[] | null = null;
  /** @internal More than 0: what is thrown into it waits until it is 0 again (`shielded`). */
  shields = 0;
  /** @internal More than 0: in a frame that must not be left half-way, for the reason in `pinnedBy`. */
  pinned = 0;
  /** @internal */ pinnedBy = "";
  /** @internal The coroutine on whose behalf this one runs, as a part of it (guards/async-scope.ts), and the reverse. */
  host: Coroutine | null = null;
  /** @internal */ child: Coroutine | null = null;
  /** @internal Whether code on the stack below has run it, and goes by when it leaves its stack (compat/fibers). */
  called = false;
  /** @internal Called, on its resumer's stack, whenever it has given the thread up; must not throw. */
  left: (() => void) | null = null;
  /** @internal What its body has thrown, on the way to its end. */
  failure: { readonly error: unknown } | null = null;
  /** @internal Whether the process was told of that, where it was thrown. */
  told = false;
  /** @internal Asked for by `suspendedFibers`: gets the stack trace instead of waiting on. */
  inspect: ((trace: string) => void) | null = null;
  #task: Task | null;
  #lease: Lease<Coroutine> | null = null;

  constructor(
    record: FiberRecord,
    fn: Task["fn"],
    self: unknown,
    args: unknown[],
    stackSize: number,
    resource: AsyncResource,
  ) {
    this.record = record;
    this.#task = { fn, self, args };
    this.stackSize = stackSize;
    this.resource = resource;
    this.asyncId = resource.asyncId();
  }

  /** For people: in reports and errors. */
  get name(): string {
    return this.record.name;
  }

  set name(name: string) {
    if (typeof name !== "string") throw invalidArgument("name", "of type string", name);
    this.record.name = name;
  }

  /**
   * @internal Whether the process is told of an error of its body, shown with the line that threw it, before its end. Not
   * asked about a FiberExit.
   */
  goesUncaught(_error: unknown): boolean {
    return false;
  }

  /** @internal Called on the coroutine's stack as the last thing, or on any other if it never had one. */
  protected abstract settle(failed: boolean, outcome: unknown): void;

  /** @internal For the hub: continue, or start, this coroutine. */
  run(): void {
    if (this.state === State.Dead) return;
    if (this.#lease === null && !this.#start()) return;
    this.resume();
  }

  /** @internal Switches to the coroutine's stack, until it suspends or ends. */
  resume(): void {
    const resumer = current;
    this.state = State.Running;
    counts.switches++;
    if (channels.resumed.hasSubscribers && resumer === null) channels.resumed.publish({ fiber: this.root });
    current = this;
    try {
      switchTo((this.#lease as Lease<Coroutine>).stack, this.resource);
      while (errand !== null) this.#sendOn(resumer);
    } finally {
      current = resumer;
      // It did not get to run: the resumer's own stack was at its limit. Another turn has more room.
      if (this.state === State.Running) this.makeReady();
    }
    if (this.left !== null) this.left();
    if (resumer === null && (channels.suspended.hasSubscribers || channels.ended.hasSubscribers)) {
      this.root.#announceLeft();
    } else if (resumer !== null && channels.ended.hasSubscribers) {
      this.#announceEndLater();
    }
  }

  // It has left its stack only to have something done on the hub's.
  #sendOn(resumer: Coroutine | null): void {
    const { run, refuse } = errand as NonNullable<typeof errand>;
    errand = null;
    current = resumer;
    try {
      onHub(run);
    } catch (error) {
      refuse(error);
    }
    current = this;
    switchTo((this.#lease as Lease<Coroutine>).stack, this.resource);
  }

  #announceLeft(): void {
    if (this.state === State.Dead) this.#announceEnd();
    else if (channels.suspended.hasSubscribers) channels.suspended.publish({ fiber: this });
  }

  // On the hub's stack, as always: this one was run by another coroutine.
  #announceEndLater(): void {
    if (this.state === State.Dead && this.host === null) schedule({ run: () => this.#announceEnd() });
  }

  #announceEnd(): void {
    if (channels.ended.hasSubscribers) channels.ended.publish(this.obituary());
  }

  /** @internal What is published of its end. */
  protected obituary(): object {
    return { fiber: this };
  }

  /** @internal Itself, or whoever it runs for. */
  get root(): Coroutine {
    let root: Coroutine = this;
    while (root.host !== null) root = root.host;
    return root;
  }

  /**
   * @internal Begins on top of the running stack if the hub would begin it next, and the running coroutine waits for it: one
   * trip to the hub and back less. Whether it did.
   */
  beginForWaiter(): boolean {
    if (this.#lease !== null || this.state !== State.Ready || current === null || current.interrupts !== null)
      return false;
    if (channels.resumed.hasSubscribers || channels.suspended.hasSubscribers) return false; // they hear of what the hub does
    if (!canBlock() || !hasRoom() || !takeNext(this)) return false;
    this.run();
    return true;
  }

  #start(): boolean {
    if (this.interrupts !== null) {
      this.#task = null;
      this.#end(true, this.interrupts[0]);
      this.#announceEnd();
      return false;
    }
    try {
      this.#takeStack();
    } catch (error) {
      if (leases.count === 0) {
        this.#end(true, error);
        this.#announceEnd();
      } else {
        // Others have stacks and will end: this one was accepted, and waits. Further ones are refused (`admit`).
        shortage = error as Error;
        starved.push(this);
      }
      return false;
    }
    return true;
  }

  #takeStack(): void {
    const lease = leases.take(this.stackSize);
    resources[lease.stack] = this.resource;
    lease.user = this;
    this.#lease = lease;
  }

  /** @internal Makes sure of a stack before the start. False if there is none: it must not be started then. */
  prepare(): boolean {
    try {
      this.#takeStack();
      return true;
    } catch {
      return false;
    }
  }

  /** @internal */
  takeTask(): Task {
    const { stack } = this.#lease as Lease<Coroutine>;
    records[stack] = this.record; // not before: there is nothing to look at until it has begun
    depths[stack] = this.host === null ? 0 : (depths[(this.host.#lease as Lease<Coroutine>).stack] as number) + 1;
    const task = this.#task as Task;
    this.#task = null;
    return task;
  }

  #end(failed: boolean, outcome: unknown): void {
    this.waiter?.abandon(); // left behind by a stack overflow on the way into, or out of, a blocking call
    this.waiter = null;
    this.state = State.Dead;
    if (this.record === this.resource) counts.ended++;
    this.settle(failed, outcome);
    this.interrupts = null;
  }

  /** @internal The end of its body. */
  retire(failed: boolean, outcome: unknown): void {
    const lease = this.#lease;
    if (lease === null) return; // it has ended, and failed in that
    this.#lease = null;
    resources[lease.stack] = undefined;
    records[lease.stack] = undefined;
    this.#end(failed, outcome);
    leases.return(lease);
    shortage = null;
    const next = starved.shift();
    if (next) schedule(next);
  }

  /** @internal A coroutine whose object was garbage: this one takes over its stack, suspended as it is. */
  takeOver(stack: number): void {
    this.#task = null;
    this.#lease = leases.renew(stack, this.stackSize);
    this.#lease.user = this;
    this.state = State.Suspended;
  }

  /**
   * @internal Makes `error` appear at the place where the coroutine is suspended, or as the outcome if not begun. Thrown
   * into the running coroutine it appears right here.
   */
  interrupt(error: unknown): void {
    if (this.state === State.Dead) return;
    if (this.child !== null) this.child.interrupt(error);
    else if (this === current) throw error;
    else this.interruptLater(error);
  }

  /** @internal The same; but into the running coroutine, at its next blocking call. */
  interruptLater(error: unknown): void {
    if (this.state === State.Dead) return;
    if (this.child !== null) {
      this.child.interruptLater(error);
      return;
    }
    if (this.interrupts === null) this.interrupts = [error];
    else this.interrupts.push(error);
    if (this.#lease === null && this.state === State.Ready) {
      const place = starved.indexOf(this);
      if (place >= 0) schedule(starved.splice(place, 1)[0] as Coroutine);
    }
    // A coroutine that is further up the chain of resumers finds it when it next blocks.
    if (this.state === State.Suspended || this.state === State.New) this.makeReady();
  }

  /** @internal Takes an error back that was thrown into it and has not appeared yet. */
  withdraw(error: unknown): void {
    if (this.child !== null) this.child.withdraw(error);
    const place = this.interrupts?.indexOf(error) ?? -1;
    if (place < 0) return;
    this.interrupts?.splice(place, 1);
    if (this.interrupts?.length === 0) this.interrupts = null;
  }

  /** @internal Puts a suspended or new coroutine into the ready queue; once. */
  makeReady(): void {
    const isNew = this.state === State.New;
    this.state = State.Ready;
    schedule(this);
    if (isNew) this.announceStart();
  }

  /** @internal */
  announceStart(): void {
    if (this.host !== null) return;
    counts.spawned++;
    if (channels.spawned.hasSubscribers) {
      pinned("inside a subscriber of a diagnostics channel", () => channels.spawned.publish({ fiber: this }));
    }
  }
}

/** Whether something was thrown into a coroutine that is to appear at its next blocking call. */
export function interrupted(coroutine: Coroutine): boolean {
  return coroutine.interrupts !== null && coroutine.shields === 0;
}

/** Throws if no coroutine can be created now. */
export function admit(): void {
  const { stacks, reason } = theSwitch();
  if (stacks === null) throw noFibers(reason);
  if (shortage !== null) throw shortage;
}

/** Continues a suspended coroutine: at once when on the hub's stack, else when the hub has control again. */
export function wake(coroutine: Coroutine): void {
  if (current !== null) {
    coroutine.makeReady();
    return;
  }
  coroutine.resume();
  drain();
}

/** Continues a suspended coroutine at once, on top of the running stack, unless that is pinned. */
export function wakeOnTop(coroutine: Coroutine): void {
  if (current === null || current.pinned > 0) wake(coroutine);
  else coroutine.resume();
}

/**
 * Continues a coroutine at once, on top of the running stack whatever that is, and lets nobody else run. If it is a part of
 * another one, and ends, that one continues, too.
 */
export function continueOnTop(coroutine: Coroutine): void {
  coroutine.resume();
  const { host } = coroutine;
  if (coroutine.state === State.Dead && host !== null && host.state === State.Ready) continueOnTop(host);
}

/** Runs a new coroutine at once, on top of the running stack, until it first suspends; then `left` is called with it. */
export function begin<C extends Coroutine>(coroutine: C, left?: (coroutine: C) => void): void {
  beginOnTop(coroutine);
  if (coroutine.state !== State.Dead) left?.(coroutine);
  if (current === null) drain();
}

/** The same, and lets nobody else run. */
export function beginOnTop(coroutine: Coroutine): void {
  coroutine.state = State.Ready;
  coroutine.announceStart();
  coroutine.run();
}

/** Whether the running code may leave its stack, so that what can only block does. */
export function canBlock(): boolean {
  return (
    current !== null &&
    current.pinned === 0 &&
    executionAsyncId() === current.asyncId &&
    ((current.record.loading === 0 && current.record !== importer) || !insideEsModule(current.record)) &&
    !isPreparingStackTrace()
  );
}

/**
 * Whether what can do without a fiber, as Node's own functions can, is to suspend this one. While a module is loaded it is
 * not: the loader itself reads files, and what knows nothing of fibers is loaded in one go, so that nobody ever meets
 * it half-loaded.
 */
export function canSuspend(): boolean {
  return current !== null && current.record.loading === 0 && canBlock();
}

/** Runs `fn` so that nothing under it can suspend the running fiber; blocking calls do there what plain Node does. */
export function pinned<T>(why: string, fn: () => T): T {
  const coroutine = current;
  if (coroutine === null) return fn();
  const before = coroutine.pinnedBy;
  coroutine.pinned++;
  coroutine.pinnedBy = why;
  try {
    return fn();
  } finally {
    coroutine.pinned--;
    coroutine.pinnedBy = before;
  }
}

/** A function that calls `fn` so, with the same arguments. */
export function inOneGo(fn: AnyFunction, why: string): AnyFunction {
  return function pinning(this: unknown, ...args: unknown[]) {
    // With a name, as all functions that may be below a program's: Node's REPL shows a stack down to the last one that has none.
    const callInOneGo = () => Reflect.apply(fn, this, args);
    return current === null ? callInOneGo() : pinned(why, callInOneGo);
  };
}

// In the async context of what runs there, and out of the domains that the running stack is in.
function switchTo(stack: number, resource: AsyncResource): void {
  noticeLoads(); // of modules that need a guard
  const domains = isInDomain() ? leaveDomains(0) : null;
  try {
    runInAsyncScope.call(resource, stacks.resume, undefined, stack);
  } finally {
    if (domains !== null) enterDomains(domains);
  }
}

/**
 * Leaves the running stack until somebody resumes it. Callers make sure that somebody can. Its own domains come back with it:
 * the one of its async context, if any, is entered and left with that.
 */
export function suspend(): void {
  if (!isInDomain()) {
    stacks.suspend();
    return;
  }
  const domains = leaveDomains(domainOfContext() ? 1 : 0);
  stacks.suspend();
  enterDomains(domains);
}

function domainOfContext(): unknown {
  return ((current as Coroutine).resource as { domain?: unknown }).domain;
}

/** What the running coroutine wants done on the hub's stack. */
let errand: { run(): void; refuse(error: unknown): void } | null = null;

/**
 * Calls `fn`, which must not block, on the hub's stack and with its thread-locals, and comes back at once. Nothing else
 * runs in between, so a stack that must not be left half-way can do it, too.
 * @throws what `fn` throws; ERR_CANNOT_SUSPEND where native code has entered an async scope on this stack, or on one below
 */
export function onHub<T>(fn: () => T): T {
  if (current === null) return fn();
  if (executionAsyncId() !== current.asyncId) {
    throw cannotSuspend("native code has entered an async scope on this stack, and must leave it here");
  }
  let outcome = { failed: true, result: undefined as unknown };
  const refuse = (result: unknown) => {
    outcome = { failed: true, result };
  };
  const run = () => {
    try {
      outcome = { failed: false, result: fn() };
    } catch (error) {
      refuse(error);
    }
  };
  errand = { run, refuse };
  suspend();
  if (outcome.failed) throw outcome.result;
  return outcome.result as T;
}

/** Whether enough of the running stack is left for an operation to begin. */
export function hasRoom(): boolean {
  return stacks.hasRoom();
}

/** The outcome of a promise that is settled already: state as in `Stacks.inspect`, the outcome in `outcome[0]`. */
export function inspectPromise(promise: Promise<unknown>, outcome: unknown[]): 0 | 1 | 2 {
  return stacks.inspect(promise, outcome);
}

/** Calls `fn` while no fiber of the process, a worker's included, is given a stack of its own; see guards/ids.ts. */
export function holdingContexts(fn: () => unknown): unknown {
  const { stacks } = theSwitch();
  return stacks ? stacks.holdingContexts(fn) : fn();
}

// What every stack runs: one coroutine after another, in between at rest. What is thrown leaves it, `failed` gets to know,
// and it is called again.
function main(): void {
  if (retireFailed()) stacks.rest();
  while (!leases.cooling) {
    if (abortsOnUncaught) callAndCatch();
    else retireCurrent(false, call());
    stacks.rest();
  }
}

/** V8 then aborts the process where something is thrown that no JavaScript on the stack catches, as `main` does not. */
const abortsOnUncaught = isGiven(/(^|\s)--abort[-_]on[-_]uncaught[-_]exception/);

function callAndCatch(): void {
  let outcome: unknown;
  try {
    outcome = call();
  } catch (error) {
    if (currentGoesUncaught(error)) throw error;
    retireCurrent(true, error);
    return;
  }
  retireCurrent(false, outcome);
}

function currentGoesUncaught(error: unknown): boolean {
  return !(error instanceof FiberExit) && (current as Coroutine).goesUncaught(error);
}

function failed(error: unknown): boolean {
  const coroutine = current as Coroutine;
  coroutine.failure = { error };
  coroutine.told = currentGoesUncaught(error);
  if (coroutine.told) {
    coroutine.pinned++; // for good
    coroutine.pinnedBy = "while its failure is reported";
  }
  return coroutine.told;
}

function retireFailed(): boolean {
  const { failure } = current as Coroutine;
  if (failure === null) return false;
  (current as Coroutine).failure = null; // once, whatever comes of it
  retireCurrent(true, failure.error);
  return true;
}

function call(): unknown {
  const task = takeCurrentTask();
  return Reflect.apply(task.fn, task.self, task.args);
}

function takeCurrentTask(): Task {
  return (current as Coroutine).takeTask();
}

function retireCurrent(failed: boolean, outcome: unknown): void {
  (current as Coroutine).retire(failed, outcome);
}

/** Makes a coroutine object for a stack whose own is garbage; set by fiber.ts, which knows what to make. */
type Reviver = (record: FiberRecord, resource: AsyncResource, stackSize: number) => Coroutine;
let revive: Reviver | null = null;
export function onAbandoned(reviver: Reviver): void {
  revive = reviver;
}

// Nobody can resume what runs on this stack any more: unwind it, so that its `finally` blocks run.
function abandoned(stack: number, stackSize: number): void {
  const resource = resources[stack];
  const record = records[stack];
  if (resource === undefined || record === undefined || revive === null) return; // it was at rest, or is gone
  record.abandoned = true;
  try {
    const coroutine = revive(record, resource, stackSize);
    coroutine.takeOver(stack);
    coroutine.interrupt(new FiberExit("the fiber was abandoned: nothing could resume it any more"));
  } catch (error) {
    raise(error);
  }
}

/** Fibers that wait for their turn: in the hub's queue, or for a stack. */
export function readyFibers(): Set<FiberRecord> {
  const isCoroutine = (runnable: Runnable): runnable is Coroutine => runnable instanceof Coroutine;
  const coroutines = [...waiting().filter(isCoroutine), ...starved].filter(({ state }) => state === State.Ready);
  return new Set(coroutines.map(({ record }) => record));
}

/** Fibers that have begun and not ended, whether they run or not. */
export function begunFibers(): Set<FiberRecord> {
  return new Set(records.filter((record) => record !== undefined));
}

/** The same, and those that are about to begin, themselves. Whoever is not among them is garbage, and will be unwound as such. */
export function livingFibers(): Set<Coroutine> {
  const living = new Set<Coroutine>();
  for (const runnable of [...waiting(), ...starved]) {
    if (runnable instanceof Coroutine && runnable.state === State.Ready) living.add(runnable.root);
  }
  for (const [stack, record] of records.entries()) {
    const coroutine = record && leases.userOf(stack);
    if (coroutine) living.add(coroutine.root);
  }
  return living;
}

// Stands in for the owner of a stack, to ask it where it is. (The owner itself is not kept anywhere, see above.)
class Inspection extends Coroutine {
  protected override settle(): void {}
}

/**
 * The stack traces of all fibers that have begun. Nobody keeps a record of where they are: each is resumed for the
 * moment that it takes to look at its own stack, and suspends again. On the hub's stack only.
 */
export function inspectStacks(): Map<FiberRecord, string> {
  const found: { record: FiberRecord; depth: number; trace: string }[] = [];
  for (const [stack, record] of records.entries()) {
    const resource = resources[stack];
    if (record === undefined || resource === undefined) continue;
    const inspection = new Inspection(record, () => {}, undefined, [], 0, resource);
    inspection.inspect = (trace) => found.push({ record, depth: depths[stack] as number, trace });
    inspection.pinned = 1; // a program's own Error.prepareStackTrace may read files
    inspection.pinnedBy = "while its stack is looked at";
    current = inspection;
    try {
      switchTo(stack, resource);
    } finally {
      current = null;
    }
  }
  const traces = new Map<FiberRecord, string>();
  for (const { record, trace } of found.sort((a, b) => b.depth - a.depth)) {
    const inner = traces.get(record);
    traces.set(record, inner === undefined ? trace : `${inner}\n${trace}`);
  }
  return traces;
}

// Queues between fibers. (gevent: `gevent.queue`)
import {
  checkCount,
  checkFunction,
  checkIterable,
  Empty,
  Full,
  invalidArgument,
  outOfRange,
  overReleased,
  ShutDown,
} from "../errors";
import { checkLimit, EXPIRED, type Limit } from "../limit";
import { Event } from "./event";
import { Line } from "./line";
import { LinkedList, type Place } from "./linked-list";

const noLimit = Number.POSITIVE_INFINITY;

/** Where a queue keeps its items: decides who is next. */
interface Store<T> {
  readonly size: number;
  put(item: T): void;
  /** The next item; there is one. */
  next(): T;
  take(): T;
  /** Takes an item in again that nobody received; `turn` is less for one that was given away earlier. */
  putBack(item: T, turn: number): void;
}

/** An item that was given to somebody who waited for it. */
interface Given<T> {
  readonly item: T;
  readonly turn: number;
}

class Fifo<T> implements Store<T> {
  readonly #list = new LinkedList<T>();
  readonly #returned: Given<T>[] = []; // which came before all others

  get size(): number {
    return this.#returned.length + this.#list.size;
  }

  put(item: T): void {
    this.#list.append(item);
  }

  next(): T {
    const [returned] = this.#returned;
    return returned !== undefined ? returned.item : (this.#list.first as Place<T>).value;
  }

  take(): T {
    const returned = this.#returned.shift();
    if (returned !== undefined) return returned.item;
    const place = this.#list.first as Place<T>;
    this.#list.remove(place);
    return place.value;
  }

  putBack(item: T, turn: number): void {
    let place = this.#returned.length;
    while (place > 0 && (this.#returned[place - 1] as Given<T>).turn > turn) place--;
    this.#returned.splice(place, 0, { item, turn });
  }
}

class Stack<T> implements Store<T> {
  readonly #items: T[] = [];

  get size(): number {
    return this.#items.length;
  }

  put(item: T): void {
    this.#items.push(item);
  }

  next(): T {
    return this.#items[this.#items.length - 1] as T;
  }

  take(): T {
    return this.#items.pop() as T;
  }

  putBack(item: T): void {
    this.#items.push(item);
  }
}

class Heap<T> implements Store<T> {
  readonly #heap: import("heap-js").Heap<{ item: T; order: number }>;
  #order = 0;

  constructor(compare: (a: T, b: T) => number) {
    const heap = require("heap-js") as typeof import("heap-js");
    this.#heap = new heap.Heap((a, b) => compare(a.item, b.item) || a.order - b.order);
  }

  get size(): number {
    return this.#heap.length;
  }

  put(item: T): void {
    this.#heap.push({ item, order: this.#order++ });
  }

  next(): T {
    return (this.#heap.peek() as { item: T }).item;
  }

  take(): T {
    return (this.#heap.pop() as { item: T }).item;
  }

  putBack(item: T, turn: number): void {
    this.#heap.push({ item, order: Number.MIN_SAFE_INTEGER + turn }); // before its equals
  }
}

/**
 * A queue from fibers to fibers: first in, first out. Those who put wait while it is full, those who get wait while it
 * is empty, both first come, first served. Iteration gets items until the queue is shut down.
 *
 *     const jobs = new Queue(100);
 *     spawn(() => { for (const job of jobs) work(job); });
 *     jobs.put(job);
 *
 * An item that was given to a fiber which is killed before it could continue goes back to the front.
 */
export class Queue<T = unknown> implements Iterable<T> {
  /** How many items it holds at most. */
  readonly maxSize: number;
  readonly #store: Store<T>;
  readonly #getters = new Line<Given<T>>((given) => this.#putBack(given));
  readonly #peekers = new Line<T>();
  readonly #putters = new Line<void, T>(null, (item) => this.#peekers.serveAll(item));
  #turn = 0;
  #shutDown = false;
  #dropping = false;

  /**
   * @param maxSize how many items it holds at most, from 1 on; default: any number
   * @param items what it holds at first
   */
  constructor(maxSize?: number, items?: Iterable<T>);
  /** @internal */
  constructor(maxSize: number, items: Iterable<T>, store: Store<T>);
  constructor(maxSize = noLimit, items: Iterable<T> = [], store: Store<T> = new Fifo<T>()) {
    checkCount(maxSize, "maxSize", this instanceof Channel ? 0 : 1);
    checkIterable(items, "items");
    this.maxSize = maxSize;
    this.#store = store;
    for (const item of items) {
      if (store.size === maxSize) throw outOfRange("items", `at most ${maxSize} of them (maxSize)`, "more");
      store.put(item);
    }
  }

  /** How many items it holds. */
  get size(): number {
    return this.#store.size;
  }

  /** Whether it holds none. */
  get empty(): boolean {
    return this.size === 0;
  }

  /** Whether `put` would wait. */
  get full(): boolean {
    return this.size >= this.maxSize && this.#getters.size === 0;
  }

  /** Whether `shutdown` was called. */
  get isShutDown(): boolean {
    return this.#shutDown;
  }

  /**
   * Puts an item in, waiting for room.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }
   * @throws Full when there was no room by then; ShutDown
   */
  put(item: T, limit: Limit = noLimit): void {
    checkLimit(limit, "limit");
    if (this.#shutDown) throw new ShutDown();
    if (this.#getters.size > 0 || this.size < this.maxSize) this.#accept(item);
    else if (this.#putters.wait(limit, item) === EXPIRED) throw new Full();
  }

  /** As `put`, without waiting. */
  putNowait(item: T): void {
    this.put(item, 0);
  }

  /**
   * Takes the next item out, waiting for one.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }
   * @throws Empty when there was none by then; ShutDown when there will be none
   */
  get(limit: Limit = noLimit): T {
    checkLimit(limit, "limit");
    if (this.size > 0) {
      const item = this.#store.take();
      if (this.size < this.maxSize) this.#admit();
      return item;
    }
    const putter = this.#putters.exchange();
    if (putter !== null) {
      this.accepted();
      return putter.item;
    }
    if (this.#shutDown) throw new ShutDown();
    const given = this.#getters.wait(limit, undefined);
    if (given === EXPIRED) throw new Empty();
    return given.item;
  }

  /** As `get`, without waiting. */
  getNowait(): T {
    return this.get(0);
  }

  /**
   * The next item, which stays in the queue, waiting for one.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }
   * @throws Empty when there was none by then; ShutDown when there will be none
   */
  peek(limit: Limit = noLimit): T {
    checkLimit(limit, "limit");
    if (this.size > 0) return this.#store.next();
    const putter = this.#putters.first;
    if (putter !== null) return putter.item;
    if (this.#shutDown) throw new ShutDown();
    const item = this.#peekers.wait(limit, undefined);
    if (item === EXPIRED) throw new Empty();
    return item;
  }

  /** As `peek`, without waiting. */
  peekNowait(): T {
    return this.peek(0);
  }

  /**
   * Ends its service: from now on `put` throws ShutDown, and so does `get` once nothing is left. Those who wait to put
   * get a ShutDown too, and their items are not taken. (Python: `Queue.shutdown`)
   * @param immediate drops what it holds, so that nothing is left now
   */
  shutdown(immediate = false): void {
    if (typeof immediate !== "boolean") throw invalidArgument("immediate", "of type boolean", immediate);
    this.#shutDown = true;
    const shutDown = () => new ShutDown();
    this.#putters.rejectAll(shutDown);
    if (immediate) this.#drop();
    if (this.size > 0) return;
    this.#getters.rejectAll(shutDown);
    this.#peekers.rejectAll(shutDown);
  }

  *[Symbol.iterator](): Generator<T, void, void> {
    for (;;) {
      let item: T;
      try {
        item = this.get();
      } catch (error) {
        if (error instanceof ShutDown) return;
        throw error;
      }
      yield item;
    }
  }

  /** @internal An item has come in. */
  protected accepted(): void {}

  /** @internal An item will never be got. */
  protected dropped(): void {}

  #accept(item: T): void {
    this.accepted();
    this.#peekers.serveAll(item);
    if (this.#getters.size === 0 || !this.#getters.serve({ item, turn: this.#turn++ })) this.#store.put(item);
  }

  // There is room for the item of one who waits to put.
  #admit(): void {
    const putter = this.#putters.exchange();
    if (putter !== null) this.#accept(putter.item);
  }

  #putBack(given: Given<T>): void {
    if (this.#dropping) {
      this.dropped();
      return;
    }
    this.#peekers.serveAll(given.item);
    if (!this.#getters.serve(given)) this.#store.putBack(given.item, given.turn);
  }

  #drop(): void {
    this.#dropping = true;
    for (; this.size > 0; this.dropped()) this.#store.take();
  }
}

/** A queue that gives the last item first. */
export class LifoQueue<T = unknown> extends Queue<T> {
  /**
   * @param maxSize how many items it holds at most, from 1 on; default: any number
   * @param items what it holds at first
   */
  constructor(maxSize = noLimit, items: Iterable<T> = []) {
    super(maxSize, items, new Stack());
  }
}

// As Python's: numbers, strings, dates by their order; arrays by their items.
function naturally(a: unknown, b: unknown): number {
  if (Array.isArray(a) && Array.isArray(b)) {
    const length = Math.min(a.length, b.length);
    for (let i = 0; i < length; i++) {
      const order = naturally(a[i], b[i]);
      if (order !== 0) return order;
    }
    return a.length - b.length;
  }
  return (a as number) < (b as number) ? -1 : (a as number) > (b as number) ? 1 : 0;
}

/** A queue that gives the smallest item first; of equal ones, that which came first. */
export class PriorityQueue<T = unknown> extends Queue<T> {
  /**
   * @param compare negative if `a` comes before `b`, as for Array#sort; default: by `<`, and arrays item by item, so
   *   that `[priority, item]` will do
   * @param maxSize how many items it holds at most, from 1 on; default: any number
   * @param items what it holds at first
   */
  constructor(compare: (a: T, b: T) => number = naturally, maxSize = noLimit, items: Iterable<T> = []) {
    checkFunction(compare, "compare");
    super(maxSize, items, new Heap(compare));
  }
}

/** A queue that knows how many of its items are still being worked on. */
export class JoinableQueue<T = unknown> extends Queue<T> {
  #unfinished = 0;
  readonly #finished = new Event();

  constructor(maxSize = noLimit, items: Iterable<T> = []) {
    super(maxSize, items);
    this.#unfinished = this.size;
    if (this.#unfinished === 0) this.#finished.set();
  }

  /** How many items were put in, and not reported by `taskDone` yet. */
  get unfinishedTasks(): number {
    return this.#unfinished;
  }

  /**
   * Reports that the work on an item is done; once for each that was got.
   * @throws ERR_OVER_RELEASED if it was called more often than items were put in
   */
  taskDone(): void {
    if (this.#unfinished === 0) throw overReleased("taskDone() was called more often than items were put in");
    if (--this.#unfinished === 0) this.#finished.set();
  }

  /**
   * Waits until all items are done.
   * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }
   * @returns false if the time was over first
   */
  join(limit: Limit = noLimit): boolean {
    checkLimit(limit, "limit");
    return this.#finished.wait(limit);
  }

  /** @internal */
  protected override accepted(): void {
    this.#unfinished++;
    this.#finished.clear();
  }

  /** @internal */
  protected override dropped(): void {
    if (this.#unfinished > 0) this.taskDone();
  }
}

/** A rendezvous: `put` waits until somebody gets the item. (gevent: `Channel`; Go: an unbuffered channel) */
export class Channel<T = unknown> extends Queue<T> {
  constructor() {
    super(0);
  }
}

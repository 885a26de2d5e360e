// Dozens of fibers do thousands of things at random, are killed, thrown into, timed out and aborted, beside a simple
// model of what must hold: nothing is lost, doubled or stuck, and whoever came first is served first.
import { AsyncResource } from "node:async_hooks";
import { getEventListeners } from "node:events";
import {
  Channel,
  Condition,
  Empty,
  Event,
  type Fiber,
  FiberExit,
  Full,
  JoinableQueue,
  joinAll,
  LifoQueue,
  type Limit,
  Pool,
  PriorityQueue,
  Queue,
  RLock,
  Semaphore,
  sleep,
  spawn,
  withTimeout,
} from "runtime";
import { expect, it } from "vitest";
import { describeFibers } from "../../support/fibers";
import { mulberry32 } from "../../support/random";
import { turn } from "../../support/turns";

const OPERATIONS = 10_000;
const WORKERS = 36;
/** After so many, all come to rest, and it is looked at who waits for what. */
const BETWEEN_RESTS = 250;

/** Thrown into fibers, which go on. */
class Disturbance extends Error {}

class World {
  readonly violations: string[] = [];
  /** Changes whenever anybody does anything. */
  tick = 0;
  /** How many calls end by themselves, in time. */
  timed = 0;
  operations = 0;
  /** When all come to rest next. */
  nextRest = BETWEEN_RESTS;
  readonly goOn = new Event();
  readonly random: () => number;
  readonly calm: boolean;
  readonly controllers: AbortController[] = [];
  readonly workers: Fiber[] = [];

  constructor(seed: number, calm: boolean) {
    this.random = mulberry32(seed);
    this.calm = calm;
  }

  check(holds: boolean, what: string): void {
    if (!holds) this.violations.push(what);
  }

  upTo(n: number): number {
    return Math.floor(this.random() * n);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.upTo(list.length)] as T;
  }

  /** Calls `fn` with a limit, or without one. */
  limited<T>(fn: (limit: Limit) => T): T {
    const kind = this.upTo(10);
    if (kind < 3) return fn(Number.POSITIVE_INFINITY);
    if (kind < 5) return fn(0);
    if (kind < 8) return this.briefly(() => fn(1 + this.upTo(3)));
    const controller = new AbortController();
    this.controllers.push(controller);
    if (kind === 8) return fn(controller.signal);
    return this.briefly(() => fn({ timeout: 1 + this.upTo(3), signal: controller.signal }));
  }

  briefly<T>(fn: () => T): T {
    this.timed++;
    try {
      return fn();
    } finally {
      this.timed--;
      this.tick++;
    }
  }
}

function isAbort(error: unknown): boolean {
  return (error as Error).name === "AbortError";
}

function isAborted(limit: Limit): boolean {
  if (typeof limit === "number") return false;
  return ("aborted" in limit ? limit : limit.signal)?.aborted ?? false;
}

/** Who waits in a line, in the order in which they came. */
class ModelLine {
  readonly waiting = new Set<symbol>();
  readonly #world: World;
  readonly #name: string;

  constructor(world: World, name: string) {
    this.#world = world;
    this.#name = name;
  }

  /** Calls what may wait in the line; who was served, after it had to wait, must have been the first. */
  call<T>(fn: () => T, served: (value: T) => boolean = () => true): T {
    const me = Symbol();
    const before = this.#world.tick;
    this.waiting.add(me);
    try {
      const value = fn();
      const [first] = this.waiting;
      const waited = this.#world.tick !== before;
      if (waited && served(value)) this.#world.check(first === me, `${this.#name}: somebody was overtaken`);
      return value;
    } finally {
      this.waiting.delete(me);
      this.#world.tick++;
    }
  }
}

class ModelSemaphore {
  readonly #world: World;
  readonly #permits: number;
  readonly #semaphore: Semaphore;
  readonly #line: ModelLine;
  #held = 0;

  constructor(world: World, permits: number) {
    this.#world = world;
    this.#permits = permits;
    this.#semaphore = new Semaphore(permits);
    this.#line = new ModelLine(world, "semaphore");
  }

  use(): void {
    const world = this.#world;
    const had = world.limited((limit) => this.#line.call(() => this.#semaphore.acquire(limit), Boolean));
    if (!had) return;
    this.#held++;
    world.check(this.#held <= this.#permits, "semaphore: more permits are held than there are");
    try {
      for (let i = world.upTo(3); i > 0; i--) sleep(0);
    } finally {
      this.#held--;
      world.tick++;
      this.#semaphore.release();
    }
  }

  checkAtRest(): void {
    this.#world.check(
      this.#semaphore.counter === 0 || this.#line.waiting.size === 0,
      "semaphore: somebody waits, and there is a permit",
    );
  }

  checkAtEnd(): void {
    this.#world.check(this.#semaphore.counter === this.#permits, "semaphore: permits were lost, or made");
  }
}

interface Item {
  readonly id: number;
  readonly rank: number;
  readonly producer: Fiber | undefined;
}

class ModelQueue {
  readonly #world: World;
  readonly #name: string;
  readonly #queue: Queue<Item>;
  readonly #putters: ModelLine;
  readonly #getters: ModelLine;
  #peeking = 0;
  readonly #issued = new Set<number>();
  readonly #accepted = new Set<number>();
  readonly #uncertain = new Set<number>(); // interrupted, before or after they were in
  readonly #got = new Set<number>();
  readonly #last = new Map<Fiber, Map<Fiber, number>>(); // by consumer, by producer: the last item

  constructor(world: World, queue: Queue<Item>) {
    this.#world = world;
    this.#queue = queue;
    this.#name = queue.constructor.name;
    this.#putters = new ModelLine(world, `putters of ${this.#name}`);
    this.#getters = new ModelLine(world, `getters of ${this.#name}`);
  }

  put(producer: Fiber | undefined): void {
    const id = this.#issued.size;
    this.#issued.add(id);
    const item = { id, rank: this.#world.upTo(4), producer };
    try {
      this.#world.limited((limit) => this.#putters.call(() => this.#queue.put(item, limit)));
      this.#accepted.add(id);
    } catch (error) {
      if (error instanceof Full) return;
      if (!isAbort(error)) this.#uncertain.add(id);
      throw error;
    }
  }

  get(consumer: Fiber | undefined): void {
    try {
      const item = this.#world.limited((limit) => this.#getters.call(() => this.#queue.get(limit)));
      this.#take(item, consumer);
    } catch (error) {
      if (!(error instanceof Empty)) throw error;
    }
  }

  peek(): void {
    this.#peeking++;
    try {
      const { id } = this.#world.limited((limit) => this.#queue.peek(limit));
      this.#world.check(this.#issued.has(id), `${this.#name}: an item came from nowhere`);
    } catch (error) {
      if (!(error instanceof Empty)) throw error;
    } finally {
      this.#peeking--;
      this.#world.tick++;
    }
  }

  #take({ id, producer }: Item, consumer?: Fiber): void {
    this.#world.check(this.#issued.has(id), `${this.#name}: an item came from nowhere`);
    this.#world.check(!this.#got.has(id), `${this.#name}: an item was got twice`);
    this.#got.add(id);
    if (this.#queue instanceof JoinableQueue) this.#queue.taskDone();
    if (consumer && producer && this.#world.calm && this.#queue.constructor === Queue) {
      let last = this.#last.get(consumer);
      if (!last) this.#last.set(consumer, (last = new Map()));
      this.#world.check((last.get(producer) ?? -1) < id, "Queue: items came out of order");
      last.set(producer, id);
    }
  }

  checkAtRest(): void {
    const { size, maxSize } = this.#queue;
    const [putting, getting] = [this.#putters.waiting.size, this.#getters.waiting.size];
    const check = (holds: boolean, what: string) => this.#world.check(holds, `${this.#name}: ${what}`);
    check(getting === 0 || size === 0, "somebody waits to get, and there is an item");
    check(putting === 0 || size >= maxSize, "somebody waits to put, and there is room");
    check(getting === 0 || putting === 0, "somebody waits to get, and somebody to put");
    check(this.#peeking === 0 || (size === 0 && putting === 0), "somebody waits to peek, and there is an item");
  }

  checkAtEnd(): void {
    while (!this.#queue.empty) this.#take(this.#queue.getNowait());
    const check = (holds: boolean, what: string) => this.#world.check(holds, `${this.#name}: ${what}`);
    const missing = [...this.#accepted].filter((id) => !this.#got.has(id));
    check(missing.length === 0, `${missing.length} items were lost`);
    const refused = [...this.#got].filter((id) => !this.#accepted.has(id) && !this.#uncertain.has(id));
    check(refused.length === 0, `${refused.length} items were got that were not put`);
    if (this.#queue instanceof JoinableQueue) check(this.#queue.unfinishedTasks === 0, "tasks were miscounted");
  }
}

class ModelEvent {
  readonly #world: World;
  readonly #event = new Event();
  readonly #waiting = new Set<{ due: boolean; limit: Limit }>();

  constructor(world: World) {
    this.#world = world;
  }

  set(): void {
    for (const waiter of this.#waiting) if (!isAborted(waiter.limit)) waiter.due = true;
    this.#event.set();
  }

  clear(): void {
    this.#event.clear();
  }

  wait(): void {
    const waiter = { due: this.#event.isSet, limit: 0 as Limit };
    this.#waiting.add(waiter);
    try {
      const set = this.#world.limited((limit) => this.#event.wait((waiter.limit = limit)));
      this.#world.check(set === waiter.due, "event: somebody missed it, or woke without it");
    } catch (error) {
      if (isAbort(error)) this.#world.check(!waiter.due, "event: somebody was aborted after it was set");
      throw error;
    } finally {
      this.#waiting.delete(waiter);
      this.#world.tick++;
    }
  }

  checkAtRest(): void {
    for (const { due } of this.#waiting) this.#world.check(!due, "event: somebody waits that was woken");
  }
}

class ModelCondition {
  readonly #world: World;
  readonly #lock: RLock | Semaphore;
  readonly #condition: Condition;
  readonly #items: number[] = [];
  #issued = 0;
  #consumed = 0;
  #inside = 0;
  #waiting = 0;

  constructor(world: World, lock: RLock | Semaphore) {
    this.#world = world;
    this.#lock = lock;
    this.#condition = new Condition(lock);
  }

  produce(): void {
    this.#exclusively(() => {
      this.#items.push(this.#issued++);
      this.#condition.notify();
      if (this.#world.upTo(2) === 0) this.#blocking(() => sleep(0));
    });
  }

  /** As `produce`, if it can be done without waiting. */
  produceNow(): void {
    if (!this.#condition.acquire(0)) return;
    this.#items.push(this.#issued++);
    this.#condition.notify();
    this.#condition.release();
  }

  consume(): void {
    this.#exclusively(() => {
      const there = this.#world.limited((limit) => {
        this.#waiting++;
        try {
          return this.#blocking(() => this.#condition.waitFor(() => this.#items.length > 0, limit), true);
        } finally {
          this.#waiting--;
        }
      });
      if (!there) return;
      this.#world.check(this.#items.length > 0, "condition: it was not so");
      this.#items.shift();
      this.#consumed++;
    });
  }

  #exclusively(fn: () => void): void {
    this.#condition.acquire();
    this.#enter();
    try {
      fn();
    } finally {
      this.#inside--;
      this.#world.tick++;
      this.#condition.release();
    }
  }

  #enter(): void {
    this.#inside++;
    this.#world.check(this.#inside === 1, "condition: two are inside the lock");
  }

  #blocking<T>(fn: () => T, letsGo = false): T {
    if (letsGo) this.#inside--;
    try {
      return fn();
    } finally {
      if (letsGo) this.#enter();
      this.#world.check(this.#lock instanceof RLock ? this.#lock.owned : this.#lock.locked, "condition: lock not held");
    }
  }

  checkAtRest(): void {
    this.#world.check(this.#waiting === 0 || this.#items.length === 0, "condition: a notification was lost");
    this.#world.check(!this.#lock.locked, "condition: the lock is held at rest");
  }

  checkAtEnd(): void {
    this.#world.check(this.#issued === this.#consumed + this.#items.length, "condition: items were lost, or made");
    this.#world.check(!this.#lock.locked, "condition: the lock is held at the end");
  }
}

class ModelPool {
  readonly #world: World;
  readonly #pool = new Pool(4);
  #running = 0;

  constructor(world: World) {
    this.#world = world;
  }

  spawn(): void {
    const task = this.#pool.spawn(() => {
      this.#running++;
      this.#world.check(this.#running <= this.#pool.size, "pool: more members run than there is room for");
      try {
        for (let i = this.#world.upTo(3); i > 0; i--) sleep(0);
      } finally {
        this.#running--;
        this.#world.tick++;
      }
    });
    task.link(() => {}); // its failure is known
    this.#world.check(this.#pool.length <= this.#pool.size, "pool: it has too many members");
  }

  disturb(error: unknown): void {
    const members = [...this.#pool];
    if (members.length > 0) this.#world.pick(members).throw(error);
  }

  checkAtRest(): void {
    this.#world.check(this.#pool.length === 0, "pool: members are left at rest");
    this.#world.check(this.#pool.freeCount === this.#pool.size, "pool: room was lost, or made");
  }
}

async function live(seed: number, calm: boolean): Promise<string[]> {
  const world = new World(seed, calm);
  const { pick, upTo } = { pick: world.pick.bind(world), upTo: world.upTo.bind(world) };
  const semaphores = [new ModelSemaphore(world, 1), new ModelSemaphore(world, 3)];
  const queues = [
    new Queue<Item>(3),
    new Queue<Item>(),
    new LifoQueue<Item>(2),
    new PriorityQueue<Item>((a, b) => a.rank - b.rank, 4),
    new JoinableQueue<Item>(5),
    new Channel<Item>(),
  ].map((queue) => new ModelQueue(world, queue));
  const events = [new ModelEvent(world), new ModelEvent(world)];
  const conditions = [new ModelCondition(world, new RLock()), new ModelCondition(world, new Semaphore(1))];
  const pool = new ModelPool(world);
  const all = [...semaphores, ...queues, ...events, ...conditions, pool];

  const disturbing: [number, (me: number) => void][] = [
    [3, () => world.workers[upTo(WORKERS)]?.kill(undefined, { block: false })],
    [3, () => world.workers[upTo(WORKERS)]?.throw(new Disturbance())],
    [3, (me) => void world.briefly(() => withTimeout(1 + upTo(2), () => operate(me), "fallback"))],
    [2, () => disturbMany()],
    [1, () => pool.disturb(pick([new FiberExit(), new Disturbance()]))],
  ];
  const usual: [number, (me: number) => void][] = [
    [8, () => pick(semaphores).use()],
    [12, (me) => pick(queues).put(world.workers[me])],
    [12, (me) => pick(queues).get(world.workers[me])],
    [3, () => pick(queues).peek()],
    [3, () => pick(events).set()],
    [3, () => pick(events).clear()],
    [5, () => pick(events).wait()],
    [6, () => pick(conditions).produce()],
    [6, () => pick(conditions).consume()],
    [3, () => pool.spawn()],
    [2, (me) => joinAnother(me)],
    [4, () => pick([...world.controllers.slice(-WORKERS), new AbortController()]).abort()],
    [4, () => sleep(0)],
    [1, () => world.briefly(() => sleep(1))],
    [3, (me) => new AsyncResource("MODEL").runInAsyncScope(() => operate(me))],
  ];
  const table = (calm ? usual : [...usual, ...disturbing]).flatMap(([weight, operation]) =>
    Array<(me: number) => void>(weight).fill(operation),
  );

  function joinAnother(me: number): void {
    const other = upTo(WORKERS);
    if (other !== me) world.limited((limit) => world.workers[other]?.join(limit));
  }

  // Those who were woken just now and have not continued are among them.
  function disturbMany(): void {
    pick(conditions).produceNow();
    for (const worker of world.workers) if (upTo(3) > 0) worker.throw(new Disturbance());
  }

  function operate(me: number): void {
    world.operations++;
    world.tick++;
    pick(table)(me);
  }

  function work(me: number): void {
    while (world.operations < OPERATIONS) {
      try {
        if (world.operations >= world.nextRest) world.goOn.wait();
        else operate(me);
      } catch (error) {
        if (error instanceof FiberExit) throw error;
        if (!(error instanceof Disturbance) && !isAbort(error)) world.violations.push(`unexpected: ${error}`);
      }
    }
  }

  function employ(me: number): void {
    const worker = spawn(work, me) as Fiber;
    world.workers[me] = worker;
    worker.link(() => {
      const { exception } = worker; // of one that was thrown into before it began
      if (exception !== undefined && !(exception instanceof Disturbance)) world.violations.push(`died: ${exception}`);
      if (world.operations < OPERATIONS) employ(me);
    });
  }

  // Lets all go on until nothing moves any more; `stuck` is called whenever that is so, and tells whether to go on.
  async function rest(stuck: () => boolean): Promise<void> {
    for (let still = 0; ; ) {
      const before = world.tick;
      await turn();
      still = world.tick === before && world.timed === 0 ? still + 1 : 0;
      if (still < 10) continue;
      if (!stuck()) return;
      still = 0;
    }
  }

  for (let i = 0; i < WORKERS; i++) employ(i);
  await rest(() => {
    for (const part of all) part.checkAtRest();
    if (world.operations >= OPERATIONS) return false;
    if (world.operations >= world.nextRest) world.nextRest += BETWEEN_RESTS;
    else for (const worker of world.workers) worker.throw(new Disturbance()); // all wait for one another
    world.goOn.set();
    world.goOn.clear();
    return true;
  });
  const { workers } = world;
  await spawn(() => {
    for (const worker of workers) worker.kill(undefined, { block: false });
    world.check(joinAll(workers, { timeout: 10_000 }).length === WORKERS, "fibers are left that cannot be killed");
  });
  await rest(() => false);
  for (const part of all) {
    part.checkAtRest();
    if ("checkAtEnd" in part) part.checkAtEnd();
  }
  const listeners = world.controllers.filter(({ signal }) => getEventListeners(signal, "abort").length > 0);
  world.check(listeners.length === 0, "listeners are left on signals");
  return [...new Set(world.violations)];
}

describeFibers("ten thousand operations at random keep to the model", () => {
  it.each([1, 2, 3, 4, 5, 6])("with fibers that are killed and thrown into, seed %i", async (seed) => {
    expect(await live(seed, false), `seed ${seed}`).toEqual([]);
  });

  it.each([11, 12, 13])("without, items in order, seed %i", async (seed) => {
    expect(await live(seed, true), `seed ${seed}`).toEqual([]);
  });
});

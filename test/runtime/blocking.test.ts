import * as child_process from "node:child_process";
import * as dns from "node:dns";
import { EventEmitter, once } from "node:events";
import * as fsp from "node:fs/promises";
import { PassThrough, Readable } from "node:stream";
import { inspect, types } from "node:util";
import { asAsync, type Blocking, blocking, FiberExit, sleep, spawn, wait, withTimeout } from "runtime";
import { describe, expect, it } from "vitest";
import { type Deferred, deferred } from "../support/deferred";
import { describeFibers, itFibers } from "../support/fibers";
import { printing, run } from "../support/run";
import { thenable } from "../support/thenable";
import { turn, until } from "../support/turns";

const later = <T>(value: T) => new Promise<T>((resolve) => setImmediate(resolve, value));

/** A connection, as clients have them: with private fields, promises, and further objects of its kind. */
class Connection extends EventEmitter {
  static opened = 0;
  static async open(name: string) {
    return later(new Connection(name));
  }
  readonly #name: string;
  released = 0;
  pending: Promise<string> = Promise.resolve("pending");
  parent: Connection | undefined;
  constructor(name = "connection") {
    super();
    Connection.opened++;
    this.#name = name;
  }
  get name() {
    return this.#name;
  }
  set suffix(suffix: string) {
    this.released += suffix.length;
  }
  get child() {
    return new Connection(`${this.#name}'s child`);
  }
  async query(text: string, ...values: unknown[]) {
    await later(null);
    if (text === "fail") throw new Error("syntax");
    return { rows: [{ text, values }], by: this.#name };
  }
  async begin() {
    return later(new Transaction(this));
  }
  async clone() {
    return this;
  }
  self() {
    return this;
  }
  nameOf(other: Connection) {
    return other.#name;
  }
  isRaw(other: unknown) {
    return other === this;
  }
  async *rows(count: number, log: string[] = []) {
    try {
      for (let i = 0; i < count; i++) yield later(i);
    } finally {
      await later(null);
      log.push("closed");
    }
  }
  release() {
    this.released++;
  }
}

class Transaction {
  readonly connection: Connection;
  constructor(connection: Connection) {
    this.connection = connection;
  }
  async commit() {
    return later("committed");
  }
}

/** A class as old-style clients have it: every method takes a callback. */
class Legacy extends EventEmitter {
  #sum = 0;
  add(a: number, b: number, callback: (error: Error | null, sum?: number, second?: string) => void) {
    this.#sum = a + b;
    setImmediate(() =>
      Number.isNaN(this.#sum) ? callback(new Error("no number")) : callback(null, this.#sum, "second"),
    );
  }
  now(callback: (error: null, value: string) => void) {
    callback(null, "now");
  }
  connect(callback: (error: null, connection: Legacy) => void) {
    setImmediate(callback, null, new Legacy());
  }
  total() {
    return this.#sum;
  }
}

const codeOf = (call: () => unknown) => {
  try {
    call();
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
  return "none";
};

describe("blocking: a method", () => {
  const client = blocking(new Connection());

  itFibers("that returns a promise blocks, and returns what it brings", async () => {
    expect(await spawn(() => client.query("select", 1).rows)).toEqual([{ text: "select", values: [1] }]);
  });

  itFibers("that returns a promise suspends its own fiber only", async () => {
    const gate = deferred<string>();
    const slow = blocking({ work: () => gate.promise });
    const fiber = spawn(() => slow.work());
    await spawn(() => gate.resolve("done"));
    expect(await fiber).toBe("done");
  });

  itFibers("throws what its promise is rejected with, where it was called", async () => {
    const stack = await spawn(function theCaller() {
      try {
        return client.query("fail").by;
      } catch (error) {
        return (error as Error).stack;
      }
    });
    expect(stack).toMatch(/^Error: syntax[\s\S]*theCaller/);
  });

  itFibers("throws what it throws itself", async () => {
    const broken = blocking({
      work(): Promise<void> {
        throw new Error("at once");
      },
    });
    await expect(spawn(() => broken.work())).rejects.toThrow("at once");
  });

  itFibers("may return any thenable", async () => {
    const odd = blocking({ work: () => thenable<string>((resolve) => setImmediate(resolve, "thenable")) });
    expect(await spawn(() => odd.work())).toBe("thenable");
  });

  itFibers("may return a fiber", async () => {
    const odd = blocking({ work: () => spawn(() => sleep(1) ?? "of a fiber") });
    expect(await spawn(() => odd.work())).toBe("of a fiber");
  });

  it("that returns no promise is a plain call, out of a fiber, too", () => {
    client.release();
    expect(client.released).toBe(1);
  });

  itFibers("stays bound when it is taken out of its object", async () => {
    const { query } = client;
    expect(await spawn(() => query("x").by)).toBe("connection");
    expect(await spawn(() => query.call(undefined, "x").by)).toBe("connection");
  });

  it("that was given to somebody as a callback still belongs to its object", () => {
    const emitter = blocking(new EventEmitter());
    const connection = blocking(new Connection());
    emitter.on("done", connection.release);
    emitter.emit("done");
    emitter.off("done", connection.release);
    emitter.emit("done");
    expect(connection.released).toBe(1);
  });

  it("gets the raw objects of proxies among its arguments", () => {
    expect(client.nameOf(blocking(new Connection("other")))).toBe("other");
    expect(client.isRaw(client)).toBe(true);
  });

  it("gets them in a copy of plain objects and arrays, whose other properties stay as they are", () => {
    const own = Symbol("own");
    const raw = new Connection("other");
    const seen = blocking({ see: <T>(...args: T[]): T[] => args });
    const options = Object.freeze(
      Object.defineProperties({ session: blocking(raw), n: 1, [own]: client } as Record<PropertyKey, unknown>, {
        hidden: { value: blocking(raw) },
        lazy: { get: () => "computed" },
      }),
    );
    const [copy, array] = seen.see<unknown>(options, [blocking(raw), 2]) as [Record<PropertyKey, unknown>, unknown[]];
    expect(copy).not.toBe(options);
    expect([copy.session === raw, copy.hidden === raw, copy.n, copy.lazy]).toEqual([true, true, 1, "computed"]);
    expect(Object.getOwnPropertyDescriptor(copy, "hidden")).toMatchObject({ enumerable: false, writable: false });
    expect(Object.getOwnPropertySymbols(copy)).toEqual([own]);
    expect([array[0] === raw, array[1]]).toEqual([true, 2]);
    expect(types.isProxy(options.session)).toBe(true);
  });

  it("gets any others themselves", () => {
    const seen = blocking({ see: <T>(...args: T[]): T[] => args });
    const others = [{ n: 1 }, [client.constructor], Object.create(null), new Map([[1, client]]), { deep: [client] }];
    const got = seen.see<unknown>(...others);
    expect(others.map((other, i) => got[i] === other)).toEqual([true, true, true, true, true]);
  });

  it("constructed gets them in its options, too", () => {
    const Holder = blocking(
      class {
        readonly held: unknown;
        constructor(options: { held: unknown }) {
          this.held = options.held === rawConnection;
        }
      },
    );
    const rawConnection = new Connection("held");
    expect(new Holder({ held: blocking(rawConnection) }).held).toBe(true);
  });

  it("keeps its name, length and properties", () => {
    const described = blocking({ work: Object.assign(function work(_a: unknown) {}, { extra: 5 }) });
    expect([described.work.name, described.work.length, described.work.extra]).toEqual(["work", 1, 5]);
  });

  it("is the same function each time", () => {
    const { query, begin } = client;
    expect(client.query).toBe(query);
    expect(client.query).not.toBe(begin);
  });

  itFibers("that calls back gets a function of a fiber's own as asAsync(fn), which may block", async () => {
    const source = blocking({
      begin: async <T>(work: (connection: Connection) => Promise<T>) => work(new Connection("begun")),
    });
    const work = asAsync((connection: Connection) => blocking(connection).query("x").by);
    expect(await spawn(() => source.begin(work))).toBe("begun");
  });

  itFibers("with a symbol for a name blocks as any", async () => {
    const key = Symbol("work");
    const odd = blocking({ [key]: () => later("by symbol") });
    expect(await spawn(() => odd[key]())).toBe("by symbol");
  });

  itFibers("may itself block", async () => {
    const outer = blocking({ work: () => client.query("inner").rows.length });
    expect(await spawn(() => outer.work())).toBe(1);
  });
});

describeFibers("blocking: what is handed out", () => {
  const raw = new Connection();
  const client = blocking(raw);

  it("is the same proxy each time", () => {
    expect(blocking(raw)).toBe(client);
    expect(blocking(client)).toBe(client);
  });

  it("is the proxy where a method returns its own object, at once or later", async () => {
    expect(client.self()).toBe(client);
    expect(client.on("x", () => {})).toBe(client);
    expect(await spawn(() => [client.clone()])).toEqual([client]);
  });

  it("is blocking where it is an instance of a class with methods", async () => {
    expect(await spawn(() => client.begin().commit())).toBe("committed");
  });

  it("is blocking where a property's or a getter's value is", async () => {
    expect(await spawn(() => client.begin().connection === client)).toBe(true);
    expect(await spawn(() => client.child.query("x").by)).toBe("connection's child");
  });

  it("is blocking where it is a function", async () => {
    const source = blocking({ subscribe: () => async () => "unsubscribed" });
    expect(await spawn(() => source.subscribe()())).toBe("unsubscribed");
  });

  itFibers("is an array of blocking ones where a call brings an array of them", async () => {
    const raws = [new Connection("a"), new Connection("b")];
    const pool = blocking({
      all: async () => raws,
      now: () => raws,
      created: async () => [raws[0], true] as const,
      none: async () => [] as Connection[],
    });
    const legacy = {
      all: (callback: (error: null, value: Connection[]) => void) => setImmediate(callback, null, raws),
    };
    const names = await spawn(() => [
      ...pool.all().map((connection) => connection.query("x").by),
      pool.now()[1]?.query("x").by,
      pool.created()[0]?.query("x").by,
      pool.created()[1],
      blocking(legacy, { callbacks: ["all"] })
        .all()[0]
        ?.query("x").by,
      pool.none().length,
    ]);
    expect(names).toEqual(["a", "b", "b", "a", true, "a", 0]);
    const [once, again] = [pool.now()[0], pool.now()[0]];
    expect([raws.some((raw) => types.isProxy(raw)), once === again]).toEqual([false, true]);
  });

  itFibers("is raw in other data: an array of data is the same, and so is one that a property holds", async () => {
    const raws = [new Connection("a")];
    const rows = [{ id: 1 }];
    const pool = blocking({ rows: async () => rows, some: raws, found: async () => ({ rows: raws }) });
    const same = await spawn(() => [pool.rows() === rows, pool.some === raws, pool.found().rows === raws]);
    expect(same).toEqual([true, true, true]);
  });

  it("is a promise where a property's value is one, to be given to wait", async () => {
    expect(client.pending).toBe(raw.pending);
    expect(await spawn(() => wait(client.pending))).toBe("pending");
  });

  class Row {
    id = 1;
  }
  class Rows extends Array {}
  it.each<[string, unknown]>([
    ["a plain object", { a: 1 }],
    ["an object without a prototype", Object.create(null)],
    ["an array of data", [{ connection: new Connection() }]],
    ["an instance of a class that extends Array", new Rows()],
    ["an instance of a class without methods", new Row()],
    ["a Date", new Date()],
    ["a RegExp", /x/],
    ["a Map", new Map()],
    ["a Set", new Set()],
    ["an Error", new TypeError()],
    ["an ArrayBuffer", new ArrayBuffer(1)],
    ["a typed array", new Float64Array(1)],
    ["a Buffer", Buffer.from("x")],
    ["a URL", new URL("http://localhost")],
    ["URLSearchParams", new URLSearchParams()],
    ["Headers", new Headers()],
    ["a Blob", new Blob([])],
    ["an AbortSignal", new AbortController().signal],
    ["an iterator", new Map().entries()],
    ["a generator", (function* () {})()],
    ["a format of Intl", new Intl.NumberFormat()],
  ])("is raw where it is %s", async (_, value) => {
    const source = blocking({ value, get: () => value, fetch: () => later(value) });
    expect(source.value).toBe(value);
    expect(source.get()).toBe(value);
    expect(await spawn(() => [source.fetch() === value])).toEqual([true]);
  });

  it("is raw where it is Stats or a Dirent", async () => {
    const fs = blocking(fsp);
    const [stats, entry] = await spawn(() => [fs.stat(__filename), fs.readdir(__dirname, { withFileTypes: true })[0]]);
    expect([inspect(stats, { depth: 0 }), entry?.constructor.name]).toEqual([
      expect.stringMatching(/^Stats/),
      "Dirent",
    ]);
    expect(structuredClone(stats)).toBeDefined(); // as no proxy can be
  });
});

describe("blocking: a function", () => {
  itFibers("blocks when it is called, with the this that it is called with", async () => {
    const self = {
      value: 5,
      get: blocking(async function (this: { value: number }) {
        return later(this.value);
      }),
    };
    expect(await spawn(() => self.get())).toBe(5);
  });

  itFibers("can be constructed if it is a class, and its instances are blocking", async () => {
    const Class = blocking(Connection);
    const instance = new Class("new");
    expect(await spawn(() => instance.query("x").by)).toBe("new");
    expect(instance).toBeInstanceOf(Class);
    expect(instance).toBeInstanceOf(Connection);
    expect(instance.constructor).toBe(Connection);
  });

  it("cannot be constructed if it is none", () => {
    const arrow = blocking(() => {}) as unknown as new () => unknown;
    expect(() => new arrow()).toThrow(TypeError);
  });

  itFibers("has statics: values, and methods that block", async () => {
    const Class = blocking(Connection);
    Class.opened = 0;
    expect(await spawn(() => Class.open("static").name)).toBe("static");
    expect(Connection.opened).toBe(1);
  });

  it("can be extended, by a class whose instances are ordinary", async () => {
    class Sub extends (blocking(Connection) as unknown as typeof Connection) {
      #own = "own";
      own() {
        return this.#own;
      }
    }
    const sub = new Sub("sub");
    expect([sub.own(), sub.name, sub instanceof Connection]).toEqual(["own", "sub", true]);
    expect(await sub.query("x")).toMatchObject({ by: "sub" });
  });

  itFibers("with a form of its own for util.promisify blocks in that", async () => {
    expect(await spawn(() => blocking(child_process.exec)("echo text").stdout)).toBe("text\n");
    expect(await spawn(() => blocking(dns.lookup)("127.0.0.1"))).toEqual({ address: "127.0.0.1", family: 4 });
    expect(await spawn(() => blocking(setTimeout)(1, "value"))).toBe("value");
    expect(await spawn(() => blocking(child_process).exec("echo method").stdout)).toBe("method\n");
  });
});

describe("blocking: iteration", () => {
  const client = blocking(new Connection());

  itFibers("over an async generator waits for each value", async () => {
    expect(await spawn(() => [...client.rows(3)])).toEqual([0, 1, 2]);
  });

  itFibers("over an async generator function's result works as well", async () => {
    const numbers = blocking(async function* () {
      yield 1;
      yield later(2);
    });
    expect(await spawn(() => Array.from(numbers()))).toEqual([1, 2]);
  });

  itFibers("over a stream yields its chunks", async () => {
    const stream = blocking(Readable.from(["a", "b"]));
    expect(await spawn(() => [...stream])).toEqual(["a", "b"]);
  });

  itFibers("left by break waits until the source is closed", async () => {
    const log: string[] = [];
    await spawn(() => {
      for (const row of client.rows(3, log)) if (row === 1) break;
      log.push("after the loop");
    });
    expect(log).toEqual(["closed", "after the loop"]);
  });

  itFibers("left by an error of the body closes the source", async () => {
    const log: string[] = [];
    const fiber = spawn(() => {
      for (const _ of client.rows(3, log)) throw new Error("body");
    });
    await expect(fiber).rejects.toThrow("body");
    expect(log).toEqual(["closed"]);
  });

  itFibers("throws what the source throws", async () => {
    const failing = blocking(async function* () {
      yield 1;
      throw new Error("source");
    });
    const seen: number[] = [];
    const fiber = spawn(() => {
      for (const value of failing()) seen.push(value);
    });
    await expect(fiber).rejects.toThrow("source");
    expect(seen).toEqual([1]);
  });

  itFibers("passes values, errors and the end on to the source", async () => {
    const echo = blocking(async function* (): AsyncGenerator<unknown, unknown, unknown> {
      try {
        const got = yield "first";
        yield `got ${got}`;
      } catch (error) {
        yield `caught ${(error as Error).message}`;
      }
      return "end";
    });
    const steps = await spawn(() => {
      const [it, other] = [echo()[Symbol.iterator](), echo()[Symbol.iterator]()] as Iterator<unknown>[];
      return [
        it?.next(),
        it?.next("value" as never),
        it?.return?.("early"),
        other?.next(),
        other?.throw?.(new Error("thrown")),
        other?.next(),
      ];
    });
    expect(steps).toEqual([
      { done: false, value: "first" },
      { done: false, value: "got value" },
      { done: true, value: "early" },
      { done: false, value: "first" },
      { done: false, value: "caught thrown" },
      { done: true, value: "end" },
    ]);
  });

  itFibers("yields clients that block", async () => {
    const connections = blocking(async function* () {
      yield new Connection("yielded");
    });
    expect(await spawn(() => Array.from(connections(), (connection) => connection.query("x").by))).toEqual(["yielded"]);
  });

  itFibers("works for an iterator that is nothing but next", async () => {
    let count = 0;
    const source = blocking({
      [Symbol.asyncIterator]: () => ({ next: () => later({ done: ++count > 2, value: count }) }),
    });
    const seen = await spawn(() => {
      for (const value of source) return value;
    });
    expect(seen).toBe(1);
  });

  itFibers("interrupted in a step closes the source", async () => {
    const closed = deferred();
    const source = blocking({
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<IteratorResult<number>>(() => {}),
        return: async () => (closed.resolve(), { done: true as const, value: undefined }),
      }),
    });
    const fiber = spawn(() => [...source]);
    await turn();
    fiber.kill();
    await closed.promise;
    expect(await fiber).toBeInstanceOf(FiberExit);
  });

  itFibers("interrupted while it waits for a stream destroys it", async () => {
    const stream = new PassThrough();
    const closed = once(stream, "close");
    const fiber = spawn(() => [...blocking(stream)]);
    await turn();
    fiber.kill();
    await closed;
    expect(await fiber).toBeInstanceOf(FiberExit);
  });

  it("is still there for async code", async () => {
    const seen: number[] = [];
    for await (const row of client.rows(2)) seen.push(row);
    expect(seen).toEqual([0, 1]);
  });

  it("is the target's own where it can be iterated over without waiting", () => {
    const both = blocking({
      [Symbol.iterator]: () => [1, 2][Symbol.iterator](),
      async *[Symbol.asyncIterator]() {},
    });
    expect([...both]).toEqual([1, 2]);
  });
});

describe("blocking: Node's callbacks", () => {
  itFibers("are supplied to every method with callbacks: true", async () => {
    const legacy = blocking(new Legacy(), { callbacks: true });
    expect(await spawn(() => legacy.add(1, 2))).toBe(3);
  });

  itFibers("are supplied to the named methods, and to no other", async () => {
    const legacy = blocking(new Legacy(), { callbacks: ["add", "connect"] });
    expect(await spawn(() => [legacy.add(1, 2), legacy.total()])).toEqual([3, 3]);
  });

  itFibers("are supplied to a function", async () => {
    const double = blocking((n: number, callback: (error: null, value: number) => void) => callback(null, n * 2), {
      callbacks: true,
    });
    expect(await spawn(() => double(4))).toBe(8);
  });

  itFibers("are supplied to methods of objects that were handed out, too", async () => {
    const legacy = blocking(new Legacy(), { callbacks: ["add", "connect"] });
    expect(await spawn(() => legacy.connect().add(2, 2))).toBe(4);
  });

  it("are not supplied to what all objects and emitters have", async () => {
    const legacy = blocking(new Legacy(), { callbacks: true });
    const heard: unknown[] = [];
    expect(legacy.on("event", (value: unknown) => heard.push(value))).toBe(legacy);
    legacy.emit("event", 5);
    expect([heard, String(legacy)]).toEqual([[5], "[object Object]"]);
  });

  itFibers("may be called at once", async () => {
    expect(await spawn(() => blocking(new Legacy(), { callbacks: true }).now())).toBe("now");
  });

  itFibers("throw their error where the method was called", async () => {
    const legacy = blocking(new Legacy(), { callbacks: true });
    const stack = await spawn(function theCaller() {
      try {
        return String(legacy.add(Number.NaN, 1));
      } catch (error) {
        return (error as Error).stack;
      }
    });
    expect(stack).toMatch(/^Error: no number[\s\S]*theCaller/);
  });

  itFibers("are not needed by an async method among the others", async () => {
    const mixed = blocking({ modern: async () => "promised" }, { callbacks: true });
    expect(await spawn(() => mixed.modern())).toBe("promised");
  });

  it("out of a fiber leave the method uncalled", () => {
    let called = false;
    const legacy = blocking({ work: (_: () => void) => (called = true) }, { callbacks: true });
    expect(codeOf(() => legacy.work())).toBe("ERR_NOT_IN_FIBER");
    expect(called).toBe(false);
  });
});

describe("blocking: a result that comes too late", () => {
  class Pool {
    readonly gate: Deferred<Connection> = deferred<Connection>();
    connect() {
      return this.gate.promise;
    }
    connectLater(callback: (error: null, value: Connection) => void) {
      this.gate.promise.then((value) => callback(null, value));
    }
  }

  itFibers("goes to options.discard when the fiber was killed", async () => {
    const pool = new Pool();
    const discarded: unknown[] = [];
    const fiber = spawn(() => blocking(pool, { discard: (value) => discarded.push(value) }).connect());
    await turn();
    fiber.kill();
    const connection = new Connection();
    pool.gate.resolve(connection);
    await until(() => discarded.length > 0);
    expect(discarded[0]).toBe(connection);
  });

  itFibers("goes to options.discard when the time was over", async () => {
    const pool = new Pool();
    const connection = new Connection();
    const { connect } = blocking(pool, { discard: (value) => value.release() });
    expect(await spawn(() => withTimeout(1, () => connect(), null))).toBe(null);
    pool.gate.resolve(connection);
    await until(() => connection.released === 1);
  });

  itFibers("goes to options.discard from a callback", async () => {
    const pool = new Pool();
    const connection = new Connection();
    const options = { callbacks: ["connectLater"], discard: (value: Connection) => value.release() } as const;
    const fiber = spawn(() => blocking(pool, options).connectLater());
    await turn();
    fiber.kill();
    pool.gate.resolve(connection);
    await until(() => connection.released === 1);
  });

  it("goes to options.discard when there was no fiber to wait in", async () => {
    const pool = new Pool();
    const connection = new Connection();
    expect(codeOf(() => blocking(pool, { discard: (value) => value.release() }).connect())).toBe("ERR_NOT_IN_FIBER");
    pool.gate.resolve(connection);
    await until(() => connection.released === 1);
  });

  itFibers("that is in time does not go there", async () => {
    const pool = new Pool();
    const discarded: unknown[] = [];
    pool.gate.resolve(new Connection("in time"));
    const { connect } = blocking(pool, { discard: (value) => discarded.push(value) });
    expect(await spawn(() => connect().name)).toBe("in time");
    expect(discarded).toEqual([]);
  });

  itFibers("may be a value of an iteration", async () => {
    const gate = deferred<number>();
    const discarded: unknown[] = [];
    const source = blocking(
      async function* () {
        yield gate.promise;
      },
      { discard: (value) => discarded.push(value) },
    );
    const fiber = spawn(() => [...source()]);
    await turn();
    fiber.kill();
    gate.resolve(5);
    await until(() => discarded.length > 0);
    expect(discarded).toEqual([5]);
  });
});

describe("blocking: where nothing can suspend", () => {
  const program = (body: string) => `
    const { blocking, spawn } = require("runtime");
    process.on("unhandledRejection", (error) => console.log("unhandled", error.message));
    const api = blocking({
      value: 5,
      sync: () => 6,
      async fail() { await null; throw new Error("own"); },
      lazy: () => ({ then() { console.log("started"); } }),
      async *generate() { try { yield 1; } finally { console.log("closed"); } },
    });
    const codeOf = (call) => { try { call(); return "none"; } catch (error) { return error.code; } };
    ${body}`;

  it("out of a fiber calls without a promise work, others throw, and leave nothing unhandled", async () => {
    const body = `console.log(api.value, api.sync(), codeOf(() => api.fail()));`;
    expect(await run(program(body))).toEqual(printing("5 6 ERR_NOT_IN_FIBER"));
  });

  it("a thenable that starts when it is looked at is not started", async () => {
    expect(await run(program(`console.log(codeOf(() => api.lazy()));`))).toEqual(printing("ERR_NOT_IN_FIBER"));
  });

  it("an iteration throws", async () => {
    expect(await run(program(`console.log(codeOf(() => [...api.generate()]));`))).toEqual(
      printing("ERR_NOT_IN_FIBER", "closed"),
    );
  });

  it("under RUNTIME_SWITCH=none it is the same", async () => {
    const body = `console.log(api.value, api.sync(), codeOf(() => api.fail()), codeOf(() => api.lazy()));`;
    expect(await run(program(body), { env: { RUNTIME_SWITCH: "none" } })).toEqual(
      printing("5 6 ERR_NOT_IN_FIBER ERR_NOT_IN_FIBER"),
    );
  });
});

describeFibers("blocking: in a frame that must not be left", () => {
  it("a call throws ERR_CANNOT_SUSPEND, and leaves nothing unhandled", async () => {
    const program = `
      const { blocking, spawn } = require("runtime");
      process.on("unhandledRejection", (error) => console.log("unhandled", error.message));
      globalThis.api = blocking({ sync: () => 6, async fail() { await null; throw new Error("own"); } });
      const code = "try { api.sync(); api.fail(); } catch (error) { error.code }";
      spawn(() => console.log(require("node:vm").runInThisContext(code, { timeout: 10_000 })));`;
    expect(await run(program)).toEqual(printing("ERR_CANNOT_SUSPEND"));
  });
});

describe("blocking: the proxy as an object", () => {
  it("is an instance of the same classes, and has the same keys and prototype", () => {
    const raw = new Connection();
    const client = blocking(raw);
    expect(client instanceof Connection && client instanceof EventEmitter).toBe(true);
    expect(Object.getPrototypeOf(client)).toBe(Connection.prototype);
    expect(Reflect.ownKeys(client)).toEqual(Reflect.ownKeys(raw));
    expect("query" in client && !("absent" in client)).toBe(true);
    expect(Object.hasOwn(client, "released") && !Object.hasOwn(client, "query")).toBe(true);
  });

  it("writes through to the raw object, whose setters get it as this", () => {
    const raw = new Connection();
    const client = blocking(raw);
    client.released = 2;
    client.suffix = "abc";
    expect(raw.released).toBe(5);
    delete (client as { pending?: unknown }).pending;
    expect("pending" in raw).toBe(false);
  });

  it("stores raw objects", () => {
    const [raw, parent] = [new Connection(), new Connection()];
    (blocking(raw) as { parent: unknown }).parent = blocking(parent);
    expect(raw.parent).toBe(parent);
  });

  it("may be a prototype", () => {
    const heir = Object.create(blocking(new Connection("inherited")));
    heir.own = 1;
    expect([heir.name, Object.keys(heir)]).toEqual(["inherited", ["own"]]);
  });

  it("defines properties on the raw object, fixed ones, too", () => {
    const raw: { fixed?: number } = {};
    const proxy = blocking(raw);
    Object.defineProperty(proxy, "fixed", { value: 1 });
    expect(Object.getOwnPropertyDescriptor(proxy, "fixed")).toEqual(Object.getOwnPropertyDescriptor(raw, "fixed"));
    expect(Reflect.set(proxy, "fixed", 2)).toBe(false);
    expect(Reflect.deleteProperty(proxy, "fixed")).toBe(false);
  });

  it("of a frozen object shows all that it has, blocking", () => {
    const raw = Object.freeze({ connection: new Connection("frozen"), method: () => 5, value: 1, list: [] });
    const proxy = blocking(raw);
    expect(Object.isFrozen(proxy)).toBe(true);
    expect(Object.keys(proxy)).toEqual(["connection", "method", "value", "list"]);
    expect(proxy.connection).toBe(blocking(raw.connection));
    expect(proxy.method()).toBe(5);
    expect(Object.entries({ ...proxy }).length).toBe(4);
    expect(Reflect.set(proxy, "value", 2)).toBe(false);
  });

  it("of an object that takes no more properties follows it as it loses some", () => {
    const raw: { a?: number; b?: number } = Object.preventExtensions({ a: 1, b: 2 });
    const proxy = blocking(raw);
    expect(Object.isExtensible(proxy)).toBe(false);
    delete raw.a;
    expect(["a" in proxy, Object.keys(proxy)]).toEqual([false, ["b"]]);
    delete proxy.b;
    expect([Object.keys(proxy), Object.keys(raw)]).toEqual([[], []]);
  });

  it("can be frozen", () => {
    const raw = { method: () => 5 };
    const proxy = blocking(raw);
    Object.freeze(proxy);
    expect([Object.isFrozen(raw), Object.isFrozen(proxy), proxy.method()]).toEqual([true, true, 5]);
  });

  it("of a class shows its fixed properties", () => {
    const Class = blocking(Connection);
    expect(Object.getOwnPropertyDescriptor(Class, "prototype")).toEqual(
      Object.getOwnPropertyDescriptor(Connection, "prototype"),
    );
    expect(Reflect.ownKeys(Class)).toEqual(Reflect.ownKeys(Connection));
  });

  it("of an accessor that cannot change reads it from the raw object", () => {
    const raw = {};
    Object.defineProperty(raw, "five", { get: () => 5, configurable: false });
    const proxy = blocking(raw) as { five: number };
    expect(Object.getOwnPropertyDescriptor(proxy, "five")?.get?.()).toBe(5);
    expect(proxy.five).toBe(5);
  });

  it.each([
    ["an object", () => ({ a: 1 })],
    ["an instance", () => new Connection()],
    ["a function", () => Connection.open],
    ["a frozen object", () => Object.freeze({ a: 1 })],
    [
      "an object whose getters throw",
      () =>
        Object.create(
          {},
          {
            bad: {
              get: () => {
                throw new Error("read");
              },
            },
          },
        ),
    ],
    ["an async iterable", () => new Connection().rows(1)],
  ])("of %s is shown by util.inspect as the object is, and nothing is waited for", (_, make) => {
    const raw = make();
    expect(inspect(blocking(raw))).toBe(inspect(raw));
  });

  it("can be awaited by async code, as any object that is no promise", async () => {
    const client = blocking(new Connection());
    expect(await client).toBe(client);
  });

  it("of a promise is one still", async () => {
    expect(await (blocking(Promise.resolve(5)) as unknown as Promise<number>)).toBe(5);
  });

  it("is turned to JSON and text as the object is", () => {
    expect(JSON.stringify(blocking({ a: [1] }))).toBe('{"a":[1]}');
    expect(`${blocking(new URL("http://localhost/"))}`).toBe("http://localhost/");
  });
});

describeFibers("blocking: a module's namespace", () => {
  it("is callable by name, in full", async () => {
    const namespace = await import("node:fs/promises");
    const fs = blocking(namespace);
    expect(await spawn(() => fs.readFile(__filename, "utf8"))).toContain("is callable by name, in full");
    expect(Object.keys(fs)).toEqual(Object.keys(namespace));
    expect(Object.entries(fs).length).toBe(Object.keys(namespace).length);
  });

  it("gives files that block", async () => {
    const fs = blocking(fsp);
    const text = await spawn(() => {
      const file = fs.open(__filename);
      try {
        return file.readFile("utf8");
      } finally {
        file.close();
      }
    });
    expect(text).toContain("gives files that block");
  });
});

describe("blocking: wrong arguments", () => {
  it.each<[string, () => unknown]>([
    ["target", () => blocking(5 as never)],
    ["target", () => blocking(null as never)],
    ["options", () => blocking({}, null as never)],
    ["options", () => blocking({}, 5 as never)],
    ["options.callbacks", () => blocking({}, { callbacks: "query" as never })],
    ["options.callbacks", () => blocking({}, { callbacks: [5 as never, {} as never] })],
    ["options.discard", () => blocking({}, { discard: 5 as never })],
  ])("are refused by name: %s", (name, call) => {
    expect(call).toThrow(
      expect.objectContaining({ code: "ERR_INVALID_ARG_TYPE", message: expect.stringContaining(`"${name}"`) }),
    );
  });
});

describe("blocking: options", () => {
  it("that are the same object give the same proxy", () => {
    const [raw, options] = [new Legacy(), { callbacks: ["add"] }];
    expect(blocking(raw, options)).toBe(blocking(raw, options));
    expect(blocking(raw, options)).not.toBe(blocking(raw));
  });

  it("may be given for what is blocking already", async () => {
    const raw = new Legacy();
    const options = { callbacks: ["add"] };
    const proxy: Blocking<Legacy> = blocking(raw);
    expect(blocking(proxy, options)).toBe(blocking(raw, options));
  });
});

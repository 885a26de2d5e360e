// A library as native ones are: synchronous, with classes, iterators, callbacks.
const { EventEmitter } = require("node:events");
const { threadId } = require("node:worker_threads");

class Row {
  #value;
  constructor(value) {
    this.#value = value;
  }
  get value() {
    return this.#value;
  }
  equals(other) {
    return this.#value === other.#value;
  }
}

class Store extends EventEmitter {
  static count = 0;
  #rows = [];
  name = "store";
  constructor(...values) {
    super();
    Store.count++;
    this.#rows = values.map((value) => new Row(value));
  }
  get size() {
    return this.#rows.length;
  }
  first() {
    return this.#rows[0];
  }
  last() {
    return this.#rows.at(-1);
  }
  all() {
    return this.#rows.map((row) => ({ value: row.value, bytes: Buffer.from([row.value]) }));
  }
  *iterate() {
    try {
      for (const row of this.#rows) yield row.value;
    } finally {
      exports.log.push("iterator closed");
    }
  }
  async *later() {
    for (const row of this.#rows) yield await row.value;
  }
  add(value) {
    this.#rows.push(new Row(value));
    return this;
  }
  map(fn) {
    return this.#rows.map((row) => fn(row.value));
  }
  /** As a database's: what `fn` does is undone if it throws. */
  transaction(fn) {
    return (...args) => {
      const before = [...this.#rows];
      try {
        return fn(...args);
      } catch (error) {
        this.#rows = before;
        throw error;
      }
    };
  }
  async asynchronous(value) {
    await null;
    if (value instanceof Error) throw value;
    return { value };
  }
  fail(message) {
    throw Object.assign(new RangeError(message), { code: "E_STORE" });
  }
  exit() {
    process.exit(3);
  }
  block(memory) {
    Atomics.add(memory, 0, 1);
    Atomics.wait(memory, 1, 0);
    return "let go";
  }
  pause(ms) {
    return Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  }
  emitLater(...args) {
    setImmediate(() => this.emit("event", ...args));
  }
  handlers() {
    return { plus: (a, b) => a + b, name: "handlers" };
  }
  same(value) {
    return value;
  }
  uncloneable() {
    return { weak: new WeakMap() };
  }
  exhaust() {
    for (let last; ; ) last = { last };
  }
  throwLater() {
    setImmediate(() => {
      throw new Error("nobody catches");
    });
    return new Promise(() => {});
  }
}

exports.Store = Store;
exports.Row = Row;
exports.log = [];
exports.threadId = () => threadId;
exports.settings = { depth: 1 };

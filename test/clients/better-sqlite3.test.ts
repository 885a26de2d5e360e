// better-sqlite3, a native library that blocks its thread, in a thread of its own: used just as ever.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { sleep, spawn, threaded } from "runtime";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { hasFibers } from "../support/fibers";
import { nativePackage } from "../support/npm";
import { until } from "../support/turns";

const location = await nativePackage("better-sqlite3", "12", "new library(':memory:')");
if (location === null) console.log("better-sqlite3: skipped, it could not be installed");

const directory = mkdtempSync(path.join(tmpdir(), "runtime-sqlite-"));
afterAll(() => rmSync(directory, { recursive: true }));

describe.runIf(location !== null)("better-sqlite3", () => {
  const Database = location && threaded(require.resolve(location));
  // biome-ignore lint/suspicious/noExplicitAny: its types are of another package
  let db: any;
  beforeEach(() => {
    db = new Database(":memory:");
    db.exec("create table people (id integer primary key, name text unique, photo blob)");
    return () => db.close();
  });
  afterAll(() => Database?.[Symbol.dispose]());

  /** In a fiber if there are any. */
  const inFiber = async <T>(fn: () => T): Promise<Awaited<T>> => (hasFibers ? await spawn(fn) : await fn());
  const names = () => db.prepare("select name from people order by id").pluck().all();

  it("runs statements, with named and positional parameters, and tells what they did", async () => {
    const done = await inFiber(() => {
      const one = db.prepare("insert into people (name) values (?)").run("Ada");
      const two = db.prepare("insert into people (name) values (@name)").run({ name: "Bob" });
      return [one, two, db.prepare("select id, name from people where name = ?").get("Bob"), names()];
    });
    expect(done).toEqual([
      { changes: 1, lastInsertRowid: 1 },
      { changes: 1, lastInsertRowid: 2 },
      { id: 2, name: "Bob" },
      ["Ada", "Bob"],
    ]);
  });

  it("reads and writes Buffers and big integers", async () => {
    const photo = Buffer.from([1, 2, 3]);
    const row = await inFiber(() => {
      db.prepare("insert into people (id, name, photo) values (?, ?, ?)").run(2n ** 60n, "Ada", photo);
      return db.prepare("select * from people").safeIntegers().get();
    });
    expect(row).toEqual({ id: 2n ** 60n, name: "Ada", photo });
    expect(Buffer.isBuffer(row.photo)).toBe(true);
  });

  it("iterates over rows, and a loop that is left closes the statement", async () => {
    const seen = await inFiber(() => {
      const insert = db.prepare("insert into people (name) values (?)");
      for (const name of ["Ada", "Bob", "Cyd"]) insert.run(name);
      const seen: unknown[] = [];
      for (const { name } of db.prepare("select name from people order by id").iterate()) {
        seen.push(name);
        if (name === "Bob") break;
      }
      insert.run("Dan"); // it would be busy, were the iterator open
      return seen;
    });
    expect(seen).toEqual(["Ada", "Bob"]);
  });

  it("commits a transaction, and rolls it back with the very error that was thrown in it", async () => {
    const own = new Error("own");
    const seen = await inFiber(() => {
      const insert = db.prepare("insert into people (name) values (?)");
      const insertAll = db.transaction((all: string[], fails = false) => {
        for (const name of all) insert.run(name);
        if (fails) throw own;
        return [all.length, db.inTransaction];
      });
      const done = insertAll(["Ada", "Bob"]);
      const immediate = insertAll.immediate(["Cyd"]);
      try {
        insertAll(["Dan"], true);
      } catch (error) {
        return [done, immediate, error === own, names(), db.inTransaction];
      }
    });
    expect(seen).toEqual([[2, true], [1, true], true, ["Ada", "Bob", "Cyd"], false]);
  });

  it("throws its errors with their codes", async () => {
    const error = await inFiber(() => {
      const insert = db.prepare("insert into people (name) values (?)");
      insert.run("Ada");
      try {
        insert.run("Ada");
      } catch (error) {
        return error;
      }
    });
    expect(error).toMatchObject({ name: "SqliteError", code: "SQLITE_CONSTRAINT_UNIQUE" });
    expect(() => db.prepare("selec 1")).toThrow('near "selec": syntax error');
  });

  it("calls functions and aggregates of the program in the middle of a query", async () => {
    const seen = await inFiber(() => {
      db.function("twice", (value: number) => 2 * value);
      db.aggregate("product", { start: 1, step: (product: number, value: number) => product * value });
      return [
        db.prepare("select twice(21)").pluck().get(),
        db.prepare("select product(value) from json_each('[2,3,4]')").pluck().get(),
      ];
    });
    expect(seen).toEqual([42, 24]);
  });

  it("has pragmas, properties, and a backup, which it does asynchronously", async () => {
    const copy = path.join(directory, "copy.db");
    const seen = await inFiber(() => {
      db.prepare("insert into people (name) values ('Ada')").run();
      db.backup(copy);
      const other = new Database(copy, { readonly: true });
      const found = other.prepare("select name from people").pluck().get();
      other.close();
      return [found, other.open, db.open, db.memory, db.pragma("user_version", { simple: true })];
    });
    expect(seen).toEqual(["Ada", false, true, true, 0]);
  });

  it.runIf(hasFibers)("suspends only the fiber that asks, while a query computes", async () => {
    const slow =
      "with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000000) select sum(i) from n";
    let turns = 0;
    const query = spawn(() => db.prepare(slow).pluck().get());
    const other = spawn(() => {
      while (!query.dead) {
        sleep(1);
        turns++;
      }
    });
    expect(await query).toBe(4500001500000);
    await other;
    expect(turns).toBeGreaterThan(1);
  });

  it.runIf(hasFibers)("does not let another fiber into a transaction that is suspended", async () => {
    let entered = false;
    const insert = await spawn(() => db.prepare("insert into people (name) values (?)"));
    const first = spawn(() => {
      const fail = db.transaction(() => {
        insert.run("Ada");
        entered = true;
        sleep(10);
        throw new Error("rolled back");
      });
      try {
        fail();
      } catch (error) {
        return (error as Error).message;
      }
    });
    await until(() => entered);
    await spawn(() => insert.run("Bob"));
    expect([await first, await spawn(names)]).toEqual(["rolled back", ["Bob"]]);
  });

  it.runIf(hasFibers)("a fiber that is killed within a transaction has it rolled back", async () => {
    let entered = false;
    const fiber = spawn(() =>
      db.transaction(() => {
        db.prepare("insert into people (name) values ('Ada')").run();
        entered = true;
        sleep(1e6);
      })(),
    );
    await until(() => entered);
    fiber.kill(undefined, { block: false });
    await until(() => fiber.dead);
    expect(await spawn(() => [names(), db.inTransaction])).toEqual([[], false]);
  });
});

describe.runIf(location !== null && hasFibers)("better-sqlite3 in the program's own thread", () => {
  it("carries a transaction out in one go: nothing that others write becomes a part of it", async () => {
    const db = new (require(location as string))(":memory:");
    db.exec("create table people (name text)");
    const insert = db.prepare("insert into people values (?)");
    const transaction = db.transaction((name: string) => {
      insert.run(name);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
      sleep(1);
    });
    const refused = await spawn(transaction.immediate, "Ada").then(null, (error) => error);
    const other = spawn(() => insert.run("Bob"));
    await other;
    const done = db.transaction((name: string) => [insert.run(name).changes, db.inTransaction]);
    expect(await spawn(() => [...done("Cyd"), db.prepare("select name from people").pluck().all()])).toEqual([
      ...[1, true, ["Bob", "Cyd"]],
    ]);
    expect(refused).toMatchObject({ code: "ERR_CANNOT_SUSPEND" });
    expect(String(refused)).toContain("inside a transaction of better-sqlite3");
    db.close();
  });
});

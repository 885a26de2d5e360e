import path from "node:path";
import { types } from "node:util";
import mysqlCallbacks from "mysql2";
import mysql, { type Pool, type ResultSetHeader, type RowDataPacket } from "mysql2/promise";
import { blocking, FiberExit, spawn, wait, withTimeout } from "runtime";
import { afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { deferred } from "../support/deferred";
import { describeClient } from "../support/servers";
import { turn } from "../support/turns";

const MAX = 10;

describeClient("mysql2", "mariadb", (directory) => {
  let pool: Pool;

  const options = (connectionLimit: number) => ({
    socketPath: path.join(directory(), "socket"),
    user: "root",
    database: "mysql",
    connectionLimit,
  });

  beforeAll(async () => {
    const connection = await mysql.createConnection(options(1));
    await connection.query("create database bank");
    await connection.end();
  });

  beforeEach(async () => {
    pool = mysql.createPool({ ...options(MAX), database: "bank" });
    await pool.query("drop table if exists account");
    await pool.query(
      "create table account (name varchar(10) primary key, cents int not null check (cents >= 0)) engine=innodb",
    );
    await pool.query("insert into account values ('a', 100), ('b', 0)");
  });

  afterEach(() => pool.end());

  const rowsOf = (result: unknown) => (result as [RowDataPacket[]])[0];
  /** A statement that lasts until its connection is gone, and a promise of the moment when it is carried out. */
  const stuck = "select sleep(600)";
  const begun = async () => {
    const running = "select count(*) as n from information_schema.processlist where info = ?";
    while (rowsOf(await pool.query(running, [stuck]))[0]?.n === 0) await turn();
  };

  it("answers queries and prepared statements in blocking style, with [rows, fields] of plain data", async () => {
    const db = blocking(pool);
    const results = await spawn(() => [
      db.query("select name, cents from account where cents > ?", [50]),
      db.execute("select name, cents from account where cents > ?", [50]),
    ]);
    for (const result of results) {
      const [rows, fields] = result as [RowDataPacket[], { name: string }[]];
      expect(rows.map((row) => ({ ...row }))).toEqual([{ name: "a", cents: 100 }]);
      expect(fields.map((field) => field.name)).toEqual(["name", "cents"]);
      expect([result, rows, rows[0], fields, fields[0]].some(types.isProxy)).toBe(false);
    }
  });

  it("answers other statements with a plain header", async () => {
    const [result] = await spawn(() => blocking(pool).query("update account set cents = 1"));
    const header = result as ResultSetHeader;
    expect([header.affectedRows, types.isProxy(header)]).toEqual([2, false]);
  });

  it("serves a hundred fibers on one pool", async () => {
    const db = blocking(pool);
    const answer = (i: number) => rowsOf(db.query("select ? * 2 as twice", [i]))[0]?.twice;
    const fibers = Array.from({ length: 100 }, (_, i) => spawn(answer, i));
    expect(await Promise.all(fibers)).toEqual(Array.from({ length: 100 }, (_, i) => i * 2));
  });

  it("lets as many fibers as there are connections have one at the same time", async () => {
    const db = blocking(pool);
    const all = deferred();
    let connected = 0;
    const ids = Array.from({ length: MAX }, () =>
      spawn(() => {
        const connection = db.getConnection();
        try {
          if (++connected === MAX) all.resolve();
          wait(all.promise);
          return rowsOf(connection.query("select connection_id() as id"))[0]?.id;
        } finally {
          connection.release();
        }
      }),
    );
    expect(new Set(await Promise.all(ids)).size).toBe(MAX);
  });

  const transfer = (cents: number) => {
    const connection = blocking(pool).getConnection();
    try {
      connection.beginTransaction();
      connection.query("update account set cents = cents + ? where name = 'b'", [cents]);
      connection.query("update account set cents = cents - ? where name = 'a'", [cents]);
      connection.commit();
    } catch (error) {
      connection.rollback();
      throw error;
    } finally {
      connection.release();
    }
  };
  const balances = async () =>
    rowsOf(await pool.query("select cents from account order by name")).map((row) => row.cents);

  it("commits transactions on a connection of the pool", async () => {
    await Promise.all(Array.from({ length: 20 }, () => spawn(transfer, 5)));
    expect(await balances()).toEqual([0, 100]);
  });

  it("rolls a transaction back in a catch block", async () => {
    await expect(spawn(transfer, 101)).rejects.toMatchObject({ errno: 4025 });
    expect(await balances()).toEqual([100, 0]);
  });

  it("throws a statement's error where it was called, and the connection is usable afterwards", async () => {
    const caught = await spawn(function theCaller() {
      const connection = blocking(pool).getConnection();
      try {
        connection.query("select * from nowhere");
        return null;
      } catch (error) {
        return { error: error as Error, five: rowsOf(connection.query("select 5 as five"))[0]?.five };
      } finally {
        connection.release();
      }
    });
    expect(caught).toEqual({ error: expect.objectContaining({ code: "ER_NO_SUCH_TABLE" }), five: 5 });
    expect(caught?.error.stack).toContain("theCaller");
  });

  it("killed in a query gives its connection back", async () => {
    const single = mysql.createPool(options(1));
    const db = blocking(single);
    const fiber = spawn(() => {
      const connection = db.getConnection();
      try {
        connection.query(stuck);
      } finally {
        connection.destroy(); // with a statement under way it is good for nobody
      }
    });
    await begun();
    fiber.kill();
    expect(await fiber).toBeInstanceOf(FiberExit);
    expect(await spawn(() => rowsOf(db.query("select 1 as one"))[0]?.one)).toBe(1);
    await single.end();
  });

  it("killed while it waits for a connection gives it back, by options.discard", async () => {
    const single = mysql.createPool(options(1));
    const db = blocking(single, { discard: (connection) => connection.release() });
    const held = await single.getConnection();
    const waits = new Promise((resolve) => single.once("enqueue", resolve as () => void));
    const fiber = spawn(() => db.getConnection());
    await waits;
    fiber.kill();
    await fiber;
    held.release();
    expect(await spawn(() => rowsOf(db.query("select 1 as one"))[0]?.one)).toBe(1);
    await single.end();
  });

  it("withTimeout leaves a query that is too slow", async () => {
    const outcome = await spawn(() => {
      const connection = blocking(pool).getConnection();
      try {
        return withTimeout(20, () => connection.query(stuck), "too late");
      } finally {
        connection.destroy();
      }
    });
    expect(outcome).toBe("too late");
  });

  it("works with callbacks as well", async () => {
    const callbackPool = mysqlCallbacks.createPool(options(MAX));
    const db = blocking(callbackPool, { callbacks: ["query", "execute", "getConnection", "end"] });
    const one = await spawn(() => {
      const connection = db.getConnection();
      try {
        return (connection.query("select 1 as one") as RowDataPacket[])[0]?.one;
      } finally {
        connection.release();
        db.end();
      }
    });
    expect(one).toBe(1);
  });

  it("iterates over a stream of rows in blocking style", async () => {
    const callbackPool = mysqlCallbacks.createPool(options(1));
    const rows = blocking(callbackPool.query("select seq from seq_1_to_20").stream());
    const numbers = await spawn(() => Array.from(rows, (row) => (row as RowDataPacket).seq));
    expect(numbers).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    await callbackPool.promise().end();
  });
});

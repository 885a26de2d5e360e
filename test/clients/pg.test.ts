import { types } from "node:util";
import pg from "pg";
import Cursor from "pg-cursor";
import QueryStream from "pg-query-stream";
import { blocking, FiberExit, spawn, wait, withTimeout } from "runtime";
import { afterEach, beforeEach, expect, it } from "vitest";
import { deferred } from "../support/deferred";
import { describeClient } from "../support/servers";
import { turn, until } from "../support/turns";

const MAX = 10;

describeClient("pg", "postgres", (directory) => {
  let pool: pg.Pool;

  const open = new Set<pg.PoolClient>();

  const newPool = (max: number) => {
    const pool = new pg.Pool({ host: directory(), user: "postgres", database: "postgres", max });
    pool.on("connect", (client) => open.add(client));
    pool.on("remove", (client) => open.delete(client));
    return pool;
  };

  /** pool.end() does not wait until its connections are closed, and the server is about to stop. */
  const end = async (pool: pg.Pool) => {
    await pool.end();
    await until(() => open.size === 0);
  };

  beforeEach(async () => {
    pool = newPool(MAX);
    await pool.query("drop table if exists account");
    await pool.query("create table account (name text primary key, cents int not null check (cents >= 0))");
    await pool.query("insert into account values ('a', 100), ('b', 0)");
  });

  afterEach(() => end(pool));

  /** A statement that lasts until it is cancelled, and a promise of the moment when the server carries it out. */
  const stuck = "select pg_sleep(600)";
  const begun = async () => {
    const count = "select count(*)::int from pg_stat_activity where query = $1 and state = 'active'";
    while ((await pool.query(count, [stuck])).rows[0].count === 0) await turn();
  };

  it("answers queries in blocking style, with plain rows", async () => {
    const db = blocking(pool);
    const rows = await spawn(() => db.query("select name, cents from account where cents > $1", [50]).rows);
    expect(rows).toEqual([{ name: "a", cents: 100 }]);
    expect([rows, rows[0]].map(types.isProxy)).toEqual([false, false]);
  });

  it("serves a hundred fibers on one pool", async () => {
    const db = blocking(pool);
    const answer = (i: number) => db.query("select $1::int * 2 as double", [i]).rows[0].double;
    const fibers = Array.from({ length: 100 }, (_, i) => spawn(answer, i));
    expect(await Promise.all(fibers)).toEqual(Array.from({ length: 100 }, (_, i) => i * 2));
    expect(pool.totalCount).toBe(MAX);
  });

  it("lets as many fibers as there are connections have one at the same time", async () => {
    const db = blocking(pool);
    const all = deferred();
    let connected = 0;
    const pids = Array.from({ length: MAX }, () =>
      spawn(() => {
        const client = db.connect();
        try {
          if (++connected === MAX) all.resolve();
          wait(all.promise);
          return client.query("select pg_backend_pid() as pid").rows[0].pid;
        } finally {
          client.release();
        }
      }),
    );
    expect(new Set(await Promise.all(pids)).size).toBe(MAX);
  });

  const transfer = (cents: number) => {
    const client = blocking(pool).connect();
    try {
      client.query("begin");
      client.query("update account set cents = cents + $1 where name = 'b'", [cents]);
      client.query("update account set cents = cents - $1 where name = 'a'", [cents]);
      client.query("commit");
    } catch (error) {
      client.query("rollback");
      throw error;
    } finally {
      client.release();
    }
  };
  const balances = async () =>
    (await pool.query("select cents from account order by name")).rows.map((row) => row.cents);

  it("commits transactions on a connection of the pool", async () => {
    await Promise.all(Array.from({ length: 20 }, () => spawn(transfer, 5)));
    expect(await balances()).toEqual([0, 100]);
  });

  it("rolls a transaction back in a catch block", async () => {
    await expect(spawn(transfer, 101)).rejects.toMatchObject({ code: "23514" });
    expect(await balances()).toEqual([100, 0]);
    expect(pool.idleCount).toBe(pool.totalCount);
  });

  it("throws a statement's error where it was called, and the connection is usable afterwards", async () => {
    const caught = await spawn(function theCaller() {
      const client = blocking(pool).connect();
      try {
        client.query("select * from nowhere");
        return null;
      } catch (error) {
        return { error: error as Error, rows: client.query("select 5 as five").rows };
      } finally {
        client.release();
      }
    });
    expect(caught).toEqual({ error: expect.objectContaining({ code: "42P01" }), rows: [{ five: 5 }] });
    expect(caught?.error.stack).toContain("theCaller");
  });

  it("killed in a query gives its connection back", async () => {
    const single = newPool(1);
    const db = blocking(single);
    const fiber = spawn(() => {
      const client = db.connect();
      try {
        client.query(stuck);
      } finally {
        client.release(true); // with a statement under way it is good for nobody
      }
    });
    await begun();
    fiber.kill();
    expect(await fiber).toBeInstanceOf(FiberExit);
    expect(await spawn(() => db.query("select 1 as one").rows)).toEqual([{ one: 1 }]);
    await single.end();
  });

  it("killed while it waits for a connection gives it back, by options.discard", async () => {
    const single = newPool(1);
    const db = blocking(single, { discard: (client) => client.release() });
    const held = await single.connect();
    const fiber = spawn(() => db.connect());
    await until(() => single.waitingCount === 1);
    fiber.kill();
    await fiber;
    held.release();
    expect(await spawn(() => db.query("select 1 as one").rows)).toEqual([{ one: 1 }]);
    await single.end();
  });

  it("withTimeout leaves a query that is too slow", async () => {
    const outcome = await spawn(() => {
      const client = blocking(pool).connect();
      try {
        return withTimeout(20, () => client.query(stuck).rows, "too late");
      } finally {
        client.release(true);
      }
    });
    expect(outcome).toBe("too late");
  });

  it("reads a cursor in blocking style", async () => {
    const sums = await spawn(() => {
      const client = blocking(pool).connect();
      try {
        const cursor = client.query(new Cursor("select i from generate_series(1, 25) as i"));
        const lengths: number[] = [];
        for (let rows = cursor.read(10); rows.length > 0; rows = cursor.read(10)) lengths.push(rows.length);
        cursor.close();
        return lengths;
      } finally {
        client.release();
      }
    });
    expect(sums).toEqual([10, 10, 5]);
  });

  const stream = (count: string) =>
    new QueryStream(`select i from generate_series(1, ${count}) as i`, [], { batchSize: 5 });

  it("iterates over a stream of rows in blocking style", async () => {
    const numbers = await spawn(() => {
      const client = blocking(pool).connect();
      try {
        return Array.from(client.query(stream("12")), (row) => row.i);
      } finally {
        client.release();
      }
    });
    expect(numbers).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  });

  it("ends a stream of rows that a loop leaves by break, and the connection is usable afterwards", async () => {
    const rows = await spawn(() => {
      const client = blocking(pool).connect();
      try {
        for (const { i } of client.query(stream("1000000"))) if (i === 3) break;
        return client.query("select 1 as one").rows;
      } finally {
        client.release();
      }
    });
    expect(rows).toEqual([{ one: 1 }]);
  });

  it("has its classes constructed in blocking style", async () => {
    const { Client } = blocking(pg);
    const one = await spawn(() => {
      const client = new Client({ host: directory(), user: "postgres", database: "postgres" });
      client.connect();
      try {
        return client.query("select 1 as one").rows[0].one;
      } finally {
        client.end();
      }
    });
    expect(one).toBe(1);
  });
});

import { types } from "node:util";
import { MongoClient, type Collection as RawCollection } from "mongodb";
import { MongoClient as OlderClient } from "mongodb-6";
import { type Blocking, blocking, FiberExit, joinAll, spawn, wait, withTimeout } from "runtime";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { MongoServer } from "../support/mongo";
import { describeClient } from "../support/servers";
import { until } from "../support/turns";

interface Account {
  _id: string;
  cents: number;
}

const MAX = 10;

const numbered = (count: number): Account[] => Array.from({ length: count }, (_, i) => ({ _id: `${i}`, cents: i }));

/** The same of either server. */
function itThrows(collection: () => Blocking<RawCollection<Account>>): void {
  it("throws the server's errors where they were called for, and goes on", async () => {
    const accounts = collection();
    const caught = await spawn(function theCaller() {
      accounts.insertOne({ _id: "a", cents: 1 });
      try {
        accounts.insertOne({ _id: "a", cents: 2 });
        return null;
      } catch (error) {
        return { error: error as Error, found: accounts.findOne({ _id: "a" }) };
      }
    });
    expect(caught).toEqual({ error: expect.objectContaining({ code: 11000 }), found: { _id: "a", cents: 1 } });
    expect(caught?.error.stack).toContain("theCaller");
  });
}

// The driver is the real one, on real sockets; its server is a stand-in: of those that it speaks to, no archive has one.
describeFibers("mongodb", () => {
  let server: MongoServer;
  let raw: MongoClient;
  let client: Blocking<MongoClient>;
  let accounts: Blocking<RawCollection<Account>>;

  beforeEach(async () => {
    server = new MongoServer();
    raw = new MongoClient(await server.listen(), { maxPoolSize: MAX });
    client = blocking(raw);
    accounts = client.db("bank").collection<Account>("accounts") as never;
  });

  afterEach(async () => {
    await raw.close();
    await server.close();
  });

  it("connects, writes and finds in blocking style, with plain data", async () => {
    const [inserted, found, none] = await spawn(() => {
      client.connect();
      return [
        accounts.insertOne({ _id: "a", cents: 100 }),
        accounts.findOne({ _id: "a" }),
        accounts.findOne({ _id: "b" }),
      ];
    });
    expect(inserted).toEqual({ acknowledged: true, insertedId: "a" });
    expect([found, none]).toEqual([{ _id: "a", cents: 100 }, null]);
    expect(types.isProxy(found)).toBe(false);
  });

  it("iterates over a cursor in blocking style, batch by batch", async () => {
    const sums = await spawn(() => {
      accounts.insertMany(numbered(250));
      const cursor = accounts.find({}, { batchSize: 20 });
      let sum = 0;
      for (const { cents } of cursor as unknown as Iterable<Account>) sum += cents;
      const all = accounts.find({}).toArray() as unknown as Account[];
      return [sum, all.reduce((sum, { cents }) => sum + cents, 0)];
    });
    expect(sums).toEqual([31_125, 31_125]);
  });

  it("serves a hundred fibers on the connections of its pool", async () => {
    await spawn(() => accounts.insertOne({ _id: "a", cents: 0 }));
    const increment = () => accounts.updateOne({ _id: "a" }, { $inc: { cents: 1 } });
    const results = await Promise.all(Array.from({ length: 100 }, () => spawn(increment)));
    expect(results.every((result) => (result as { modifiedCount: number }).modifiedCount === 1)).toBe(true);
    expect(await raw.db("bank").collection<Account>("accounts").findOne({ _id: "a" })).toEqual({
      _id: "a",
      cents: 100,
    });
    expect(server.mostConnections).toBeLessThanOrEqual(MAX + 2); // and two that watch the server
  });

  itThrows(() => accounts);

  it("waits for a promise of the driver's own", async () => {
    const collection = raw.db("bank").collection<Account>("accounts");
    const found = await spawn(() => {
      wait(collection.insertOne({ _id: "a", cents: 5 }));
      return wait(collection.findOne({ _id: "a" }));
    });
    expect(found).toEqual({ _id: "a", cents: 5 });
  });

  it("killed in a query runs its finally blocks, and others go on", async () => {
    let cleaned = false;
    const fiber = spawn(() => {
      try {
        accounts.findOne({ $where: "for ever" });
      } finally {
        cleaned = true;
      }
    });
    await until(() => server.stuck === 1);
    fiber.kill();
    expect(await fiber).toBeInstanceOf(FiberExit);
    expect([cleaned, await spawn(() => accounts.findOne({}))]).toEqual([true, null]);
  });

  it("withTimeout leaves a query that is too slow", async () => {
    const outcome = await spawn(() => withTimeout(20, () => accounts.findOne({ $where: "for ever" }), "too late"));
    expect(outcome).toBe("too late");
  });

  it("takes a session among a call's options", async () => {
    await spawn(() => {
      const sessions = [client.startSession(), client.startSession()];
      for (const session of sessions) {
        accounts.insertOne({ _id: `${sessions.indexOf(session)}`, cents: 1 }, { session });
        accounts.findOne({}, { session });
      }
      for (const session of sessions) session.endSession();
    });
    const [a, sameAsA, b, sameAsB] = server.sessions;
    expect([a === sameAsA, b === sameAsB, a === b]).toEqual([true, true, false]);
  });

  it("closes all of its connections", async () => {
    await spawn(() => {
      client.connect();
      client.db("bank").command({ ping: 1 });
      client.close();
    });
    await until(() => server.connections === 0);
  });
});

// And both are real: the last driver for the last server that can be had.
describeClient("mongodb, with a server", "mongodb", (directory) => {
  let raw: OlderClient;
  let client: Blocking<OlderClient>;
  let accounts: Blocking<RawCollection<Account>>;

  beforeAll(() => {
    const socket = encodeURIComponent(`${directory()}/mongod.sock`);
    raw = new OlderClient(`mongodb://${socket}/?directConnection=true`, { maxPoolSize: MAX });
    client = blocking(raw);
  });
  beforeEach(async () => {
    accounts = client.db("bank").collection<Account>("accounts") as never;
    await spawn(() => accounts.deleteMany({}));
  });
  afterAll(() => raw.close());

  it("writes, finds, updates and removes in blocking style", async () => {
    const outcomes = await spawn(() => [
      accounts.insertOne({ _id: "a", cents: 100 }),
      accounts.findOne({ _id: "a" }),
      accounts.findOneAndUpdate({ _id: "a" }, { $inc: { cents: 5 } }, { returnDocument: "after" }),
      accounts.countDocuments({ cents: { $gt: 100 } }),
      accounts.deleteOne({ _id: "a" }),
      accounts.findOne({ _id: "a" }),
    ]);
    expect(outcomes).toEqual([
      { acknowledged: true, insertedId: "a" },
      { _id: "a", cents: 100 },
      { _id: "a", cents: 105 },
      1,
      { acknowledged: true, deletedCount: 1 },
      null,
    ]);
  });

  it("iterates over cursors and aggregations, which fetch as the loop goes on", async () => {
    const sums = await spawn(() => {
      accounts.insertMany(numbered(250));
      let sum = 0;
      for (const { cents } of accounts.find({}, { batchSize: 20 }) as unknown as Iterable<Account>) sum += cents;
      const groups = accounts.aggregate([{ $group: { _id: null, sum: { $sum: "$cents" } } }]).toArray();
      return [sum, groups];
    });
    expect(sums).toEqual([31_125, [{ _id: null, sum: 31_125 }]]);
  });

  it("serves a hundred fibers at once, none of whose updates is lost", async () => {
    await spawn(() => {
      accounts.insertOne({ _id: "a", cents: 0 });
      const increment = () => accounts.updateOne({ _id: "a" }, { $inc: { cents: 1 } });
      joinAll(
        Array.from({ length: 100 }, () => spawn(increment)),
        { raiseError: true },
      );
      expect(accounts.findOne({ _id: "a" })).toEqual({ _id: "a", cents: 100 });
    });
  });

  itThrows(() => accounts);

  it("lets others query while one waits for a slow query, which can be killed or left", async () => {
    await spawn(() => accounts.insertOne({ _id: "a", cents: 1 }));
    const slow = { $where: "sleep(2000) || true" };
    let cleaned = false;
    const killed = spawn(() => {
      try {
        accounts.findOne(slow);
      } finally {
        cleaned = true;
      }
    });
    const found = await spawn(() => accounts.findOne({ _id: "a" }));
    expect([found, killed.dead]).toEqual([{ _id: "a", cents: 1 }, false]);
    killed.kill();
    expect([await killed, cleaned]).toEqual([expect.any(FiberExit), true]);
    expect(await spawn(() => withTimeout(20, () => accounts.findOne(slow), "too late"))).toBe("too late");
    expect(await spawn(() => accounts.countDocuments({}))).toBe(1);
  });
});

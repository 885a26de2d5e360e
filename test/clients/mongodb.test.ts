import { types } from "node:util";
import { MongoClient, type Collection as RawCollection } from "mongodb";
import { type Blocking, blocking, FiberExit, spawn, wait, withTimeout } from "runtime";
import { afterEach, beforeEach, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { MongoServer } from "../support/mongo";
import { until } from "../support/turns";

interface Account {
  _id: string;
  cents: number;
}

const MAX = 10;

// The driver is the real one, on real sockets; its server is a stand-in.
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

  const fill = (count: number) =>
    accounts.insertMany(Array.from({ length: count }, (_, i) => ({ _id: `${i}`, cents: i })));

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
      fill(250);
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

  it("throws the server's errors where they were called for, and goes on", async () => {
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

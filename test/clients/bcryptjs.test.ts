// bcryptjs, whose hashSync computes for a while: in a thread of its own, and offloaded.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { offload, sleep, spawn, ThreadPool, threaded } from "runtime";
import { afterAll, describe, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";

const location = createRequire(__filename).resolve("bcryptjs");
const bcrypt = threaded<typeof import("bcryptjs")>(location);
afterAll(() => {
  bcrypt[Symbol.dispose]();
  ThreadPool.shared.kill();
});

describe("bcryptjs", () => {
  it("in a thread: hashes and compares", () => {
    const hash = bcrypt.hashSync("secret", 4);
    expect(hash).toMatch(/^\$2b\$04\$/);
    expect([bcrypt.compareSync("secret", hash), bcrypt.compareSync("wrong", hash), bcrypt.getRounds(hash)]).toEqual([
      true,
      false,
      4,
    ]);
  });

  it("in a thread: what it throws", () => {
    expect(() => bcrypt.hashSync(1 as never, 4)).toThrow("Illegal arguments: number, string");
  });

  it("in a thread: its promises are waited for, its callbacks are called", async () => {
    expect(bcrypt.hash("secret", 4)).toMatch(/^\$2b\$04\$/);
    const hash = await new Promise((resolve, reject) => {
      bcrypt.hash("secret", 4, (error: Error | null, hash?: string) => (error ? reject(error) : resolve(hash)));
    });
    expect(hash).toMatch(/^\$2b\$04\$/);
  });

  it("offloaded: one of the module's functions", async () => {
    expect(await ThreadPool.shared.spawn(location, ["secret", 4], { name: "hashSync" })).toMatch(/^\$2b\$04\$/);
    expect(await ThreadPool.shared.spawn(pathToFileURL(location), ["secret", 4], { name: "hashSync" })).toMatch(
      /^\$2b/,
    );
  });
});

describeFibers("bcryptjs, in fibers", () => {
  it.each([
    ["in a thread", () => bcrypt.hashSync("secret", 10)],
    ["offloaded", () => offload(location, ["secret", 10], { name: "hashSync" })],
  ])("%s: others go on meanwhile", async (_, hash) => {
    let turns = 0;
    const hashing = spawn(hash);
    const other = spawn(() => {
      while (!hashing.dead) {
        sleep(1);
        turns++;
      }
    });
    expect(await hashing).toMatch(/^\$2b\$10\$/);
    await other;
    expect(turns).toBeGreaterThan(1);
  });
});

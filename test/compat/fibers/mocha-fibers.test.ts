// Tests and hooks of Mocha in fibers, run by Mocha's own command: by mocha-fibers; and by themselves, under the patch.
import path from "node:path";
import { expect, it } from "vitest";
import { run } from "../../support/run";
import { describeWithPackages } from "./support";

const spec = `
  const assert = require("assert");
  const Future = require("fibers/future");
  const fs = Future.wrap(require("fs"));
  const later = (value) => Future.fromPromise(new Promise((resolve) => setTimeout(resolve, 1, value)));
  describe("a suite", () => {
    const seen = [];
    before(() => { seen.push(later("before").wait()); });
    beforeEach(() => { seen.push(later("before each").wait()); });
    after(() => { assert.deepStrictEqual(seen, later(["before", "before each", "before each", "before each"]).wait()); });
    it("waits", () => { assert(fs.readFileFuture(__filename, "utf8").wait().includes("a suite")); });
    it("calls back", (done) => { assert.strictEqual(later(1).wait(), 1); setTimeout(done, 1); });
    it("fails after it has waited", () => { assert.strictEqual(later(1).wait(), 2); });
    it.skip("is skipped", () => { throw new Error("no"); });
  });`;

const plain = `
  const { sleep, wait } = require("runtime");
  const http = require("http");
  const assert = require("assert");
  describe("a suite", () => {
    let server;
    before(() => { server = http.createServer((req, res) => { sleep(2); res.end("hello"); }); server.listenSync(0); });
    after(() => { server.closeAllConnections(); server.close(); });
    beforeEach(() => sleep(1));
    it("waits", () => assert.strictEqual(fetchSync("http://127.0.0.1:" + server.address().port).textSync(), "hello"));
    it("calls back", (done) => { sleep(1); done(); });
    it("is asynchronous", async () => { await 1; });
    it("waits again", () => assert.throws(() => wait(Promise.reject(new Error("no"))), /^Error: no$/));
    it("fails after it has waited", () => { sleep(1); assert.strictEqual(1, 2); });
    it("takes too long", function () { this.timeout(20); sleep(60); });
  });`;

const packages = { mocha: "^10.8.2", "mocha-fibers": "1.1.1" };

await describeWithPackages("mocha-fibers", "mocha-fibers", packages, (modules) => {
  it("waits in tests and hooks, and tells which of them fail", async () => {
    const command = [path.join(modules, "mocha/bin/mocha.js"), "--ui", path.join(modules, "mocha-fibers")];
    const flags = ["--require", "runtime/patch", ...command, "--reporter", "json"];
    const { stdout } = await run(spec, { name: "spec.js", flags });
    const titles = (kind: { title: string }[]) => kind.map(({ title }) => title);
    const { passes, failures, pending } = JSON.parse(stdout);
    expect([titles(passes), titles(failures), titles(pending)]).toEqual([
      ["waits", "calls back"],
      ["fails after it has waited"],
      ["is skipped"],
    ]);
  });

  it("are in fibers without that, too: Mocha calls them from an immediate", async () => {
    const flags = [
      path.join(modules, "mocha/bin/mocha.js"),
      "--node-option",
      "require=runtime/patch",
      "--reporter",
      "json",
    ];
    const { stdout } = await run(plain, { name: "spec.js", flags });
    const titles = (kind: { title: string }[]) => kind.map(({ title }) => title);
    const { passes, failures } = JSON.parse(stdout);
    expect([titles(passes), titles(failures)]).toEqual([
      ["waits", "calls back", "is asynchronous", "waits again"],
      ["fails after it has waited", "takes too long"],
    ]);
  });
});

import { isBuiltin } from "node:module";
import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

const exists = isBuiltin("node:sqlite"); // from Node 22 on
if (!exists) console.log("node:sqlite: skipped, this Node has none");

/** Three fibers, of which two use one statement, whose function blocks in the middle of it. */
const program = `
  const seen = new Set();
  const slow = (value) => {
    try { sleep(2); seen.add("suspended"); } catch (error) { seen.add(error.code); }
    readFileSync(process.execPath.slice(0, 1) + "etc/hosts");
    return value;
  };
  const rows = (statement) => [...statement].map(({ y }) => y).join("");
  const query = "select slow(x) as y from t";
  function begin(db) {
    db.exec("create table t(x)");
    for (let i = 0; i < 5; i++) db.prepare("insert into t values (?)").run(i);
    db.function("slow", slow);
  }
  async function cross(...queries) {
    const results = await Promise.all(queries.map((one) => spawn(() => rows(one()))));
    console.log(...results, ...seen);
  }`;
const all = printing("01234 01234 01234 ERR_CANNOT_SUSPEND");

describeFibers("node:sqlite", () => {
  const inCommonJs = `
    const { DatabaseSync } = require("node:sqlite");
    require("runtime/patch");
    const { readFileSync } = require("node:fs");
    const { sleep, spawn } = require("runtime");${program}`;
  const flags = ["--no-warnings"];

  it.runIf(exists)("lets nobody into a statement that calls a function", async () => {
    const text = `${inCommonJs}
      const db = new DatabaseSync(":memory:");
      begin(db);
      const shared = db.prepare(query);
      cross(() => shared.all(), () => shared.all(), () => db.prepare(query).all());`;
    expect(await run(text, { flags })).toEqual(all);
  });

  it.runIf(exists)("nor into a step of an iteration; between steps, a fiber may suspend", async () => {
    const text = `${inCommonJs}
      const db = new DatabaseSync(":memory:");
      begin(db);
      const slowly = function* (statement) {
        for (const row of statement.iterate()) { sleep(1); yield row; }
      };
      cross(...[1, 2, 3].map(() => () => slowly(db.prepare(query))));`;
    expect(await run(text, { flags })).toEqual(all);
  });

  it.runIf(exists)("nor where it is written as a template", async () => {
    const text = `${inCommonJs}
      const db = new DatabaseSync(":memory:");
      begin(db);
      const sql = db.createTagStore?.();
      if (sql) cross(() => sql.all\`select slow(x) as y from t\`, () => sql.iterate\`select slow(x) as y from t where 1\`, () => db.prepare(query).all());
      else console.log(${JSON.stringify(all.stdout.trim())});`;
    expect(await run(text, { flags })).toEqual(all);
  });

  it.runIf(exists).each([
    ["a static import", `import { DatabaseSync } from "node:sqlite"; const got = () => DatabaseSync;`],
    ["import() in a fiber", `const got = () => wait(import("node:sqlite")).DatabaseSync;`],
    ["require in a fiber", `const got = () => createRequire(import.meta.url)("node:sqlite").DatabaseSync;`],
    ["process.getBuiltinModule", `const got = () => process.getBuiltinModule("node:sqlite").DatabaseSync;`],
  ])("so, too, where it came by %s", async (_, get) => {
    const text = `
      import "runtime/patch";
      import { readFileSync } from "node:fs";
      import { createRequire } from "node:module";
      import { sleep, spawn, wait } from "runtime";
      ${get}${program}
      spawn(() => {
        const Database = got();
        const db = new Database(":memory:");
        begin(db);
        const other = spawn(() => rows(db.prepare(query).all()));
        console.log(rows(db.prepare(query).all()), other.get(), rows(db.prepare(query).all()), ...seen);
      });`;
    expect(await run(text, { flags, name: "program.mjs" })).toEqual(all);
  });
});

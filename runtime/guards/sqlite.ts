// SQLite, which calls back functions of the program's own from within a statement: node:sqlite, and transactions of
// better-sqlite3.
//
// Who suspends in such a function leaves a statement in the middle of a step, and the next fiber that carries it out takes
// rows from the other's result. In the function of a transaction, all that others write meanwhile would belong to it,
// and be rolled back with it. (The functions of an addon have a guard of their own, addons.ts.)
import { noticeLoads, onceLoaded } from "../builtins";
import { inOneGo } from "../coroutine";
import { type AnyFunction, disguise, replace } from "../disguise";
import { guardPrototype } from "./addons";

const transaction = /[\\/]node_modules[\\/]better-sqlite3[\\/]lib[\\/]methods[\\/]transaction\.js$/;

export function guardSqlite(): void {
  onceLoaded("sqlite", guardNodes);
  replace(
    process,
    "getBuiltinModule",
    (get) =>
      function (this: unknown, ...args: unknown[]) {
        const module = Reflect.apply(get, this, args);
        noticeLoads();
        return module;
      },
  );
}

/** What carries out statements, by an example of each: not all of their classes are exported. */
function guardNodes(): void {
  const { DatabaseSync } = require("node:sqlite") as { DatabaseSync: new (location: string) => Database };
  const database = new DatabaseSync(":memory:");
  const statement = database.prepare("select 1");
  for (const object of [database, statement, statement.iterate()]) guardPrototype(Object.getPrototypeOf(object));
  // Of later versions; each has a prototype of its own.
  replace(
    Object.getPrototypeOf(database),
    "createTagStore",
    (create) =>
      function (this: unknown, ...args: unknown[]) {
        const store = Reflect.apply(create, this, args);
        guardPrototype(Object.getPrototypeOf(store));
        return store;
      },
  );
  database.close();
}

interface Database {
  prepare(text: string): { iterate(): object };
  close(): void;
}

/** Replaces what a module exports that has been loaded, if it is the one that makes transactions. */
export function guardTransactions(module: NodeJS.Module): void {
  if (!transaction.test(module.filename)) return;
  const original = module.exports as AnyFunction;
  module.exports = disguise(function (this: unknown, ...args: unknown[]) {
    const [fn, ...rest] = args;
    const whole = typeof fn === "function" ? inOneGo(fn as AnyFunction, "inside a transaction of better-sqlite3") : fn;
    return Reflect.apply(original, this, [whole, ...rest]);
  }, original);
}

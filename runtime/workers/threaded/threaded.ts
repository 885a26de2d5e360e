// threaded(): native libraries that block their thread, in a thread where that does not matter. (eventlet: `tpool.Proxy`)
import type { Blocking } from "../../blocking";
import { moduleUrl } from "../module-url";
import { Link } from "./link";

/** The type of `threaded<Exports>(module)`: as `Blocking`, and to be disposed of. */
export type Threaded<Exports> = Blocking<Exports> & Disposable;

/**
 * Loads a module in a thread of its own: as `require` or `import` do, but what it exports lives there, and whatever is done
 * with it, is done there, while the fiber that does it is suspended. For native libraries whose calls block, such as
 * databases in the process and password hashes.
 *
 *     const Database = threaded(require.resolve("better-sqlite3"));     // or: { default: Database } = threaded(import.meta.resolve(…))
 *     const db = new Database("app.db");
 *     spawn(() => {
 *       const insert = db.prepare("insert into log values (?)");
 *       db.transaction((lines) => { for (const line of lines) insert.run(line); })(lines);
 *     });
 *
 * **Objects stay there, data comes back**: functions, classes, instances of classes with methods or getters, iterators,
 * generators and objects made of functions come as proxies; primitive values, plain objects, arrays, Buffers, dates, errors
 * and the like as copies (what `blocking` takes for data). The same object has the same proxy; one that nobody has any more is
 * let go there, too. Calling, constructing, reading and setting properties, `in`, `delete`, `Object.keys`, `instanceof` and
 * `for of` work, each with a trip to the thread; calling a method of a class takes one trip. Promises are waited for,
 * asynchronous iterables can be iterated over by `for of`.
 *
 * **Functions that are passed** are called here: by the fiber that has made the call, if they are called during it (the thread
 * waits for what they return; they may block, and use the thread's objects), or else as listeners are, in a fiber of their own
 * (nothing is returned then). What they throw comes back as the very same error.
 *
 * **One thing at a time**: the thread does what fibers ask of it in order. While it waits for such a function, only what
 * that asks for. A fiber that is killed leaves at once; what it has asked for is done nevertheless, and its result dropped.
 *
 * Out of a fiber, and where there are none, this thread sleeps until it is done, as it would if the library were here.
 *
 * The thread does not keep the process alive. It ends with `[Symbol.dispose]()` of what this returns, or when nobody has any
 * of its objects. If it dies, what is asked of its objects fails with ERR_THREAD_LOST.
 *
 * @param module a URL, or an absolute path: CommonJS, an ES module or TypeScript
 * @returns the exports of an ES module; of CommonJS `module.exports`, which is its `default`, too
 * @throws what loading it throws; ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE
 * @example const bcrypt = threaded<typeof import("bcryptjs")>(require.resolve("bcryptjs")); bcrypt.hashSync("secret", 12);
 */
// biome-ignore lint/suspicious/noExplicitAny: nobody can tell what a module exports
export function threaded<Exports = any>(module: URL | string): Threaded<Exports> {
  const link = new Link(moduleUrl(module, "module"));
  try {
    return link.perform({ does: "load", object: 0 }) as Threaded<Exports>;
  } finally {
    link.endIfUnused(); // it has failed, or the module is nothing but data
  }
}

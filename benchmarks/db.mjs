// Queries: many fibers that each wait for theirs, beside promises, on a real server.
import { database, missingDatabase, withDatabase } from "./harness/database.mjs";
import { cores, missing, patch, program, python } from "./harness/machine.mjs";
import { figuresFrom } from "./harness/process.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

export default {
  name: "db",
  title: `${database()?.name ?? "PostgreSQL"}: 100 fibers that query by way of 20 connections`,
  left: missingDatabase,
  contestants({ quick }) {
    const run = (...command) =>
      withDatabase((directory) =>
        figuresFrom([...command, directory, "100", quick ? "3000" : "30000"], { core: cores()?.load }),
      );
    const [node, pg] = [process.execPath, missing.npm("pg")];
    return [
      { name: "runtime", left: pg, measure: () => run(node, "--require", patch, program("ours/db.cjs")) },
      { name: "async/await", peer: "async", left: pg, measure: () => run(node, program("peers/db.cjs")) },
      {
        name: "gevent",
        peer: "gevent",
        left: missing.psycopg(),
        measure: () => run(python().command, program("peers/db.py")),
      },
    ];
  },
  rows: [
    { key: "perSecond", what: "queries/s", peer: "async/await", compare: timesAsMuch },
    { key: "cpu", what: "client's processor time a query (us)", peer: "async/await", compare: timesAsMuch },
  ],
};

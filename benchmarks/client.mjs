// HTTP requests: many fibers that each wait for theirs, beside promises.
import { cores, missing, patch, program } from "./harness/machine.mjs";
import { figuresFrom, withServer } from "./harness/process.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

const CONCURRENT = 200;

export default {
  name: "client",
  title: "HTTP client, 200 requests at a time",
  left: () => missing.npm("undici"),
  contestants({ quick }) {
    const bound = cores();
    const run = (...command) =>
      withServer([process.execPath, program("peers/hello.cjs")], { core: bound?.server }, ({ port }) =>
        figuresFrom([process.execPath, ...command, String(port), String(CONCURRENT), quick ? "10000" : "30000"], {
          core: bound?.load,
        }),
      );
    return [
      { name: "runtime", measure: () => run("--require", patch, program("ours/client.cjs")) },
      { name: "promises", peer: "async", measure: () => run(program("peers/client.cjs")) },
    ];
  },
  rows: [
    { key: "http", what: "http, requests/s", peer: "promises", compare: timesAsMuch, atLeast: 0.85 },
    { key: "undici", what: "undici, requests/s", peer: "promises", compare: timesAsMuch, atLeast: 0.85 },
  ],
};

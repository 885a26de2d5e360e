// Blocking calls out of a fiber, which go to the park worker by synckit, beside a function that synckit makes.
import { program } from "./harness/machine.mjs";
import { figuresFrom, withServer } from "./harness/process.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

export default {
  name: "park",
  title: "Parked calls: a thread sleeps while its worker does the work",
  contestants({ quick }) {
    const run = (name) => () =>
      withServer([process.execPath, program("peers/bytes.cjs")], {}, ({ port }) =>
        figuresFrom([process.execPath, program(name), String(port), quick ? "5" : "20"]),
      );
    return [
      { name: "runtime", measure: run("ours/park.cjs") },
      { name: "synckit", peer: "synckit", measure: run("peers/park.cjs") },
    ];
  },
  rows: [
    { key: "trip", what: "there and back, nothing done (us)", peer: "synckit", compare: timesAsMuch, atMost: 1.3 },
    { key: "lookup", what: "dns.lookup of an address (us)", peer: "synckit", compare: timesAsMuch, atMost: 1.3 },
    { key: "get", what: "HTTP GET of 16 MiB (ms)", peer: "synckit", compare: timesAsMuch, atMost: 1 },
    { key: "post", what: "HTTP POST of 16 MiB (ms)", peer: "synckit", compare: timesAsMuch, atMost: 1 },
  ],
};

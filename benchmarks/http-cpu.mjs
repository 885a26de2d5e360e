// A handler that computes, in one process and in two: `runtime serve --workers N`.
import { loadServer } from "./harness/load.mjs";
import { command, missing, program } from "./harness/machine.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

export default {
  name: "http-cpu",
  title: "HTTP, the handler hashes 1 MiB, 16 connections; the load shares the cores",
  left: missing.load,
  contestants({ quick, duration }) {
    const seconds = duration ?? (quick ? 1 : 6);
    const load = { connections: 16, shared: true, seconds, warmUp: Math.min(seconds, 2) };
    const run = (workers) =>
      loadServer(
        [process.execPath, command, "serve", "--port", "0", "--workers", workers, program("ours/hash.cjs")],
        load,
      );
    return [
      { name: "2 workers", measure: () => run("2") },
      { name: "1 worker", measure: () => run("1") },
    ];
  },
  rows: [
    { key: "perSecond", what: "requests/s", peer: "1 worker", compare: timesAsMuch, atLeast: 1.6 },
    { key: "cores", what: "cores that the server has used", peer: "1 worker", compare: timesAsMuch },
  ],
};

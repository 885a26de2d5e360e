// Many requests that wait at once: what fibers are for.
import { loadServer } from "./harness/load.mjs";
import { goBinary, missing, patch, program, python } from "./harness/machine.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

export default {
  name: "http-sleep",
  title: "HTTP, the handler sleeps 20 ms, 5,000 connections",
  contestants({ quick }) {
    const load = quick ? { connections: 5000, seconds: 3, warmUp: 3 } : { connections: 5000, seconds: 8, warmUp: 4 };
    const run = (...command) => loadServer(command, load);
    return [
      { name: "runtime", measure: () => run(process.execPath, "--require", patch, program("ours/sleep.cjs")) },
      { name: "async/await", measure: () => run(process.execPath, program("peers/sleep-async.cjs")) },
      {
        name: "gevent",
        left: missing.python(),
        measure: () => run(python().command, program("peers/sleep-gevent.py")),
      },
      { name: "Go", left: missing.go(), measure: () => run(goBinary("peers/sleep.go")) },
    ];
  },
  rows: [
    { key: "perSecond", what: "requests/s", peer: "async/await", compare: timesAsMuch, atLeast: 0.85 },
    { key: "cpu", what: "server's processor time a request (us)", peer: "async/await", compare: timesAsMuch },
  ],
};

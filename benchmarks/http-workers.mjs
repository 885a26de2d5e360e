// A blocking handler in threads, in fibers, and the same written asynchronously.
import { atEach, loadOf, loadRows, loadServer, rowsAtEach } from "./harness/load.mjs";
import { gunicornApp, missing, patch, program, python } from "./harness/machine.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

const loadFor = (options) => loadOf(options, { connections: [200, 1000], seconds: 6, warmUp: 5, answer: "hello\n" });

export default {
  name: "http-workers",
  title: "HTTP, the handler sleeps 20 ms, in at most 64 threads (3,200 requests/s, that is)",
  left: missing.load,
  rounds: 3,
  contestants(options) {
    const run = (...command) => atEach(loadFor(options), (load) => loadServer(command, load));
    return [
      { name: "workers", measure: () => run(process.execPath, program("ours/sleep-workers.cjs")) },
      { name: "fibers", measure: () => run(process.execPath, "--require", patch, program("ours/sleep.cjs")) },
      { name: "async/await", peer: "async", measure: () => run(process.execPath, program("peers/sleep-async.cjs")) },
      {
        name: "gevent",
        peer: "gevent",
        left: missing.python(),
        measure: () => run(python().command, program("peers/sleep-gevent.py")),
      },
      {
        name: "gunicorn, threads",
        peer: "gunicorn",
        left: missing.gunicorn(),
        measure: () => run(...gunicornApp("peers/sleep-gunicorn.py")),
      },
    ];
  },
  rows: (options) =>
    rowsAtEach(loadFor(options), () => [
      { key: "perSecond", what: "requests/s", peer: "fibers", compare: timesAsMuch },
      { key: "cpu", what: "server's processor time a request (us)" },
      ...loadRows.latency,
      loadRows.memory,
    ]),
};

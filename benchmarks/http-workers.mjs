// A blocking handler in threads, in fibers, and the same written asynchronously.
import path from "node:path";
import { loadServer } from "./harness/load.mjs";
import { gunicorn, missing, patch, program, python } from "./harness/machine.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

const numbers = [200, 1000];

export default {
  name: "http-workers",
  title: "HTTP, the handler sleeps 20 ms, in at most 64 threads (3,200 requests/s, that is)",
  contestants({ quick }) {
    const measure =
      (...command) =>
      async () => {
        const figures = {};
        for (const connections of numbers) {
          const load = { connections, ...(quick ? { seconds: 3, warmUp: 3 } : { seconds: 8, warmUp: 5 }) };
          const { perSecond, cpu, memory } = await loadServer(command, load);
          Object.assign(figures, {
            [`rate${connections}`]: perSecond,
            [`cpu${connections}`]: cpu,
            [`memory${connections}`]: memory,
          });
        }
        return figures;
      };
    return [
      { name: "workers", measure: measure(process.execPath, program("ours/sleep-workers.cjs")) },
      { name: "fibers", measure: measure(process.execPath, "--require", patch, program("ours/sleep.cjs")) },
      { name: "async/await", measure: measure(process.execPath, program("peers/sleep-async.cjs")) },
      {
        name: "gevent",
        left: missing.python(),
        measure: () => measure(python().command, program("peers/sleep-gevent.py"))(),
      },
      {
        name: "gunicorn, threads",
        left: missing.gunicorn(),
        measure: () => {
          const file = program("peers/sleep-gunicorn.py");
          const found = ["--chdir", path.dirname(file), "sleep-gunicorn:application"];
          return measure(gunicorn().command, "--config", file, ...found)();
        },
      },
    ];
  },
  rows: numbers.flatMap((connections) => [
    { key: `rate${connections}`, what: `${connections} connections: requests/s`, peer: "fibers", compare: timesAsMuch },
    { key: `cpu${connections}`, what: `${connections} connections: server's processor time a request (us)` },
    { key: `memory${connections}`, what: `${connections} connections: server's resident memory (MiB)` },
  ]),
};

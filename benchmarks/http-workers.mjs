// A blocking handler in threads, in fibers, and the same written asynchronously.
import { loadServer } from "./harness/load.mjs";
import { missing, patch, program, python } from "./harness/machine.mjs";
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
    ];
  },
  rows: numbers.flatMap((connections) => [
    { key: `rate${connections}`, what: `${connections} connections: requests/s`, peer: "fibers", compare: timesAsMuch },
    { key: `cpu${connections}`, what: `${connections} connections: server's processor time a request (us)` },
    { key: `memory${connections}`, what: `${connections} connections: server's resident memory (MiB)` },
  ]),
};

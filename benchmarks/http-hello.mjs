// What a fiber for every request costs, where the handler does nothing.
import { atEach, loadOf, loadRows, loadServer, rowsAtEach } from "./harness/load.mjs";
import { missing, patch, program } from "./harness/machine.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

const loadFor = (options) =>
  loadOf(options, { connections: [50, 500, 5000], seconds: 4, warmUp: 2, answer: "hello\n" });
const beside = { peer: "without the patch", compare: timesAsMuch };

export default {
  name: "http-hello",
  title: 'HTTP "hello"',
  left: missing.load,
  rounds: 3,
  contestants(options) {
    const run = (...command) => atEach(loadFor(options), (load) => loadServer([process.execPath, ...command], load));
    const server = program("peers/hello.cjs");
    return [
      { name: "runtime", measure: () => run("--require", patch, server) },
      { name: "without the patch", peer: "callbacks", measure: () => run(server) },
    ];
  },
  rows: (options) =>
    rowsAtEach(loadFor(options), () => [
      { key: "perSecond", what: "requests/s", ...beside, atLeast: 0.9 },
      { key: "cpu", what: "server's processor time a request (us)", ...beside },
      ...loadRows.latency,
    ]),
};

// A handler that reads a file for each request.
import { writeFileSync } from "node:fs";
import { atEach, loadOf, loadRows, loadServer, rowsAtEach } from "./harness/load.mjs";
import { missing, patch, program, temporary } from "./harness/machine.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

const answer = "0123456789abcde\n".repeat(128);
const loadFor = (options) => loadOf(options, { connections: [50, 500, 5000], seconds: 4, warmUp: 2, answer });
const beside = { peer: "async/await", compare: timesAsMuch };

export default {
  name: "http-file",
  title: "HTTP, the handler reads a file of 2 KiB",
  left: missing.load,
  rounds: 3,
  contestants(options) {
    const run = (...command) => {
      const file = temporary("file.txt");
      writeFileSync(file, answer);
      return atEach(loadFor(options), (load) => loadServer([process.execPath, ...command, file], load));
    };
    return [
      { name: "runtime", measure: () => run("--require", patch, program("peers/file.cjs")) },
      { name: "async/await", peer: "async", measure: () => run(program("peers/file-async.cjs")) },
      { name: "callbacks", peer: "callbacks", measure: () => run(program("peers/file-callbacks.cjs")) },
      { name: "blocking node", peer: "node", measure: () => run(program("peers/file.cjs")) },
    ];
  },
  rows: (options) =>
    rowsAtEach(loadFor(options), () => [
      { key: "perSecond", what: "requests/s", ...beside },
      { key: "cpu", what: "server's processor time a request (us)", ...beside },
      ...loadRows.latency,
    ]),
};

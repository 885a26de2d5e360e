// A handler that asks another server, twice, and puts what it hears into a template: what a web application does.
import { atEach, loadOf, loadRows, loadServer, rowsAtEach } from "./harness/load.mjs";
import { cores, goBinary, missing, patch, program } from "./harness/machine.mjs";
import { withServer } from "./harness/process.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

const answer = `<!doctype html>\n<h1>hello</h1>\n<ul>\n${"<li>hello</li>\n".repeat(10)}</ul>\n`;
const loadFor = (options) => loadOf(options, { connections: [50, 500, 5000], seconds: 4, warmUp: 3, answer });
const beside = { peer: "async/await", compare: timesAsMuch };

export default {
  name: "http-upstream",
  title: "HTTP, the handler sends two requests to another server, one after the other, and fills a template",
  left: missing.load,
  rounds: 3,
  contestants(options) {
    // The other server is on the core of the load: it is the same for all, and no part of what is measured.
    const run = (...command) =>
      withServer([process.execPath, program("peers/hello.cjs")], { core: cores()?.load }, ({ port }) =>
        atEach(loadFor(options), (load) => loadServer([...command, String(port)], load)),
      );
    const node = process.execPath;
    return [
      { name: "runtime", measure: () => run(node, "--require", patch, program("ours/upstream.cjs")) },
      { name: "async/await", peer: "async", measure: () => run(node, program("peers/upstream-async.cjs")) },
      { name: "callbacks", peer: "callbacks", measure: () => run(node, program("peers/upstream-callbacks.cjs")) },
      { name: "Go", peer: "go", left: missing.go(), measure: () => run(goBinary("peers/upstream.go")) },
    ];
  },
  rows: (options) =>
    rowsAtEach(loadFor(options), () => [
      { key: "perSecond", what: "requests/s", ...beside },
      { key: "cpu", what: "server's processor time a request (us)", ...beside },
      ...loadRows.latency,
    ]),
};

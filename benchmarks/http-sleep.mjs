// Many requests that wait at once: what fibers are for.
import { atEach, loadOf, loadRows, loadServer, rowsAtEach } from "./harness/load.mjs";
import { eventlet, goBinary, gunicornApp, javaProgram, missing, patch, program, python } from "./harness/machine.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

const loadFor = (options) =>
  loadOf(options, { connections: [50, 500, 5000], seconds: 4, warmUp: 3, answer: "hello\n" });
const beside = { peer: "async/await", compare: timesAsMuch };

export default {
  name: "http-sleep",
  title: "HTTP, the handler sleeps 20 ms",
  left: missing.load,
  rounds: 3,
  contestants(options) {
    const run = (...command) => atEach(loadFor(options), (load) => loadServer(command, load));
    const node = (...args) => run(process.execPath, ...args);
    return [
      { name: "runtime", measure: () => node("--require", patch, program("ours/sleep.cjs")) },
      { name: "async/await", peer: "async", measure: () => node(program("peers/sleep-async.cjs")) },
      { name: "callbacks", peer: "callbacks", measure: () => node(program("peers/sleep-callbacks.cjs")) },
      { name: "plain Node", peer: "plain", measure: () => node(program("peers/sleep-blocking.cjs")) },
      {
        name: "synckit",
        peer: "synckit",
        left: missing.npm("synckit"),
        measure: () => node(program("peers/sleep-synckit.cjs")),
      },
      {
        name: "deasync",
        peer: "deasync",
        left: missing.npm("deasync"),
        measure: () => node(program("peers/sleep-deasync.cjs")),
      },
      {
        name: "gevent",
        peer: "gevent",
        left: missing.python(),
        measure: () => run(python().command, program("peers/sleep-gevent.py")),
      },
      {
        name: "gunicorn, gevent",
        peer: "gunicorn",
        left: missing.gunicorn() ?? missing.python(),
        measure: () =>
          run(...gunicornApp("peers/sleep-gunicorn.py", "--worker-class=gevent", "--worker-connections=10000")),
      },
      {
        name: "eventlet",
        peer: "eventlet",
        left: missing.eventlet(),
        measure: () => run(eventlet().command, program("peers/sleep-eventlet.py")),
      },
      { name: "Go", peer: "go", left: missing.go(), measure: () => run(goBinary("peers/sleep.go")) },
      {
        name: "Java, threads",
        peer: "java",
        left: missing.java(),
        measure: () => run(...javaProgram("peers/Sleep.java", "platform")),
      },
      {
        name: "Java, virtual threads",
        peer: "java-virtual",
        left: missing.virtualThreads(),
        measure: () => run(...javaProgram("peers/Sleep.java", "virtual")),
      },
    ];
  },
  rows: (options) =>
    rowsAtEach(loadFor(options), (count) => [
      { key: "perSecond", what: "requests/s", ...beside, atLeast: count === 5000 ? 0.85 : undefined },
      { key: "cpu", what: "server's processor time a request (us)", ...beside },
      ...loadRows.latency,
      loadRows.memory,
    ]),
};

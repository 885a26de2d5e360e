// Bytes there and back: a server with one fiber for each connection, beside one in callbacks.
import { atEach, loadEcho, loadOf, rowsAtEach } from "./harness/load.mjs";
import { goBinary, missing, patch, program, python } from "./harness/machine.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

const loadFor = (options) => loadOf(options, { connections: [100], seconds: 6, warmUp: 2 });

export default {
  name: "net",
  title: "TCP echo, 64 bytes",
  contestants(options) {
    const run = (...command) => atEach(loadFor(options), (load) => loadEcho(command, load));
    return [
      { name: "runtime", measure: () => run(process.execPath, "--require", patch, program("ours/echo.cjs")) },
      { name: "callbacks", peer: "callbacks", measure: () => run(process.execPath, program("peers/echo.cjs")) },
      {
        name: "gevent",
        peer: "gevent",
        left: missing.python(),
        measure: () => run(python().command, program("peers/echo.py")),
      },
      { name: "Go", peer: "go", left: missing.go(), measure: () => run(goBinary("peers/echo.go")) },
    ];
  },
  rows: (options) =>
    rowsAtEach(loadFor(options), () => [
      { key: "perSecond", what: "messages/s", peer: "callbacks", compare: timesAsMuch, atLeast: 0.85 },
      {
        key: "cpu",
        what: "server's processor time a message (us)",
        peer: "callbacks",
        compare: timesAsMuch,
      },
      { key: "perSecond", what: "messages/s", peer: "gevent", compare: timesAsMuch, atLeast: 4 },
    ]),
};

// Bytes there and back: a server with one fiber for each connection, beside one in callbacks.
import { loadEcho } from "./harness/load.mjs";
import { goBinary, missing, patch, program, python } from "./harness/machine.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

const rows = (peer, atLeast) => [
  { key: "perSecond", what: "messages/s", peer, compare: timesAsMuch, atLeast },
  { key: "cpu", what: "server's processor time a message (us)", peer, compare: timesAsMuch },
];

export default {
  name: "net",
  title: "TCP echo, 64 bytes, 100 connections",
  contestants({ quick }) {
    const load = { connections: 100, seconds: quick ? 2 : 6, warmUp: 2 };
    const run = (...command) => loadEcho(command, load);
    return [
      { name: "runtime", measure: () => run(process.execPath, "--require", patch, program("ours/echo.cjs")) },
      { name: "callbacks", measure: () => run(process.execPath, program("peers/echo.cjs")) },
      { name: "gevent", left: missing.python(), measure: () => run(python().command, program("peers/echo.py")) },
      { name: "Go", left: missing.go(), measure: () => run(goBinary("peers/echo.go")) },
    ];
  },
  rows: [...rows("callbacks", 0.85), rows("gevent", 4)[0]],
};

// What a fiber for every request costs, where the handler does nothing.
import { loadServer } from "./harness/load.mjs";
import { patch, program } from "./harness/machine.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

export default {
  name: "http-hello",
  title: 'HTTP "hello", 200 connections',
  contestants({ quick }) {
    const load = quick ? { connections: 200, seconds: 2, warmUp: 1 } : { connections: 200, seconds: 5, warmUp: 2 };
    const server = program("peers/hello.cjs");
    return [
      { name: "runtime", measure: () => loadServer([process.execPath, "--require", patch, server], load) },
      { name: "without the patch", measure: () => loadServer([process.execPath, server], load) },
    ];
  },
  rows: [
    { key: "perSecond", what: "requests/s", peer: "without the patch", compare: timesAsMuch, atLeast: 0.9 },
    { key: "cpu", what: "server's processor time a request (us)", peer: "without the patch", compare: timesAsMuch },
  ],
};

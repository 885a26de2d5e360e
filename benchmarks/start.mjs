// What the import costs a program at its start.
import { patch } from "./harness/machine.mjs";
import { durationOf } from "./harness/process.mjs";
import { more } from "./harness/rounds.mjs";

export default {
  name: "start",
  title: 'Start of a process that imports "runtime/patch"',
  rounds: 20,
  contestants: () => [
    { name: "runtime", measure: async () => ({ start: await durationOf([process.execPath, "-r", patch, "-e", "0"]) }) },
    {
      name: "bare node",
      peer: "node",
      measure: async () => ({ start: await durationOf([process.execPath, "-e", "0"]) }),
    },
  ],
  rows: [
    { key: "start", what: "from start to exit of `node -e 0` (ms)", peer: "bare node", compare: more, atMost: 25 },
  ],
};

// What it costs to start a fiber and wait for its end.
import { goBinary, missing, program, python } from "./harness/machine.mjs";
import { figuresFrom } from "./harness/process.mjs";
import { timesAsFast } from "./harness/rounds.mjs";

const reach = { peer: "gevent", compare: timesAsFast, atLeast: 10 };

export default {
  name: "spawn",
  title: "Spawn and join of an empty fiber",
  contestants: () => [
    { name: "runtime", measure: () => figuresFrom([process.execPath, program("ours/spawn.cjs")]) },
    {
      name: "gevent",
      peer: "gevent",
      left: missing.python(),
      measure: () => figuresFrom([python().command, program("peers/spawn.py")]),
    },
    { name: "Go", peer: "go", left: missing.go(), measure: () => figuresFrom([goBinary("peers/spawn.go")]) },
  ],
  rows: [
    { key: "single", what: "one after another (ns)", ...reach },
    { key: "batch", what: "each of 1,000 at a time (ns)", ...reach },
  ],
};

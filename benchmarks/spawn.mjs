// What it costs to start a fiber and wait for its end.
import { cores, eventlet, goBinary, javaProgram, missing, program, python } from "./harness/machine.mjs";
import { figuresFrom } from "./harness/process.mjs";
import { timesAsFast } from "./harness/rounds.mjs";

/** On one core: the system would spread its threads over all of them. */
const java = (kind) => figuresFrom(javaProgram("peers/Spawn.java", kind), { core: cores()?.server });

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
    {
      name: "eventlet",
      peer: "eventlet",
      left: missing.eventlet(),
      measure: () => figuresFrom([eventlet().command, program("peers/spawn-eventlet.py")]),
    },
    { name: "Go", peer: "go", left: missing.go(), measure: () => figuresFrom([goBinary("peers/spawn.go")]) },
    { name: "Java, threads", peer: "java", left: missing.java(), measure: () => java("platform") },
    {
      name: "Java, virtual threads",
      peer: "java-virtual",
      left: missing.virtualThreads(),
      measure: () => java("virtual"),
    },
  ],
  rows: [
    { key: "single", what: "one after another (ns)", ...reach },
    { key: "batch", what: "each of 1,000 at a time (ns)", ...reach },
  ],
};

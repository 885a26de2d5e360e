// Worker threads: what a trip to one and back costs, and what they are for, a second processor. Each figure is of the
// quickest of many short batches.
import { program } from "./harness/machine.mjs";
import { figuresFrom } from "./harness/process.mjs";
import { timesAsFast, timesAsMuch } from "./harness/rounds.mjs";

const node = (...args) => figuresFrom([process.execPath, ...args]);
const share = (quick) => (quick ? "0.1" : "1"); // of the batches

export default {
  name: "offload",
  title: "Worker threads: tasks that do nothing, and tasks that compute",
  contestants: ({ quick }) => [
    { name: "runtime", measure: () => node(program("ours/offload.cjs"), "2", share(quick)) },
    { name: "piscina", peer: "piscina", measure: () => node(program("peers/piscina.cjs"), "2", share(quick)) },
    { name: "runtime, 1 thread", measure: () => node(program("ours/offload.cjs"), "1", share(quick)) },
    { name: "runtime, in turns", measure: () => node(program("ours/offload-turns.cjs"), quick ? "40" : "400") },
  ],
  rows: [
    { key: "module", what: "a trip: a module's function (us)", peer: "piscina", compare: timesAsMuch, atMost: 1.2 },
    { key: "function", what: "a trip: a function sent as text (us)" },
    { key: "promise", what: "a trip: spawn, and await (us)" },
    {
      key: "bytes",
      what: "a trip with 1 MiB that is moved there and back (us)",
      peer: "piscina",
      compare: timesAsMuch,
      atMost: 1.2,
    },
    { key: "tripInTurns", what: "a trip, in turns with piscina's in one process, 1 thread each (times piscina's)" },
    { key: "burstInTurns", what: "200 tasks at once, likewise (times piscina's)" },
    { key: "awaitedInTurns", what: "a trip by spawn, and await, likewise (times piscina's)" },
    { key: "burst", what: "each of 200 tasks at once (us)", peer: "piscina", compare: timesAsMuch },
    { key: "compute", what: "each of 8 tasks that hash 16 MiB (ms)", peer: "piscina", compare: timesAsMuch },
    {
      key: "compute",
      what: "each of 8 tasks that hash 16 MiB (ms)",
      peer: "runtime, 1 thread",
      compare: timesAsFast,
      atLeast: 1.6,
    },
    { key: "method", what: "a method of a threaded object, in a fiber (us)" },
    { key: "parked", what: "a method of a threaded object, out of a fiber (us)" },
  ],
};

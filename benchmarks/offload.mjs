// Worker threads: what a trip to one and back costs, and what they are for, a second processor. Each figure is of the
// quickest of many short batches. Trips are on one core, where a thread follows upon the other: to wake another core takes
// several times as long as all the rest, or nothing, as the system pleases, and would hide what is to be seen.
import { cores, program } from "./harness/machine.mjs";
import { figuresFrom } from "./harness/process.mjs";
import { timesAsFast, timesAsMuch } from "./harness/rounds.mjs";

const share = (quick) => (quick ? "0.1" : "1"); // of the batches
const trips = (name, quick) =>
  figuresFrom([process.execPath, program(name), "trips", share(quick)], { core: cores()?.server });
const compute = (name, quick, threads) =>
  figuresFrom([process.execPath, program(name), "compute", share(quick), String(threads)]);

async function both(name, quick) {
  return { ...(await trips(name, quick)), ...(await compute(name, quick, 2)) };
}

const besidePiscina = { peer: "piscina", compare: timesAsMuch };

export default {
  name: "offload",
  title: "Worker threads: tasks that do nothing, on one core, and tasks that compute, on all",
  contestants: ({ quick }) => [
    { name: "runtime", measure: () => both("ours/offload.cjs", quick) },
    { name: "piscina", peer: "piscina", measure: () => both("peers/piscina.cjs", quick) },
    { name: "runtime, 1 thread", measure: () => compute("ours/offload.cjs", quick, 1) },
  ],
  rows: [
    { key: "module", what: "a trip: a module's function (us)", ...besidePiscina, atMost: 1.2 },
    { key: "promise", what: "a trip: spawn, and await (us)", ...besidePiscina },
    { key: "function", what: "a trip: a function sent as text (us)" },
    { key: "bytes", what: "a trip with 1 MiB that is moved there and back (us)", ...besidePiscina, atMost: 1.2 },
    { key: "burst", what: "each of 200 tasks at once (us)", ...besidePiscina },
    { key: "method", what: "a method of a threaded object, in a fiber (us)" },
    { key: "parked", what: "a method of a threaded object, out of a fiber (us)" },
    { key: "compute", what: "each of 8 tasks that hash 16 MiB, 2 threads (ms)", ...besidePiscina },
    {
      key: "compute",
      what: "each of 8 tasks that hash 16 MiB (ms)",
      peer: "runtime, 1 thread",
      compare: timesAsFast,
      atLeast: 1.6,
    },
  ],
};

// What the means cost by which fibers wait for each other.
import { goBinary, missing, program, python } from "./harness/machine.mjs";
import { figuresFrom } from "./harness/process.mjs";
import { timesAsFast } from "./harness/rounds.mjs";

const reach = { peer: "gevent", compare: timesAsFast, atLeast: 3 };

export default {
  name: "sync",
  title: "Events, queues, semaphores, pools, local values",
  contestants: () => [
    { name: "runtime", measure: () => figuresFrom([process.execPath, program("ours/sync.cjs")]) },
    {
      name: "gevent",
      peer: "gevent",
      left: missing.python(),
      measure: () => figuresFrom([python().command, program("peers/sync.py")]),
    },
    { name: "Go", peer: "go", left: missing.go(), measure: () => figuresFrom([goBinary("peers/sync.go")]) },
  ],
  rows: [
    { key: "event", what: "event: each of 1,000 waiters, from set() to the last one's run (ns)", ...reach },
    { key: "bounded", what: "queue of 10, 100 producers to 100 consumers: each item (ns)", ...reach },
    { key: "unbounded", what: "queue without a bound, 100 producers to 100 consumers: each item (ns)", ...reach },
    { key: "uncontended", what: "semaphore, alone: acquire and release (ns)", ...reach },
    { key: "contended", what: "semaphore, 100 fibers for one permit: acquire and release (ns)", ...reach },
    { key: "pool", what: "pool of 100, map: each of 10,000 items (ns)", ...reach },
    { key: "local", what: "fiber-local value: a look at it (ns)", ...reach },
  ],
};

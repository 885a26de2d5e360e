// A great many at once. A run in which they do not all end as they should is an error.

import { timesAsMuch } from "./harness/rounds.mjs";
import { suspended } from "./memory.mjs";

// Trying would take the last ones from all other programs, too.
const tooMany = "so many are more than a system usually allows (kernel.pid_max, vm.max_map_count)";
const beside = { peer: "gevent", compare: timesAsMuch };

export default {
  name: "many",
  title: "100,000 suspended fibers in one process (20,000 if quick)",
  rounds: 3,
  contestants({ quick }) {
    const { runtime, gevent, eventlet, go, java, javaVirtual } = suspended(quick ? 20_000 : 100_000);
    return [runtime, gevent, eventlet, go, { ...java, left: java.left ?? tooMany }, javaVirtual];
  },
  rows: [
    { key: "create", what: "to create, each (us)", ...beside },
    { key: "memory", what: "memory, each (KiB)", ...beside },
    { key: "end", what: "to wake and end, each (us)", ...beside },
  ],
};

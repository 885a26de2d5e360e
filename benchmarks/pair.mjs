// What it costs to leave a stack and come back.
import { goBinary, missing, program, python } from "./harness/machine.mjs";
import { figuresFrom } from "./harness/process.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

export default {
  name: "pair",
  title: "Switching stacks",
  contestants: () => [
    {
      name: "runtime",
      measure: async () => ({
        ...(await figuresFrom([process.execPath, program("ours/pair.cjs")])),
        ...(await figuresFrom([process.execPath, program("ours/handover.cjs")])),
      }),
    },
    {
      name: "greenlet",
      peer: "gevent",
      left: missing.python(),
      measure: () => figuresFrom([python().command, program("peers/switch.py")]),
    },
    { name: "Go", peer: "go", left: missing.go(), measure: () => figuresFrom([goBinary("peers/switch.go")]) },
  ],
  rows: [
    {
      key: "pair",
      what: "resume+suspend pair of a native stack (ns)",
      peer: "greenlet",
      compare: timesAsMuch,
      atMost: 1.2,
    },
    {
      key: "handover",
      what: "from fiber to fiber by way of the hub, sleep(0) (ns)",
      peer: "greenlet",
      compare: timesAsMuch,
    },
  ],
};

// What a suspended fiber holds on to.
import { goBinary, missing, program, python } from "./harness/machine.mjs";
import { figuresFrom } from "./harness/process.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

/** `count` of them at once, in each system. Also for many.mjs. */
export function suspended(count) {
  const node = [process.execPath, "--expose-gc"];
  return {
    runtime: {
      name: "runtime",
      measure: () => figuresFrom([...node, program("ours/memory.cjs"), String(count)]),
    },
    stack: {
      name: "its native stack",
      measure: () => figuresFrom([...node, program("ours/stack.cjs"), String(count)]),
    },
    gevent: {
      name: "gevent",
      peer: "gevent",
      left: missing.python(),
      measure: () => figuresFrom([python().command, program("peers/memory.py"), String(count)]),
    },
    go: {
      name: "Go",
      peer: "go",
      left: missing.go(),
      measure: () => figuresFrom([goBinary("peers/memory.go"), String(count)]),
    },
  };
}

export default {
  name: "memory",
  title: "Memory of a suspended fiber, 10,000 of them",
  contestants() {
    const { runtime, stack, gevent, go } = suspended(10_000);
    return [runtime, gevent, go, stack];
  },
  rows: [
    {
      key: "memory",
      what: "resident memory and page tables (KiB)",
      peer: "gevent",
      compare: timesAsMuch,
      atMost: 2,
    },
    { key: "stack", what: "of which the native stack (KiB)" },
  ],
};

// What a suspended fiber holds on to.
import { cores, eventlet, goBinary, javaProgram, missing, program, python } from "./harness/machine.mjs";
import { figuresFrom } from "./harness/process.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";
import { measureAlong, rowsAlong } from "./harness/series.mjs";

/** `count` of them at once, in each system. Also for many.mjs. */
export function suspended(count) {
  const node = [process.execPath, "--expose-gc"];
  // On one core: the system would spread its threads over all of them.
  const java = (kind) => figuresFrom(javaProgram("peers/Memory.java", kind, String(count)), { core: cores()?.server });
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
    eventlet: {
      name: "eventlet",
      peer: "eventlet",
      left: missing.eventlet(),
      measure: () => figuresFrom([eventlet().command, program("peers/memory-eventlet.py"), String(count)]),
    },
    go: {
      name: "Go",
      peer: "go",
      left: missing.go(),
      measure: () => figuresFrom([goBinary("peers/memory.go"), String(count)]),
    },
    java: { name: "Java, threads", peer: "java", left: missing.java(), measure: () => java("platform") },
    javaVirtual: {
      name: "Java, virtual threads",
      peer: "java-virtual",
      left: missing.virtualThreads(),
      measure: () => java("virtual"),
    },
  };
}

const countsFor = ({ quick }) => (quick ? [1000] : [10, 1000, 10_000]);

export default {
  name: "memory",
  title: "Suspended fibers: memory, and time to create and to end them",
  contestants(options) {
    const counts = countsFor(options);
    return Object.keys(suspended(0)).map((system) => ({
      ...suspended(0)[system],
      measure: () => measureAlong("fibers", counts, (count) => suspended(count)[system].measure()),
    }));
  },
  rows: (options) =>
    rowsAlong("fibers", countsFor(options), (count) => [
      {
        key: "memory",
        what: "resident memory and page tables of each (KiB)",
        peer: "gevent",
        compare: timesAsMuch,
        atMost: count === 10_000 ? 2 : undefined,
      },
      { key: "stack", what: "of which the native stack (KiB)" },
      { key: "create", what: "to create, each (us)", peer: "gevent", compare: timesAsMuch },
      { key: "end", what: "to wake and end, each (us)", peer: "gevent", compare: timesAsMuch },
    ]),
};

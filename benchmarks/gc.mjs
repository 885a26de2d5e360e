// V8 walks every suspended stack at each collection of the young generation, and its work grows with the fibers.
import { program } from "./harness/machine.mjs";
import { figuresFrom } from "./harness/process.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";

const semiSpaces = [16, 32, 64, 128]; // MiB; 16 is Node's default on 64 bits
const ours = (name, ...args) => figuresFrom([process.execPath, ...args.splice(1), program(`ours/${name}`), ...args[0]]);

export default {
  name: "gc",
  title: "Garbage collection beside suspended fibers",
  rounds: 3,
  contestants({ quick }) {
    const many = quick ? 1000 : 10_000;
    const collections = (fibers, depth) => ours("gc.cjs", [`${fibers}`, `${depth}`], "--expose-gc");
    const churn = (fibers, semiSpace) =>
      ours(
        "churn.cjs",
        [`${fibers}`, quick ? "0.2" : "2"],
        ...(semiSpace ? [`--max-semi-space-size=${semiSpace}`] : []),
      );
    return [
      { name: `${many} fibers`, measure: async () => ({ ...(await collections(many, 0)), ...(await churn(many)) }) },
      { name: "no fibers", measure: async () => ({ ...(await collections(0, 0)), ...(await churn(0)) }) },
      { name: `${many}, 20 frames deep`, measure: () => collections(many, 20) },
      ...semiSpaces.map((size) => ({ name: `${many}, ${size} MiB`, measure: () => churn(many, size) })),
    ];
  },
  rows: [
    { key: "scavenge", what: "a collection of the young generation (ms)", peer: "no fibers", compare: timesAsMuch },
    { key: "full", what: "a full collection (ms)", peer: "no fibers", compare: timesAsMuch },
    { key: "rate", what: "handlers that make 60 KB of garbage, /s", peer: "no fibers", compare: timesAsMuch },
    { key: "collections", what: "collections for 1,000 of them" },
    { key: "share", what: "of the time in collections (%)" },
  ],
};

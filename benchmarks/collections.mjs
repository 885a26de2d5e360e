// What a collection takes beside so many suspended fibers: V8 walks the stacks of all.
import { program } from "./harness/machine.mjs";
import { figuresFrom } from "./harness/process.mjs";
import { timesAsMuch } from "./harness/rounds.mjs";
import { measureAlong, rowsAlong } from "./harness/series.mjs";

const countsFor = ({ quick }) => (quick ? [10, 1000] : [10, 1000, 10_000, 100_000]);
const collections = (fibers) =>
  figuresFrom([process.execPath, "--expose-gc", program("ours/gc.cjs"), String(fibers), "0"]);
const beside = { peer: "no fibers", compare: timesAsMuch };

export default {
  name: "collections",
  title: "Garbage collections beside so many suspended fibers",
  rounds: 3,
  contestants(options) {
    const along = (measure) => () => measureAlong("fibers", countsFor(options), measure);
    return [
      { name: "runtime", measure: along(collections) },
      { name: "no fibers", measure: along(() => collections(0)) },
    ];
  },
  rows: (options) =>
    rowsAlong("fibers", countsFor(options), () => [
      { key: "scavenge", what: "a collection of the young generation (ms)", ...beside },
      { key: "full", what: "a full collection (ms)", ...beside },
    ]),
};

// Whole files: a small one that is in the page cache, a larger one, and a small one that is written.
import { patch, program } from "./harness/machine.mjs";
import { figuresFrom } from "./harness/process.mjs";
import { timesAsFast, timesAsMuch } from "./harness/rounds.mjs";

const runs = (quick) => (quick ? "1" : "7");

export default {
  name: "fs",
  title: "readFileSync of 2 KiB that are in the page cache, of 256 KiB, writeFileSync of 2 KiB",
  contestants: ({ quick }) => [
    {
      name: "runtime",
      measure: () => figuresFrom([process.execPath, "-r", patch, program("ours/read-file.cjs"), runs(quick)]),
    },
    {
      name: "plain node",
      peer: "node",
      measure: () => figuresFrom([process.execPath, program("peers/read-file.cjs"), runs(quick)]),
    },
    {
      name: "fs.promises",
      peer: "async",
      measure: () => figuresFrom([process.execPath, program("peers/read-file-promises.cjs"), runs(quick)]),
    },
  ],
  rows: [
    { key: "bytes", what: "as bytes (ns)", peer: "plain node", compare: timesAsMuch, atMost: 1.5 },
    { key: "text", what: "as text (ns)", peer: "plain node", compare: timesAsMuch, atMost: 1.5 },
    { key: "text", what: "as text (ns)", peer: "fs.promises", compare: timesAsFast, atLeast: 5 },
    { key: "large", what: "256 KiB (ns)", peer: "fs.promises", compare: timesAsFast, atLeast: 1 },
    { key: "write", what: "written (ns)", peer: "fs.promises", compare: timesAsFast, atLeast: 1 },
  ],
};

// Stack traces as people want them: without this package's own frames, which are the same in every one.
import path = require("node:path");

/** Where own frames come from: the bundle; or, under --enable-source-maps, what it was bundled from. */
const root = path.dirname(__dirname);
const own = [__dirname, ...["src", "runtime", "compat"].map((folder) => path.join(root, folder))].map(
  (folder) => folder + path.sep,
);

/**
 * A fiber's trace without the frames of this package; and without those that V8 adds for async functions: they
 * belong to what the hub does just now, not to the fiber.
 */
export function ownFrames(trace: string): string {
  return trace
    .split("\n")
    .filter((frame) => !frame.startsWith("    at async ") && !own.some((folder) => frame.includes(folder)))
    .join("\n");
}

/** The first frame of the program's own in a trace: "work (/app/work.js:12:9)". Empty if there is none. */
export function firstFrame(trace: string): string {
  const frames = trace.split("\n").map((frame) => frame.trim().replace(/^at /, ""));
  return frames.find((frame) => /:\d+:\d+\)?$/.test(frame) && !frame.includes("node:")) ?? "";
}

// Stack traces as people want them: without this package's own frames, which are the same in every one.

/** A trace, or what is left of it, without the frames of this package. */
export function ownFrames(trace: string): string {
  return trace
    .split("\n")
    .filter((frame) => !frame.includes(__dirname))
    .join("\n");
}

/** The first frame of the program's own in a trace: "work (/app/work.js:12:9)". Empty if there is none. */
export function firstFrame(trace: string): string {
  const frames = trace.split("\n").map((frame) => frame.trim().replace(/^at /, ""));
  return frames.find((frame) => /:\d+:\d+\)?$/.test(frame) && !frame.includes("node:")) ?? "";
}

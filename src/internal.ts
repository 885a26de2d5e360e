// For our own entry points and scripts.
export { patchedNames } from "../compat";
export { forbidFastCalls } from "../runtime/guards/fast-calls";
export { runFile, runFileOfNode, runGiven } from "./run";
export { createWorkersEngine, type WorkersEngine, type WorkersOptions } from "./server/workers";
export { runThread } from "./server/workers/inside";

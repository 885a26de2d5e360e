// For our own entry points and scripts.
export { patchedNames } from "../compat";
export { deasyncPackage, fibersPackage, futurePackage } from "../compat/fibers";
export { forbidFastCalls } from "../runtime/guards/fast-calls";
export { runFile, runFileOfNode, runGiven } from "./run";
export { settingsOf } from "./server/options";
export { supervise } from "./server/supervisor";
export { serveAsWorker } from "./server/worker";
export { createWorkersEngine, type WorkersEngine, type WorkersOptions } from "./server/workers";
export { runThread } from "./server/workers/inside";

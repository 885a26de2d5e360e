// For our own entry points and scripts.
export { patchedNames } from "../compat";
export { runFile, runFileOfNode, runGiven } from "./run";

import { pathToFileURL } from "node:url";

/**
 * `import()` of a file. From a file of its own (scripts/bundle.mjs): on Node 20, code whose compilation V8 has kept cannot
 * import.
 */
export function importFile(filename: string): Promise<unknown> {
  return require("./import.js")(pathToFileURL(filename).href);
}

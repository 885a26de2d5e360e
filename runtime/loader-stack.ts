// Node's module loader, as seen on the running stack.
import { pathToFileURL } from "node:url";
import { callSites } from "./call-sites";
import type { FiberRecord } from "./observe/record";

const COMMONJS_LOADER = "node:internal/modules/cjs/loader";
const ESM_LOADER = "node:internal/modules/esm/";
/** Evaluates CommonJS for ES modules that import it. */
const TRANSLATORS = `${ESM_LOADER}translators`;

/** The fiber that evaluates what the program's main module imports, if that is an ES module, until its own turn comes. */
export let importer: FiberRecord | null = null;
let mainUrl = "";

/**
 * Whether an ES module is being evaluated on the running stack, that of `record`, under a call of the CommonJS loader, or a
 * CommonJS module for an ES module that imports it. V8 aborts the process when one of these is evaluated anew in the middle
 * of its evaluation, as an import() that is under way could.
 */
export function insideEsModule(record: FiberRecord): boolean {
  const isLoading = record.loading > 0;
  const sites = callSites(insideEsModule, Number.POSITIVE_INFINITY);
  if (sites === undefined) return isLoading;
  const main = sites.findIndex((site) => site.getFileName() === __filename && site.getFunctionName() === loadMain.name);
  const above = main < 0 ? sites : sites.slice(0, main);
  if (above.some((site) => site.getFileName() === TRANSLATORS)) return true;
  if (record === importer && isInMain(above)) importer = null;
  return isLoading && isInEsm(above);
}

/** @param sites of what was called for the main module, which may be an ES module, and evaluated like one that is required */
function isInEsm(sites: NodeJS.CallSite[]): boolean {
  let first = sites.length - 1;
  while (first > 0 && !isCall(sites[first] as NodeJS.CallSite, sites[first - 1] as NodeJS.CallSite)) first--;
  if (first <= 0) return true; // it is on another stack, which this one is a part of
  return sites.slice(0, first).some((site) => site.getFileName()?.startsWith(ESM_LOADER));
}

/** Of Node's loader, by what stands in for one of its functions (guards/modules.ts; all of the package is in one file). */
function isCall(site: NodeJS.CallSite, callee: NodeJS.CallSite): boolean {
  return site.getFileName() === __filename && callee.getFileName() === COMMONJS_LOADER;
}

/** Whether the main module itself is being evaluated, so that all it imports has been. */
function isInMain(sites: NodeJS.CallSite[]): boolean {
  const names = sites.map((site) => site.getFileName());
  return names.findLast((name) => name !== COMMONJS_LOADER && !name?.startsWith(ESM_LOADER)) === mainUrl;
}

/** Calls a function of Node's loader for the main module. */
export function loadMain(load: (...args: unknown[]) => unknown, self: unknown, args: unknown[]): unknown {
  return Reflect.apply(load, self, args);
}

/** The same, in the fiber of `record`, for one that is an ES module. */
export function loadEsMain(
  record: FiberRecord,
  filename: string,
  load: (...args: unknown[]) => unknown,
  self: unknown,
  args: unknown[],
): unknown {
  importer = record;
  mainUrl = pathToFileURL(filename).href;
  try {
    return loadMain(load, self, args);
  } finally {
    importer = null;
  }
}

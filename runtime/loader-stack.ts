// Node's module loader, as seen on the running stack.
import { callSites } from "./call-sites";

const COMMONJS_LOADER = "node:internal/modules/cjs/loader";
const ESM_LOADER = "node:internal/modules/esm/";

/**
 * Whether an ES module is being evaluated under a call of the CommonJS loader. V8 aborts the process when one is
 * evaluated anew in the middle of its evaluation, as an import() that is under way could.
 */
export function insideEsModule(): boolean {
  const sites = callSites(insideEsModule, Number.POSITIVE_INFINITY);
  return sites === undefined || isInEsm(sites);
}

/** Whether there is one above the first call for a module other than the main one, which may be one itself. */
function isInEsm(sites: NodeJS.CallSite[]): boolean {
  const main = sites.findIndex((site) => site.getFileName() === __filename && site.getFunctionName() === loadMain.name);
  let first = (main < 0 ? sites.length : main) - 1;
  while (first > 0 && !isCall(sites[first] as NodeJS.CallSite, sites[first - 1] as NodeJS.CallSite)) first--;
  if (first <= 0) return true; // it is on another stack, which this one is a part of
  return sites.slice(0, first).some((site) => site.getFileName()?.startsWith(ESM_LOADER));
}

/** Of Node's loader, by what stands in for one of its functions (guards/modules.ts; all of the package is in one file). */
function isCall(site: NodeJS.CallSite, callee: NodeJS.CallSite): boolean {
  return site.getFileName() === __filename && callee.getFileName() === COMMONJS_LOADER;
}

/** Calls a function of Node's loader for the main module. */
export function loadMain(load: (...args: unknown[]) => unknown, self: unknown, args: unknown[]): unknown {
  return Reflect.apply(load, self, args);
}

// Node's module loader, as seen on the running stack.
const ESM_LOADER = "node:internal/modules/esm/";

/**
 * Whether an ES module is being evaluated under a call of the CommonJS loader. V8 aborts the process when one is
 * evaluated anew in the middle of its evaluation, as an import() that is under way could.
 */
export function insideEsModule(): boolean {
  const { stackTraceLimit } = Error;
  const prepare = Object.getOwnPropertyDescriptor(Error, "prepareStackTrace");
  let inside = true; // if the program does not let us look
  try {
    Error.stackTraceLimit = Number.POSITIVE_INFINITY;
    Error.prepareStackTrace = (_, sites) => sites;
    const here: { stack?: unknown } = {};
    Error.captureStackTrace(here, insideEsModule);
    inside = isInEsm(here.stack as NodeJS.CallSite[]);
  } catch {
    // A frozen Error, or a full stack.
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
    if (prepare) Object.defineProperty(Error, "prepareStackTrace", prepare);
    else Reflect.deleteProperty(Error, "prepareStackTrace");
  }
  return inside;
}

// The main module may be an ES module: what lies below the first call of the loader for another one does not count.
function isInEsm(sites: NodeJS.CallSite[]): boolean {
  let first = sites.length - 1;
  while (first >= 0 && !isInLoader(sites[first] as NodeJS.CallSite)) first--;
  if (first < 0) return true; // it is on the stack that this one is a part of
  return sites.slice(0, first).some((site) => site.getFileName()?.startsWith(ESM_LOADER));
}

function isInLoader(site: NodeJS.CallSite): boolean {
  return site.getFunctionName() === inLoader.name && site.getFileName() === __filename;
}

/** Calls `fn`, a part of Node's loader, so that it is seen on the stack. */
export function inLoader<T>(fn: () => T): T {
  return fn();
}

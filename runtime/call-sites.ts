// The running stack, as V8 knows it.

/** The frames above the innermost call of `callee`, innermost first; undefined if the program does not let us look. */
export function callSites(callee: (...args: never[]) => unknown, most: number): NodeJS.CallSite[] | undefined {
  const { stackTraceLimit } = Error;
  const prepare = Object.getOwnPropertyDescriptor(Error, "prepareStackTrace");
  try {
    Error.stackTraceLimit = most;
    Error.prepareStackTrace = (_, sites) => sites;
    const here: { stack?: unknown } = {};
    Error.captureStackTrace(here, callee);
    return here.stack as NodeJS.CallSite[];
  } catch {
    return undefined; // a frozen Error, or a full stack
  } finally {
    restore(stackTraceLimit, prepare);
  }
}

function restore(stackTraceLimit: number, prepare: PropertyDescriptor | undefined): void {
  try {
    Error.stackTraceLimit = stackTraceLimit;
    if (prepare) Object.defineProperty(Error, "prepareStackTrace", prepare);
    else Reflect.deleteProperty(Error, "prepareStackTrace");
  } catch {
    // frozen: nothing was changed
  }
}

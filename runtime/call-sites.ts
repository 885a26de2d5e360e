// The running stack, as V8 knows it.

/** The frames above the innermost call of `callee`, innermost first; undefined if we are not let look. */
export function callSites(callee: (...args: never[]) => unknown, most: number): NodeJS.CallSite[] | undefined {
  const sites = capture(callee, most);
  return Array.isArray(sites) ? sites : undefined;
}

/** Some versions of Node bring one of their own. */
const nodes = Error.prepareStackTrace?.name === "ErrorPrepareStackTrace" ? Error.prepareStackTrace : undefined;

/**
 * Whether the program's own Error.prepareStackTrace is under way. V8 knows only whether it is on some stack: meanwhile it does
 * not call it for any other error, but makes a text of its own. So it must end before another fiber runs.
 */
export function isPreparingStackTrace(): boolean {
  const { prepareStackTrace } = Error;
  return (
    typeof prepareStackTrace === "function" &&
    prepareStackTrace !== nodes &&
    typeof capture(isPreparingStackTrace, 0) === "string"
  );
}

// A text within Error.prepareStackTrace, undefined if the program does not let us.
function capture(callee: (...args: never[]) => unknown, most: number): NodeJS.CallSite[] | string | undefined {
  const { stackTraceLimit } = Error;
  const prepare = Object.getOwnPropertyDescriptor(Error, "prepareStackTrace");
  try {
    Error.stackTraceLimit = most;
    Error.prepareStackTrace = (_, sites) => sites;
    const here: { stack?: NodeJS.CallSite[] | string } = {};
    Error.captureStackTrace(here, callee);
    return here.stack;
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

// What Node itself was told as it was started.

const given = [...process.execArgv, process.env.NODE_OPTIONS ?? ""];

/** Whether one of Node's options is like `option`, of whatever came on the command line or in NODE_OPTIONS. */
export function isGiven(option: RegExp): boolean {
  return given.some((options) => option.test(options));
}

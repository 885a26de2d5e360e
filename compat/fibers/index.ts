// The drop-ins, for the entry points of this package.

import { theSwitch } from "../../runtime/coroutine";
import { noFibers } from "../../runtime/errors";

/**
 * What `require("fibers")` is to return.
 * @throws ERR_NO_FIBERS where there are none: a program finds out at once, as it did where the original had no binary
 */
export function fibersPackage(): unknown {
  checkFibers();
  return require("./fiber");
}

/** What `require("fibers/future")` is to return. */
export function futurePackage(): unknown {
  checkFibers();
  return require("./future");
}

export function deasyncPackage(): unknown {
  return require("./deasync");
}

function checkFibers(): void {
  const { stacks, reason } = theSwitch();
  if (stacks === null) throw noFibers(reason);
}

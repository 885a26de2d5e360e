// Packages whose synchronous functions count on nothing else running until they return: if a fiber suspended in one,
// another could enter it, and would write what is being written once more, or over it. There, a fiber blocks the thread,
// as it would in plain Node. Not for long: one writes to a file or pipe, the other waits for its own worker thread.
import { callSites } from "../runtime/call-sites";
import type { AnyFunction } from "../runtime/disguise";

/** What pino writes with. */
const exclusive = /[\\/]node_modules[\\/](?:sonic-boom|thread-stream)[\\/]/;

/** Whether such a package has called `callee`, a function on the running stack. */
export function calledExclusively(callee: AnyFunction): boolean {
  const [caller] = callSites(callee, 1) ?? [];
  return exclusive.test(caller?.getFileName() ?? "");
}

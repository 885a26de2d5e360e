// What happens to fibers, published to whoever subscribes.
//
//     diagnostics_channel.subscribe("runtime:fiber:end", ({ fiber, error }) => ...)
//
// runtime:fiber:spawn    { fiber }         it was started, and is going to run
// runtime:fiber:resume   { fiber }         it gets the thread, for the first time or again
// runtime:fiber:suspend  { fiber }         it has given the thread up, and will want it again
// runtime:fiber:end      { fiber, error }  it has ended; `error` is there only if it has failed
//
// All but the first are published on the hub's stack. Publishers ask `hasSubscribers` first, so that nobody pays for
// what nobody hears. What a subscriber throws goes uncaught, which is diagnostics_channel's own way.
import { channel } from "node:diagnostics_channel";

export const spawned = channel("runtime:fiber:spawn");
export const resumed = channel("runtime:fiber:resume");
export const suspended = channel("runtime:fiber:suspend");
export const ended = channel("runtime:fiber:end");

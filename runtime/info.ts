// What this thread runs on.
import { stackCounts, theSwitch } from "./coroutine";

export interface Info {
  /** How stacks are switched: "swap" is fastest, "handoff" works anywhere, "none" means that there are no fibers. */
  switch: "swap" | "handoff" | "none";
  /** Why it is this one, where it is not the best; empty otherwise. */
  reason: string;
  /** Fibers that have a stack now, suspended or running. */
  fibers: number;
  /** Stacks in all: in use, and kept for the next fibers. */
  stacks: number;
  /** Of those that are kept, how many V8 still knows: quick to use again, and walked at every garbage collection. */
  warm: number;
}

/** Tells how fibers are switched in this thread, and why that way. */
export function info(): Info {
  const { name, reason } = theSwitch();
  const { leased, created, warm } = stackCounts();
  return { switch: name, reason, fibers: leased, stacks: created, warm };
}

// Domains (node:domain): Node keeps those that code has entered in one list for the thread. A stack that is left in the
// middle of one must not leave it to whoever runs next, whose errors would go to the wrong handler.

import { EventEmitter } from "node:events";

const usage = EventEmitter as unknown as { readonly usingDomains: boolean };

/** A list that begins with the outermost. Their `enter` and `exit` keep all else that hangs on it right. */
interface Domains {
  readonly _stack: Domain[];
}

export interface Domain {
  enter(): void;
  exit(): void;
}

let domains: Domains | undefined; // only of a program that uses them

/** Whether the running code has entered one. */
export function isInDomain(): boolean {
  // The first, which node:domain sets as it is loaded, costs a quarter of the second.
  return usage.usingDomains && Boolean((process as { domain?: Domain | null }).domain);
}

/** Leaves the domains that the running code has entered, but for the outermost `keep`; they are returned, outermost first. */
export function leaveDomains(keep: number): Domain[] {
  domains ??= require("node:domain") as unknown as Domains;
  const { _stack: entered } = domains;
  const left = entered.slice(keep);
  for (let i = left.length; i > 0; i--) (left[i - 1] as Domain).exit();
  return left;
}

/** Enters them again. */
export function enterDomains(domains: readonly Domain[]): void {
  for (const domain of domains) domain.enter();
}

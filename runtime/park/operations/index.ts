// What the park worker can do: a table of operations by name.
import type { Failure } from "../failure";
import * as dns from "./dns";
import * as net from "./net";

/**
 * Each gets a signal that is aborted when nobody waits for its outcome any more, then the caller's arguments; it returns
 * or throws, or returns a promise.
 */
export const operations = { ...dns.operations, ...net.operations };

export type Operation = keyof typeof operations;

/** What an operation came to. */
export type Reply = { value: unknown } | { failure: Failure } | { timedOut: true };

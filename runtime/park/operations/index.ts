// What the park worker can do: a table of operations by name.
import type { Failure } from "../failure";
import * as dgram from "./dgram";
import * as dns from "./dns";
import * as fetch from "./fetch";
import * as http from "./http";
import * as net from "./net";
import * as readables from "./readables";
import * as tls from "./tls";

/**
 * Each is told when nobody waits for its outcome any more, and gets the caller's arguments; it returns or throws, or returns
 * a promise.
 */
export const operations = {
  ...dns.operations,
  ...readables.operations,
  ...net.operations,
  ...tls.operations,
  ...http.operations,
  ...fetch.operations,
  ...dgram.operations,
};

export type Operation = keyof typeof operations;

/** What an operation came to. */
export type Reply = { value: unknown } | { failure: Failure } | { timedOut: true };

// What a blocking call out of a fiber sends to the park worker: its arguments, and this thread's settings.
import dns = require("node:dns");
import net = require("node:net");

import { throwIfAborted } from "../../runtime/abort";
import { fiberOnly } from "../../runtime/errors";
import type { ConnectionSettings } from "../../runtime/park/operations/settings";

export function connectionSettings(): ConnectionSettings {
  return {
    order: dns.getDefaultResultOrder(),
    autoSelectFamily: net.getDefaultAutoSelectFamily(),
    autoSelectFamilyAttemptTimeout: net.getDefaultAutoSelectFamilyAttemptTimeout(),
    rejectUnauthorized: process.env.NODE_TLS_REJECT_UNAUTHORIZED,
  };
}

/**
 * A signal that is aborted ends the call, another cannot be heard while this thread sleeps.
 * @throws AbortError; ERR_NOT_IN_FIBER
 */
export function checkSignal(signal: unknown): void {
  if (signal === undefined || signal === null) return;
  throwIfAborted(signal as AbortSignal);
  throw fiberOnly("options.signal");
}

/** Options that are objects of this thread, and true or false otherwise if anything. */
const ofThisThread = ["agent", "dispatcher", "secureContext", "socket"];

/**
 * Arguments, some of which may be options, as they can be sent.
 * @throws AbortError if `options.signal` is aborted; ERR_NOT_IN_FIBER for options that only this thread can use:
 *   functions, agents, sockets
 */
export function sendableArguments(args: unknown[]): unknown[] {
  return args.map((arg) => {
    if (arg instanceof URL) return arg.href;
    if (typeof arg !== "object" || arg === null || ArrayBuffer.isView(arg)) return arg;
    return sendableOptions(arg as Record<string, unknown>);
  });
}

function sendableOptions(options: Record<string, unknown>): Record<string, unknown> {
  const copy: Record<string, unknown> = {};
  checkSignal(options.signal);
  for (const key in options) {
    const value = options[key];
    const own = typeof value !== "function" || Object.hasOwn(options, key); // else a method: of a legacy URL object, say
    if (typeof value === "symbol" || !own || key === "signal") continue;
    const isObject = typeof value === "object" && value !== null;
    if (typeof value === "function" || (isObject && ofThisThread.includes(key))) throw fiberOnly(`options.${key}`);
    copy[key] = value;
  }
  return copy;
}

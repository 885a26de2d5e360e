// crypto: deriving keys, generating keys and primes, and one-shot signing and verifying, cooperative.
//
// Each function runs its callback twin, which works in Node's thread pool on copies of its inputs, and suspends the
// fiber meanwhile; also for what would be done in microseconds, as the arguments do not tell. Such work cannot be
// broken off: when the fiber is killed, the pool goes on, and the outcome is dropped.
import crypto = require("node:crypto");

import { blockLikeNode as block, type Waiter } from "../runtime/block";
import { canSuspend } from "../runtime/coroutine";
import type { AnyFunction } from "../runtime/disguise";
import { callBackInFiber } from "./callbacks";
import { type Define, insteadOfNodes, type ModulePatch } from "./patching";

/** Functions whose twin takes the same arguments, then the callback; and how many arguments that is. */
const twins: Record<string, number> = {
  pbkdf2: 5,
  scrypt: 4,
  hkdf: 5,
  generateKeyPair: 2,
  generateKey: 2,
  generatePrime: 2,
  checkPrime: 2,
};

/** Functions that are their own twin: the callback makes the difference. */
const oneShots: Record<string, number> = { sign: 3, verify: 4 };

/** Functions with callbacks, and without twins. */
const random = ["randomBytes", "randomFill", "randomInt"];

/** What has failed in a way that only Node's own function can report: Node 20 gives callbacks OpenSSL's bare message. */
const FAILED = Symbol("failed");

function settle(waiter: Waiter<unknown>, error: unknown, value: unknown): void {
  if (error instanceof Error && !("code" in error)) waiter.resolve(FAILED);
  else waiter.callback(error, value);
}

function start(twin: AnyFunction, args: unknown[], count: number): unknown {
  return block((waiter) => {
    const passed = args.slice(0, count);
    passed.length = count;
    twin(...passed, (error: unknown, value: unknown) => settle(waiter, error, value));
  });
}

function startPrime(twin: AnyFunction, [size, options = {}]: unknown[]): unknown {
  return start(twin, [size, options], 2);
}

/** A pair comes to the callback as two values. */
function startPair(twin: AnyFunction, [type, options]: unknown[]): unknown {
  return block((waiter) => {
    twin(type, options, (error: unknown, publicKey: unknown, privateKey: unknown) => {
      settle(waiter, error, { publicKey, privateKey });
    });
  });
}

const starts: Record<string, typeof start> = { generateKeyPair: startPair, generatePrime: startPrime };

function replaceTwin(define: Define, name: string, count: number): void {
  const twin = (crypto as unknown as Record<string, AnyFunction>)[name] as AnyFunction;
  const startTwin = starts[name] ?? start;
  define.replace(crypto, `${name}Sync`, (sync) => (...args) => {
    // A function as the last argument would be taken for the callback.
    if (!canSuspend() || typeof args[count - 1] === "function") return sync(...args);
    const result = startTwin(twin, args, count);
    return result === FAILED ? sync(...args) : result;
  });
}

function replaceOneShot(define: Define, name: string, count: number): void {
  define.replace(crypto, name, (own) => (...args) => {
    if (!canSuspend() || args[count] !== undefined) return own(...args);
    const result = start(own, args, count);
    return result === FAILED ? own(...args) : result;
  });
}

export const cryptoPatch: ModulePatch = {
  name: "crypto",
  apply(define) {
    const node = insteadOfNodes(define);
    for (const [name, count] of Object.entries(twins)) replaceTwin(node, name, count);
    for (const [name, count] of Object.entries(oneShots)) replaceOneShot(define, name, count);
    // After those, which call them.
    for (const name of [...Object.keys(twins), ...random]) callBackInFiber(define, crypto, name);
  },
};

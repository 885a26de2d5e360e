// dns: queries in blocking style.
//
// They run dns.promises' own functions, so that arguments, results and errors are the same: in a fiber here, out of one
// in the park worker.
import dns = require("node:dns");

import { block } from "../runtime/block";
import { canBlock } from "../runtime/coroutine";
import type { AnyFunction } from "../runtime/disguise";
import type { Operation } from "../runtime/park/operations";
import { parkChecked } from "../runtime/park/park";
import { callBackInFiber } from "./callbacks";
import type { ModulePatch } from "./patching";

declare module "dns" {
  /**
   * `dns.promises.lookup` in blocking style: the address of a host name as the operating system knows it. Suspends the
   * fiber; out of a fiber, the thread sleeps. The system's call cannot be broken off: when the fiber is killed, its
   * outcome is ignored.
   * @throws what `dns.promises.lookup` rejects with or throws: ENOTFOUND, ERR_INVALID_ARG_TYPE, ...
   */
  function lookupSync(hostname: string, options: LookupAllOptions): LookupAddress[];
  function lookupSync(hostname: string, options?: LookupOneOptions | number): LookupAddress;
  function lookupSync(hostname: string, options: LookupOptions): LookupAddress | LookupAddress[];
  /** `dns.promises.lookupService` in blocking style: the names of an address and a port. As `lookupSync` otherwise. */
  function lookupServiceSync(address: string, port: number): { hostname: string; service: string };
  /**
   * `dns.promises.resolve` in blocking style: asks the name servers. Suspends the fiber, and cancels the query when the
   * fiber is killed; out of a fiber, the thread sleeps.
   * @param rrtype what to ask for, default "A"
   * @throws what `dns.promises.resolve` rejects with or throws: ENOTFOUND, ETIMEOUT, ERR_INVALID_ARG_TYPE, ...
   */
  function resolveSync(hostname: string, rrtype?: "A" | "AAAA" | "CNAME" | "NS" | "PTR"): string[];
  function resolveSync(hostname: string, rrtype: "ANY"): AnyRecord[];
  function resolveSync(hostname: string, rrtype: "CAA"): CaaRecord[];
  function resolveSync(hostname: string, rrtype: "MX"): MxRecord[];
  function resolveSync(hostname: string, rrtype: "NAPTR"): NaptrRecord[];
  function resolveSync(hostname: string, rrtype: "SOA"): SoaRecord;
  function resolveSync(hostname: string, rrtype: "SRV"): SrvRecord[];
  function resolveSync(hostname: string, rrtype: "TXT"): string[][];
  /** IPv4 addresses; with `options.ttl` each with its time to live in seconds. As `resolveSync` otherwise. */
  function resolve4Sync(hostname: string, options: ResolveWithTtlOptions): RecordWithTtl[];
  function resolve4Sync(hostname: string, options?: ResolveOptions & { ttl?: false }): string[];
  /** IPv6 addresses; with `options.ttl` each with its time to live in seconds. As `resolveSync` otherwise. */
  function resolve6Sync(hostname: string, options: ResolveWithTtlOptions): RecordWithTtl[];
  function resolve6Sync(hostname: string, options?: ResolveOptions & { ttl?: false }): string[];
  /** All records of a name. As `resolveSync` otherwise, and so are those that follow. */
  function resolveAnySync(hostname: string): AnyRecord[];
  function resolveCaaSync(hostname: string): CaaRecord[];
  function resolveCnameSync(hostname: string): string[];
  function resolveMxSync(hostname: string): MxRecord[];
  function resolveNaptrSync(hostname: string): NaptrRecord[];
  function resolveNsSync(hostname: string): string[];
  function resolvePtrSync(hostname: string): string[];
  function resolveSoaSync(hostname: string): SoaRecord;
  function resolveSrvSync(hostname: string): SrvRecord[];
  function resolveTxtSync(hostname: string): string[][];
  /** The records of a certificate association (TLSA); where `dns.promises.resolveTlsa` exists. */
  function resolveTlsaSync(hostname: string): Record<string, unknown>[];
  /** The host names of an IP address. As `resolveSync` otherwise. */
  function reverseSync(ip: string): string[];
}

type Query = (...args: unknown[]) => Promise<unknown>;

/** As they are when first used: until then, that part of Node is not loaded. */
let own: { lookup: Query; lookupService: Query; Resolver: typeof dns.promises.Resolver } | null = null;

function node(): NonNullable<typeof own> {
  own ??= { ...dns.promises } as unknown as NonNullable<typeof own>;
  return own;
}

/** A query in a resolver of its own: cancelling it leaves the others alone. */
function query(method: string, args: unknown[]): { outcome: Promise<unknown>; cancel: () => void } {
  const resolver = new (node().Resolver)();
  resolver.setServers(dns.promises.getServers());
  const ask = resolver[method as "resolve"] as Query;
  return { outcome: ask.apply(resolver, args), cancel: () => resolver.cancel() };
}

function lookupSync(...args: unknown[]): unknown {
  const { lookup } = node();
  if (canBlock()) return until(() => ({ outcome: lookup(...args) }));
  return parkedQuery(() => lookup(...args), "dns.lookup", dns.getDefaultResultOrder(), args.map(knownOptions));
}

function lookupServiceSync(...args: unknown[]): unknown {
  const { lookupService } = node();
  if (canBlock()) return until(() => ({ outcome: lookupService(...args) }));
  return parkedQuery(() => lookupService(...args), "dns.lookupService", args);
}

function querySync(method: string, name: string): AnyFunction {
  const ask = (...args: unknown[]) => {
    if (canBlock()) return until(() => query(method, args));
    return parkedQuery(
      () => query(method, args).outcome,
      "dns.query",
      dns.promises.getServers(),
      method,
      args.map(knownOptions),
    );
  };
  return Object.defineProperty(ask, "name", { value: name });
}

function until(start: () => { outcome: Promise<unknown>; cancel?: () => void }): unknown {
  return block((waiter) => {
    const { outcome, cancel } = start();
    waiter.follow(outcome);
    return cancel;
  });
}

/** An options object without what Node does not know of: a function, perhaps, that cannot be sent. */
function knownOptions(argument: unknown): unknown {
  if (typeof argument !== "object" || argument === null) return argument;
  const { all, family, hints, order, ttl, verbatim } = argument as Record<string, unknown>;
  return { all, family, hints, order, ttl, verbatim };
}

function parkedQuery(here: () => Promise<unknown>, operation: Operation, ...args: unknown[]): unknown {
  return parkChecked(() => void here().catch(() => {}), operation, ...args);
}

export const dnsPatch: ModulePatch = {
  name: "dns",
  apply(define) {
    define.add(dns, "lookupSync", lookupSync);
    define.add(dns, "lookupServiceSync", lookupServiceSync);
    for (const method of Object.keys(dns)) {
      if (!/^(lookup|resolve|reverse)/.test(method) || method.endsWith("Sync")) continue;
      callBackInFiber(define, dns, method);
      callBackInFiber(define, dns.Resolver.prototype, method);
      if (!method.startsWith("lookup")) define.add(dns, `${method}Sync`, querySync(method, `${method}Sync`));
    }
  },
};

// dns in the park worker.
import dns from "node:dns";
import type { Patience } from "./patience";

/** Of the calling thread, which has its own. */
type Order = ReturnType<typeof dns.getDefaultResultOrder>;

type Query = (...args: unknown[]) => Promise<unknown>;

export const operations = {
  "dns.lookup"(_patience: Patience, order: Order, args: unknown[]): Promise<unknown> {
    dns.setDefaultResultOrder(order);
    return (dns.promises.lookup as Query)(...args);
  },

  "dns.lookupService"(_patience: Patience, args: unknown[]): Promise<unknown> {
    return (dns.promises.lookupService as Query)(...args);
  },

  /** `resolve*`, `reverse`: a method of a Resolver. */
  "dns.query"(patience: Patience, servers: string[], method: string, args: unknown[]): Promise<unknown> {
    const resolver = new dns.promises.Resolver();
    resolver.setServers(servers);
    patience.atEnd(() => resolver.cancel());
    return (resolver as unknown as Record<string, Query>)[method]?.(...args) as Promise<unknown>;
  },
};

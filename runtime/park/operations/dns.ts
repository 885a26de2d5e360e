// dns in the park worker.
import dns from "node:dns";
import type { Patience } from "./patience";

/** The settings of the calling thread, which are its own. */
export interface DnsSettings {
  order: ReturnType<typeof dns.getDefaultResultOrder>;
  servers: string[];
}

type Query = (...args: unknown[]) => Promise<unknown>;

export const operations = {
  "dns.lookup"(_patience: Patience, settings: DnsSettings, args: unknown[]): Promise<unknown> {
    dns.setDefaultResultOrder(settings.order);
    return (dns.promises.lookup as Query)(...args);
  },

  "dns.lookupService"(_patience: Patience, args: unknown[]): Promise<unknown> {
    return (dns.promises.lookupService as Query)(...args);
  },

  /** `resolve*`, `reverse`: a method of a Resolver. */
  "dns.query"(patience: Patience, settings: DnsSettings, method: string, args: unknown[]): Promise<unknown> {
    const resolver = new dns.promises.Resolver();
    resolver.setServers(settings.servers);
    patience.atEnd(() => resolver.cancel());
    return (resolver as unknown as Record<string, Query>)[method]?.(...args) as Promise<unknown>;
  },
};

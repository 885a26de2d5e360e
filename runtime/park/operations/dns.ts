// dns in the park worker.
import dns from "node:dns";

/** The settings of the calling thread, which are its own. */
export interface DnsSettings {
  order: ReturnType<typeof dns.getDefaultResultOrder>;
  servers: string[];
}

type Query = (...args: unknown[]) => Promise<unknown>;

export const operations = {
  "dns.lookup"(_signal: AbortSignal, settings: DnsSettings, args: unknown[]): Promise<unknown> {
    dns.setDefaultResultOrder(settings.order);
    return (dns.promises.lookup as Query)(...args);
  },

  "dns.lookupService"(_signal: AbortSignal, args: unknown[]): Promise<unknown> {
    return (dns.promises.lookupService as Query)(...args);
  },

  /** `resolve*`, `reverse`: a method of a Resolver. */
  "dns.query"(signal: AbortSignal, settings: DnsSettings, method: string, args: unknown[]): Promise<unknown> {
    const resolver = new dns.promises.Resolver();
    resolver.setServers(settings.servers);
    signal.addEventListener("abort", () => resolver.cancel(), { once: true });
    return (resolver as unknown as Record<string, Query>)[method]?.(...args) as Promise<unknown>;
  },
};

// The settings of the calling thread, which are its own, in the park worker.
import dns from "node:dns";
import net from "node:net";

/** How connections are made. */
export interface ConnectionSettings {
  order: ReturnType<typeof dns.getDefaultResultOrder>;
  autoSelectFamily: boolean;
  autoSelectFamilyAttemptTimeout: number;
  /** process.env.NODE_TLS_REJECT_UNAUTHORIZED: what Node reads whenever it checks a certificate. */
  rejectUnauthorized: string | undefined;
}

export function adopt(settings: ConnectionSettings): void {
  dns.setDefaultResultOrder(settings.order);
  net.setDefaultAutoSelectFamily(settings.autoSelectFamily);
  net.setDefaultAutoSelectFamilyAttemptTimeout(settings.autoSelectFamilyAttemptTimeout);
  const { rejectUnauthorized } = settings;
  if (rejectUnauthorized === process.env.NODE_TLS_REJECT_UNAUTHORIZED) return;
  if (rejectUnauthorized === undefined) delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
  else process.env.NODE_TLS_REJECT_UNAUTHORIZED = rejectUnauthorized;
}

// What the figures depend on.
import { createRequire } from "node:module";
import os from "node:os";
import { database } from "./database.mjs";
import { autocannon, cores, eventlet, go, gunicorn, java, npmVersion, psycopg, python, wrk } from "./machine.mjs";

const require = createRequire(import.meta.url);

/** The versions and settings of all that takes part, one a line. */
export function describeMachine() {
  const cpus = os.cpus();
  const bound = cores();
  return [
    `runtime ${require("runtime/package.json").version}`,
    `Node ${process.version.slice(1)} (V8 ${process.versions.v8}), ${os.type()} ${os.release()} ${os.arch()}`,
    `${cpus.length} x ${cpus[0]?.model.trim() ?? "processor"}, load average ${os.loadavg()[0].toFixed(1)} at the start`,
    python()?.versions,
    eventlet()?.versions,
    psycopg(),
    gunicorn()?.versions,
    go()?.versions,
    java()?.versions,
    database()?.name,
    ...["piscina", "synckit", "deasync", "undici", "pg"].map(npmVersion),
    (wrk() ?? autocannon())?.versions,
    bound
      ? `HTTP: server on core ${bound.server}, load on core ${bound.load}`
      : "HTTP: server and load share the cores (taskset, and two cores, would separate them)",
  ].filter(Boolean);
}

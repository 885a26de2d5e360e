// A database server of the benchmark's own: in a directory that is gone afterwards, reached by a socket in it.
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { installation, pglite } from "./pglite.mjs";
import { postgres } from "./postgres.mjs";

/** The server that is installed: PostgreSQL if there is a choice. Its `name` tells which. Null if there is none. */
export const database = () => postgres() ?? pglite();

export const missingDatabase = () =>
  database() ? undefined : `neither PostgreSQL (Debian: postgresql) nor PGlite (${installation}) is installed`;

/** Starts the server, calls `use` with the directory of its socket, and ends it. */
export async function withDatabase(use) {
  const directory = mkdtempSync(path.join(os.tmpdir(), "runtime-bench-"));
  let server;
  try {
    server = database().start(directory);
    await listening(server);
    return await use(directory);
  } finally {
    if (server?.exitCode === null && server.signalCode === null) {
      server.kill("SIGINT"); // it does not wait for clients then
      await once(server, "exit");
    }
    rmSync(directory, { recursive: true, force: true });
  }
}

function listening(server) {
  return new Promise((resolve, reject) => {
    let output = "";
    server.stderr.on("data", (chunk) => {
      output = (output + chunk).slice(-2000);
      if (output.includes("ready to accept connections")) resolve();
    });
    server.once("error", reject);
    server.once("exit", (code) => reject(new Error(`${database().name} has ended with code ${code}\n${output}`)));
  });
}

// PGlite, which is PostgreSQL as WebAssembly: a server for those who have no other.
import { spawn } from "node:child_process";
import { npmVersion, once, pinned, program } from "./machine.mjs";

const packages = ["@electric-sql/pglite", "@electric-sql/pglite-socket"];

/** How it is installed. */
export const installation = `npm install --no-save ${packages.join(" ")}`;

/** As `postgres`. */
export const pglite = once(() => {
  const versions = packages.map(npmVersion);
  return versions.includes(null) ? null : { name: `PGlite (${versions.join(", ")})`, start };
});

function start(directory) {
  const [file, ...args] = [...pinned(), process.execPath, program("harness/pglite-server.cjs"), directory];
  return spawn(file, args, { stdio: ["ignore", "ignore", "pipe"] });
}

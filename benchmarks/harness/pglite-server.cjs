// PGlite, in memory, on a socket in a DIRECTORY. It has one session, which all connections share, and they take turns: what one
// sends at once is served at once. Clients that look at their answers would notice if it were not so.
const path = require("node:path");
const { PGlite } = require("@electric-sql/pglite");
const { PGLiteSocketServer } = require("@electric-sql/pglite-socket");

async function main([directory]) {
  const socket = path.join(directory, ".s.PGSQL.5432");
  const server = new PGLiteSocketServer({ db: await PGlite.create(), path: socket, maxConnections: 50 });
  await server.start();
  console.error("ready to accept connections"); // as PostgreSQL says it
}

main(process.argv.slice(2));

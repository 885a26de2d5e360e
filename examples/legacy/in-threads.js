// The same program's handler in worker threads, each of which blocks by itself: where there are no fibers.
"use strict";
const path = require("node:path");
const { serve } = require("runtime");

const port = Number(process.env.PORT ?? 0);
const server = serve(path.join(__dirname, "server.js"), { engine: "workers", maxThreads: 64, port });
server.ready.then(() => process.send({ url: server.url }));

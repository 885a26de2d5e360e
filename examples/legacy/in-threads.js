// The same program's handler in worker threads, each of which blocks by itself: where there are no fibers.
"use strict";
const http = require("node:http");
const path = require("node:path");
const { createWorkersEngine } = require("runtime");

const engine = createWorkersEngine(path.join(__dirname, "server.js"), { max: 64 });
const server = http.createServer((req, res) => engine.handle(req, res));
server.listen({ port: Number(process.env.PORT ?? 0), host: "127.0.0.1", backlog: 4096 }, () => {
  process.send({ url: `http://127.0.0.1:${server.address().port}` });
});

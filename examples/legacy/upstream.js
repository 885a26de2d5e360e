// The slow service that the program calls: every answer takes 200 ms.
"use strict";
const http = require("node:http");

const server = http.createServer((req, res) => {
  setTimeout(() => res.end(JSON.stringify({ amount: req.url.length * 100 })), 200);
});
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => {
  process.send({ url: `http://127.0.0.1:${server.address().port}` });
});

// Answers with a file: FILE. Run with the patch, a handler is in a fiber; without, reading blocks the event loop.
const fs = require("node:fs");
const http = require("node:http");

const file = process.argv[2];
const server = http.createServer((_request, response) => {
  response.setHeader("Content-Type", "text/plain");
  response.end(fs.readFileSync(file, "utf8"));
});
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

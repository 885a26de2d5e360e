// Sleeps in blocking style: run with the patch.
const http = require("node:http");
const { sleepSync } = require("node:timers");

const server = http.createServer((_request, response) => {
  sleepSync(20);
  response.setHeader("Content-Type", "text/plain");
  response.end("hello\n");
});
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

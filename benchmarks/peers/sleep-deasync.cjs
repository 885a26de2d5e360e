// As ours/sleep.cjs, with deasync: the event loop runs on inside the handler, one handler inside the other.
const http = require("node:http");
const deasync = require("deasync");

const server = http.createServer((_request, response) => {
  deasync.sleep(20);
  response.setHeader("Content-Type", "text/plain");
  response.end("hello\n");
});
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

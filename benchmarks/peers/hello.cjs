// A server as found anywhere. Run with the patch, its handler runs in a fiber; without, on the event loop.
const http = require("node:http");

const server = http.createServer((_request, response) => {
  response.setHeader("Content-Type", "text/plain");
  response.end("hello\n");
});
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

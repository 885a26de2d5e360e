// As ours/sleep.cjs, in callbacks.
const http = require("node:http");

const server = http.createServer((_request, response) => {
  setTimeout(() => {
    response.setHeader("Content-Type", "text/plain");
    response.end("hello\n");
  }, 20);
});
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

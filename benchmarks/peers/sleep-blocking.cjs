// As ours/sleep.cjs, in plain Node: while one request sleeps, all others wait.
const http = require("node:http");

const asleep = new Int32Array(new SharedArrayBuffer(4));

const server = http.createServer((_request, response) => {
  Atomics.wait(asleep, 0, 0, 20);
  response.setHeader("Content-Type", "text/plain");
  response.end("hello\n");
});
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

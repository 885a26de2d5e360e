// As ours/sleep.cjs, with a function that synckit makes: the thread waits, and all other requests with it.
const http = require("node:http");
const path = require("node:path");
const { createSyncFn } = require("synckit");

const sleep = createSyncFn(path.join(__dirname, "sleep-synckit-worker.cjs"));

const server = http.createServer((_request, response) => {
  sleep(20);
  response.setHeader("Content-Type", "text/plain");
  response.end("hello\n");
});
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

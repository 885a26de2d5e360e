// As ours/sleep.cjs, with async and await.
const http = require("node:http");
const { setTimeout: sleep } = require("node:timers/promises");

const server = http.createServer(async (_request, response) => {
  await sleep(20);
  response.setHeader("Content-Type", "text/plain");
  response.end("hello\n");
});
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

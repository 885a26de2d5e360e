// As file.cjs, with async and await.
const { readFile } = require("node:fs/promises");
const http = require("node:http");

const file = process.argv[2];
const server = http.createServer(async (_request, response) => {
  const text = await readFile(file, "utf8");
  response.setHeader("Content-Type", "text/plain");
  response.end(text);
});
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

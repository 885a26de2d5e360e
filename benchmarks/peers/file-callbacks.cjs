// As file.cjs, in callbacks.
const fs = require("node:fs");
const http = require("node:http");

const file = process.argv[2];
const server = http.createServer((_request, response) => {
  fs.readFile(file, "utf8", (error, text) => {
    if (error) throw error;
    response.setHeader("Content-Type", "text/plain");
    response.end(text);
  });
});
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

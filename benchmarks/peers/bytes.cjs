// An HTTP server that answers a GET with 16 MiB, and a POST with how much came; it prints its port.
const http = require("node:http");

const bytes = Buffer.alloc(16 * 1024 * 1024, 7);
const server = http.createServer((req, res) => {
  if (req.method === "GET") return res.end(bytes);
  let size = 0;
  req.on("data", (data) => {
    size += data.length;
  });
  return req.on("end", () => res.end(String(size)));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));

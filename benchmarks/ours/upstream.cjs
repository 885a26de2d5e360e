// Asks another server, twice, and fills a template: PORT of the other one. Run with the patch.
const http = require("node:http");
const { page } = require("./page.cjs");

const url = `http://127.0.0.1:${process.argv[2]}/`;
const agent = new http.Agent({ keepAlive: true });
const get = () => http.getSync(url, { agent }).textSync();

const server = http.createServer((_request, response) => {
  const title = get();
  const item = get();
  response.setHeader("Content-Type", "text/html");
  response.end(page(title, item));
});
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

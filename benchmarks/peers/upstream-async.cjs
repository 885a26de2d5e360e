// As ours/upstream.cjs, with async and await.
const http = require("node:http");
const { page } = require("../ours/page.cjs");
const { getText } = require("./get-text.cjs");

const url = `http://127.0.0.1:${process.argv[2]}/`;
const agent = new http.Agent({ keepAlive: true });

const get = () => getText(url, { agent });

const server = http.createServer(async (_request, response) => {
  const title = await get();
  const item = await get();
  response.setHeader("Content-Type", "text/html");
  response.end(page(title, item));
});
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

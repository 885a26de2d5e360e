// As ours/upstream.cjs, with async and await.
const http = require("node:http");
const { page } = require("../ours/page.cjs");

const url = `http://127.0.0.1:${process.argv[2]}/`;
const agent = new http.Agent({ keepAlive: true });

const get = () =>
  new Promise((resolve, reject) => {
    const request = http.get(url, { agent }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve(text));
      response.on("error", reject);
    });
    request.on("error", reject);
  });

const server = http.createServer(async (_request, response) => {
  const title = await get();
  const item = await get();
  response.setHeader("Content-Type", "text/html");
  response.end(page(title, item));
});
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

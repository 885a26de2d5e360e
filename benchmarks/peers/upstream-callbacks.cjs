// As ours/upstream.cjs, in callbacks.
const http = require("node:http");
const { page } = require("../ours/page.cjs");

const url = `http://127.0.0.1:${process.argv[2]}/`;
const agent = new http.Agent({ keepAlive: true });

function fail(error) {
  throw error;
}

function get(done) {
  const request = http.get(url, { agent }, (response) => {
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (chunk) => {
      text += chunk;
    });
    response.on("end", () => done(text));
    response.on("error", fail);
  });
  request.on("error", fail);
}

const server = http.createServer((_request, response) => {
  get((title) =>
    get((item) => {
      response.setHeader("Content-Type", "text/html");
      response.end(page(title, item));
    }),
  );
});
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

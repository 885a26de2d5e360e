// What park.cjs has done in another thread.
const dns = require("node:dns");
const http = require("node:http");
const { runAsWorker } = require("synckit");

function request(port, method, body) {
  return new Promise((resolve, reject) => {
    const req = http.request({ host: "127.0.0.1", port, method }, (res) => {
      const chunks = [];
      res.on("data", (chunk) => chunks.push(chunk));
      res.on("end", () => resolve(Buffer.concat(chunks)));
      res.on("error", reject);
    });
    req.on("error", reject);
    req.end(body);
  });
}

const ways = {
  nothing: () => 0,
  lookup: (name) => dns.promises.lookup(name),
  get: (port) => request(port, "GET"),
  post: async (port, body) => String(await request(port, "POST", body)),
};

runAsWorker((way, ...args) => ways[way](...args));

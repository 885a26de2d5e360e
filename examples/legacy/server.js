// A program as it was written years ago: plain Node, blocking calls, no futures anywhere.
// Not a line of it knows of fibers. What starts it decides (see ../start.mjs):
//   node server.js                              serves one request at a time
//   node --require runtime/patch server.js      serves them all at once, in fibers
//   in-threads.js, where there are no fibers    serves as many at once as there are threads
"use strict";
const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const { fetchText } = require("./fetch-text");

const template = path.join(__dirname, "page.html");
const upstream = process.env.UPSTREAM; // a slow service: answers after 200 ms

function render(values) {
  return fs.readFileSync(template, "utf8").replace(/\{\{(\w+)\}\}/g, (_, name) => values[name]);
}

function report(id) {
  const customer = JSON.parse(fs.readFileSync(path.join(__dirname, "data", `${id % 3}.json`), "utf8"));
  const balance = JSON.parse(fetchText(`${upstream}/balance/${id}`)); // blocks for 200 ms
  return render({ id, name: customer.name, city: customer.city, balance: balance.amount });
}

function handle(req, res) {
  try {
    const [, page, id] = req.url.split("/");
    if (page === "report") res.setHeader("content-type", "text/html").end(report(Number(id)));
    else if (page === "broken") throw new Error(`no such balance: ${fetchText(`${upstream}/balance/${id}`)}`);
    else res.writeHead(404).end("not found\n");
  } catch (error) {
    console.error(`${req.url}: ${error.stack}`);
    res.writeHead(500).end("sorry\n");
  }
}

module.exports = handle;

if (require.main === module) {
  const server = http.createServer(handle);
  server.listen({ port: Number(process.env.PORT ?? 0), host: "127.0.0.1", backlog: 4096 }, () => {
    process.send?.({ url: `http://127.0.0.1:${server.address().port}` });
  });
}

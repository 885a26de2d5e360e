// Parked calls: PORT BATCHES. The median batch, on the clock.
require("runtime").patch();
const dns = require("node:dns");
const http = require("node:http");
const net = require("node:net");
const { microseconds } = require("./batches.cjs");

const [port, batches] = process.argv.slice(2).map(Number);
const url = `http://127.0.0.1:${port}/`;
const socket = net.connectSync(port, "127.0.0.1");
const body = Buffer.alloc(16 * 1024 * 1024);

const figures = {
  trip: microseconds(batches, 500, () => socket.bytesRead), // the real socket is the worker's
  lookup: microseconds(batches, 200, () => dns.lookupSync("127.0.0.1")),
  get: microseconds(batches, 1, () => http.getSync(url).textSync("latin1")) / 1000,
  post: microseconds(batches, 1, () => http.requestSync(url, { method: "POST" }, body).textSync()) / 1000,
};
console.log(JSON.stringify(figures));
process.exit();

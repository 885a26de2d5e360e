// HTTP in blocking style, the way it has always been done in plain Node (sync-rpc, sync-fetch, synckit and their like):
// a worker thread makes the request, and the caller sleeps in Atomics.wait until the answer is in shared memory.
"use strict";
const { Worker } = require("node:worker_threads");

const LIMIT = 64 * 1024;
const worker = new Worker(
  `const http = require("node:http");
   const agent = new http.Agent({ keepAlive: true, maxFreeSockets: 4096 });
   require("node:worker_threads").parentPort.on("message", ({ url, shared }) => {
     const answer = (state, text) => {
       const head = new Int32Array(shared, 0, 2);
       head[1] = Buffer.from(shared, 8).write(text);
       Atomics.store(head, 0, state);
       Atomics.notify(head, 0);
     };
     http.get(url, { agent }, (res) => {
       let body = "";
       res.setEncoding("utf8").on("data", (text) => { body += text; }).on("end", () => answer(1, body));
     }).on("error", (error) => answer(2, error.message));
   });`,
  { eval: true },
);
worker.unref();

exports.fetchText = (url) => {
  const shared = new SharedArrayBuffer(8 + LIMIT);
  const head = new Int32Array(shared, 0, 2);
  worker.postMessage({ url, shared });
  Atomics.wait(head, 0, 0);
  const text = Buffer.from(shared, 8, head[1]).toString();
  if (head[0] === 2) throw new Error(text);
  return text;
};

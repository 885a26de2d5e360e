// As ours/sleep.cjs, in worker threads: at most 64.
const http = require("node:http");
const path = require("node:path");
const { createWorkersEngine } = require("runtime");

const engine = createWorkersEngine(path.join(__dirname, "sleep-app.cjs"), { max: 64 });
const server = http.createServer((req, res) => engine.handle(req, res));
server.listen(0, "127.0.0.1", 4096, () => console.log(server.address().port));

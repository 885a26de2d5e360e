// As ours/sleep.cjs, in worker threads: at most 64.
const path = require("node:path");
const { serve } = require("runtime");

const server = serve(path.join(__dirname, "sleep-app.cjs"), { engine: "workers", maxThreads: 64, port: 0 });
server.ready.then(() => console.log(server.address.port));

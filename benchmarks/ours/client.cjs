// HTTP requests in blocking style, by so many fibers: PORT FIBERS REQUESTS. Run with the patch.
const http = require("node:http");
const undici = require("undici");
const { joinAll, runMain, spawn, wait } = require("runtime");

const [port, fibers, requests] = process.argv.slice(2).map(Number);
const url = `http://127.0.0.1:${port}/`;
const pool = new undici.Pool(url, { connections: fibers });

const ways = {
  http: () => http.getSync(url).textSync(),
  undici: () => wait(wait(pool.request({ path: "/", method: "GET" })).body.text()),
};

function perSecond(request) {
  const start = performance.now();
  let left = requests;
  const loop = () => {
    while (left-- > 0) request();
  };
  joinAll(
    Array.from({ length: fibers }, () => spawn(loop)),
    { raiseError: true },
  );
  return (requests * 1000) / (performance.now() - start);
}

runMain(() => {
  const figures = {};
  for (const [name, request] of Object.entries(ways)) {
    perSecond(request); // to warm up
    figures[name] = perSecond(request);
  }
  console.log(JSON.stringify(figures));
  process.exit();
});

// As ours/client.cjs, with promises.
const undici = require("undici");
const { getText } = require("./get-text.cjs");

const [port, loops, requests] = process.argv.slice(2).map(Number);
const url = `http://127.0.0.1:${port}/`;
const pool = new undici.Pool(url, { connections: loops });

const ways = {
  http: () => getText(url),
  undici: async () => (await pool.request({ path: "/", method: "GET" })).body.text(),
};

async function perSecond(request) {
  const start = performance.now();
  let left = requests;
  const loop = async () => {
    while (left-- > 0) await request();
  };
  await Promise.all(Array.from({ length: loops }, loop));
  return (requests * 1000) / (performance.now() - start);
}

(async () => {
  const figures = {};
  for (const [name, request] of Object.entries(ways)) {
    await perSecond(request); // to warm up
    figures[name] = await perSecond(request);
  }
  console.log(JSON.stringify(figures));
  process.exit();
})();

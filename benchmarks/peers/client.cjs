// As ours/client.cjs, with promises.
const http = require("node:http");
const undici = require("undici");

const [port, loops, requests] = process.argv.slice(2).map(Number);
const url = `http://127.0.0.1:${port}/`;
const pool = new undici.Pool(url, { connections: loops });

const ways = {
  http: () =>
    new Promise((resolve, reject) => {
      const request = http.get(url, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk) => {
          text += chunk;
        });
        response.on("end", () => resolve(text));
        response.on("error", reject);
      });
      request.on("error", reject);
    }),
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

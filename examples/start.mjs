// npm start: the same old program, first by itself, then with "runtime/patch", or in worker threads where there are no fibers;
// measured, and then left running.
//   node examples/start.mjs [--once] [REQUESTS]     --once: end after the measurement
import { fork } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { info } from "runtime";

const here = path.dirname(fileURLToPath(import.meta.url));
const root = path.join(here, "..");
const stay = !process.argv.includes("--once");
const many = Number(process.argv.slice(2).find((arg) => /^\d+$/.test(arg)) ?? 1000);
const few = 10;

async function start(file, env = {}, execArgv = []) {
  const child = fork(path.join(here, "legacy", file), { cwd: root, env: { ...process.env, ...env }, execArgv });
  process.on("exit", () => child.kill()); // with whatever this ends: nobody is left behind, on a port
  const started = await Promise.race([once(child, "message"), once(child, "exit")]);
  if (started[0]?.url === undefined) {
    console.error(`\n${file} did not start. If its port is taken: PORT=8001 npm start`);
    process.exit(1);
  }
  return { child, url: started[0].url };
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => process.exit());

function get(url, agent = undefined) {
  return new Promise((resolve, reject) => {
    http
      .get(url, { agent }, (res) => {
        let body = "";
        res.setEncoding("utf8");
        res.on("data", (text) => {
          body += text;
        });
        res.on("end", () => resolve({ status: res.statusCode, body }));
      })
      .on("error", reject);
  });
}

/** Sends `count` requests at once; returns how many milliseconds all of them took. */
async function measure(url, count) {
  const agent = new http.Agent({ maxSockets: Number.POSITIVE_INFINITY });
  const begin = performance.now();
  const answers = await Promise.all(Array.from({ length: count }, (_, id) => get(`${url}/report/${id}`, agent)));
  const wrong = answers.filter(({ status, body }, id) => status !== 200 || !body.includes(`Report ${id}<`));
  if (wrong.length > 0) throw new Error(`${wrong.length} of ${count} answers were wrong`);
  return performance.now() - begin;
}

const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;
const line = (what, ms, count) =>
  console.log(`  ${what.padEnd(44)}${seconds(ms).padStart(8)}   ${(ms / count).toFixed(1).padStart(6)} ms each`);

const upstream = await start("upstream.js");
const env = { UPSTREAM: upstream.url, PORT: "0" };

console.log("An old blocking program: it reads files, calls a service that takes 200 ms, renders, answers.\n");
console.log("node server.js");
const plain = await start("server.js", env);
line("1 request", await measure(plain.url, 1), 1);
line(`${few} requests at once`, await measure(plain.url, few), few);
plain.child.kill();

const { switch: theSwitch, reason } = info();
const port = process.env.PORT ?? (stay ? "8000" : "0");
async function startConcurrent() {
  if (theSwitch !== "none") {
    console.log("\nnode --require runtime/patch server.js");
    return start("server.js", { ...env, PORT: port }, ["--require", "runtime/patch"]);
  }
  console.log(`\nThere are no fibers here (${reason}), so in at most 64 worker threads: node in-threads.js`);
  return start("in-threads.js", { ...env, PORT: port });
}
const patched = await startConcurrent();
line("1 request", await measure(patched.url, 1), 1);
line(`${few} requests at once`, await measure(patched.url, few), few);
line(`${many} requests at once`, await measure(patched.url, many), many);
line(`${many} requests at once, now warm`, await measure(patched.url, many), many);

const broken = await get(`${patched.url}/broken/1`); // an error after 200 ms, caught by the handler's own try/catch
const leaving = http.get(`${patched.url}/report/1`).on("error", () => {});
setTimeout(() => leaving.destroy(), 50);
await new Promise((resolve) => leaving.once("close", resolve));
const after = await get(`${patched.url}/report/2`);
console.log(
  `\nA handler that throws answers ${broken.status}; a client went away; the next request gets ${after.status}.`,
);

if (stay) {
  console.log(`\nServing at ${patched.url}, for example:`);
  console.log(`  curl ${patched.url}/report/7`);
  console.log(`  time (for i in $(seq 100); do curl -s ${patched.url}/report/$i & done; wait) > /dev/null`);
  console.log(`  curl ${patched.url}/broken/7`);
  console.log("Ctrl-C ends it.");
} else {
  patched.child.kill();
  upstream.child.kill();
}

// HTTP load: wrk where it is installed, autocannon otherwise; the same for all contestants of a run.
import { get } from "node:http";
import { autocannon, cores, program, wrk } from "./machine.mjs";
import { outputOf, processorTime, residentMemory, withServer } from "./process.mjs";
import { measureAlong, rowsAlong } from "./series.mjs";

/**
 * What load a benchmark's servers are under: what is usual for it, or what the command's arguments say.
 * @param usual `connections`: numbers of them, one after another; `seconds` of load each time, and of it before, `warmUp`
 */
export function loadOf({ quick, connections, duration }, usual) {
  const seconds = duration ?? (quick ? 1 : usual.seconds);
  const few = quick ? usual.connections.slice(0, 1) : usual.connections;
  return { ...usual, connections: connections ?? few, seconds, warmUp: quick ? 0 : Math.min(usual.warmUp, seconds) };
}

/** Measures under each number of connections, every time a new server. */
export function atEach({ connections, ...load }, measure) {
  return measureAlong("connections", connections, (count) => measure({ ...load, connections: count }));
}

/** The rows of what `atEach` has measured: `rows(count)` for each number of connections. */
export function rowsAtEach({ connections }, rows) {
  return rowsAlong("connections", connections, rows);
}

/** What `loadServer` tells, but for what a benchmark sets beside a peer. */
export const loadRows = {
  latency: [
    { key: "p50", what: "latency, median (ms)" },
    { key: "p99", what: "latency, 99th percentile (ms)" },
  ],
  memory: { key: "memory", what: "server's resident memory (MiB)" },
};

/**
 * Starts a server, loads it, and tells what it did.
 * @param command starts a server that prints its port
 * @param load `shared`: server and load share all cores; `answer`: what a right one is, if not any
 * @returns `perSecond`: answers a second; `p50`, `p99`: milliseconds that they took, as seen by clients that wait for one
 *   before they ask for the next (so not corrected for coordinated omission); `cpu`: microseconds of the server's processor
 *   time for each of them; `cores`: how many of these it has used; `memory`: MiB of it that are resident at the end
 * @throws Error if requests have failed, or were answered with something else
 */
export function loadServer(command, { connections, seconds, warmUp, path = "/", shared = false, answer }) {
  const bound = shared ? null : cores();
  const load = wrk() ? wrkLoad : autocannonLoad;
  return withServer(command, { core: bound?.server }, async ({ port, pid }) => {
    const url = `http://127.0.0.1:${port}${path}`;
    await checkAnswer(url, answer);
    if (warmUp > 0) await load(url, connections, warmUp, bound?.load);
    const before = processorTime(pid);
    const { requests, errors, ...figures } = await load(url, connections, seconds, bound?.load);
    const after = processorTime(pid);
    const memory = residentMemory(pid) ?? undefined;
    const wrong = Object.entries(errors).filter(([, count]) => count > 0);
    if (wrong.length > 0)
      throw new Error(`of ${requests} requests ${wrong.map(([kind, count]) => `${count} ${kind}`).join(", ")}`);
    if (requests === 0) throw new Error("not one answer");
    await checkAnswer(url, answer);
    const cpu = before === null ? undefined : ((after - before) * 1000) / requests;
    const used = before === null ? undefined : (after - before) / 1000 / seconds;
    return { ...figures, cpu, cores: used, memory };
  });
}

/** As `loadServer`, for an echo server: `perSecond` are messages that came back as they were. */
export function loadEcho(command, { connections, seconds, warmUp }) {
  const bound = cores();
  return withServer(command, { core: bound?.server }, async ({ port, pid }) => {
    if (warmUp > 0) await echoLoad(port, connections, warmUp, bound?.load);
    const before = processorTime(pid);
    const { messages, perSecond } = await echoLoad(port, connections, seconds, bound?.load);
    const after = processorTime(pid);
    return { perSecond, cpu: before === null ? undefined : ((after - before) * 1000) / messages };
  });
}

async function wrkLoad(url, connections, seconds, core) {
  const length = Math.max(1, Math.ceil(seconds)); // it knows whole seconds only
  const output = await outputOf(
    [wrk().command, "-t1", `-c${connections}`, `-d${length}s`, "--timeout", "30s", "--latency", url],
    { core },
  );
  const counts = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output)?.slice(1) ?? [];
  const [refused = 0, read = 0, write = 0, late = 0] = counts.map(Number);
  const wrong = Number(/Non-2xx.*: (\d+)/.exec(output)?.[1] ?? 0);
  return {
    requests: Number(/(\d+) requests in/.exec(output)[1]),
    perSecond: Number(/Requests\/sec:\s*([\d.]+)/.exec(output)[1]),
    p50: milliseconds(/^\s*50%\s+([\d.]+)(\w+)\s*$/m.exec(output)),
    p99: milliseconds(/^\s*99%\s+([\d.]+)(\w+)\s*$/m.exec(output)),
    errors: { refused, reset: read + write, "timed out": late, "answered with an error": wrong },
  };
}

const units = { us: 0.001, ms: 1, s: 1000, m: 60_000 };
const milliseconds = (match) => (match ? Number(match[1]) * units[match[2]] : undefined);

async function autocannonLoad(url, connections, seconds, core) {
  const options = ["--json", "--no-progress", "--connections", String(connections), "--duration", String(seconds)];
  const output = await outputOf([process.execPath, autocannon().command, ...options, "--timeout", "30", url], { core });
  const { requests, latency, errors, timeouts, non2xx } = JSON.parse(output);
  return {
    requests: requests.total,
    perSecond: requests.average,
    p50: latency.p50,
    p99: latency.p99,
    errors: { "refused or reset": errors - timeouts, "timed out": timeouts, "answered with an error": non2xx },
  };
}

/** One request, by itself: the load counts answers, and does not read them. */
function checkAnswer(url, answer) {
  return new Promise((resolve, reject) => {
    const request = get(url, { agent: false, timeout: 30_000 }, async (response) => {
      try {
        let text = "";
        for await (const chunk of response.setEncoding("utf8")) text += chunk;
        if (response.statusCode === 200 && text === (answer ?? text)) return resolve();
        throw new Error(`wrong answer: ${response.statusCode} ${JSON.stringify(text.slice(0, 100))}`);
      } catch (error) {
        return reject(error);
      }
    });
    request.on("timeout", () => request.destroy(new Error("no answer within 30 s")));
    request.on("error", reject);
  });
}

async function echoLoad(port, connections, seconds, core) {
  const load = [port, connections, seconds].map(String);
  return JSON.parse(await outputOf([process.execPath, program("harness/echo-load.cjs"), ...load], { core }));
}

// HTTP load: wrk where it is installed, autocannon otherwise; the same for all contestants of a run.
import { autocannon, cores, program, wrk } from "./machine.mjs";
import { outputOf, processorTime, residentMemory, withServer } from "./process.mjs";

async function wrkLoad(url, connections, seconds, core) {
  const output = await outputOf(
    [wrk().command, "-t1", `-c${connections}`, `-d${seconds}s`, "--timeout", "30s", "--latency", url],
    { core },
  );
  const [, requests] = /(\d+) requests in/.exec(output);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output);
  const failed = (errors?.slice(1) ?? []).concat(/Non-2xx.*: (\d+)/.exec(output)?.[1] ?? []);
  return {
    requests: Number(requests),
    perSecond: Number(/Requests\/sec:\s*([\d.]+)/.exec(output)[1]),
    errors: failed.reduce((sum, count) => sum + Number(count), 0),
  };
}

async function autocannonLoad(url, connections, seconds, core) {
  const options = ["--json", "--no-progress", "--connections", String(connections), "--duration", String(seconds)];
  const output = await outputOf([process.execPath, autocannon().command, ...options, "--timeout", "30", url], { core });
  const { requests, errors, timeouts, non2xx } = JSON.parse(output);
  return { requests: requests.total, perSecond: requests.average, errors: errors + timeouts + non2xx };
}

async function echoLoad(port, connections, seconds, core) {
  const command = [
    process.execPath,
    program("harness/echo-load.cjs"),
    String(port),
    String(connections),
    String(seconds),
  ];
  return JSON.parse(await outputOf(command, { core }));
}

/** As `loadServer`, for an echo server: `perSecond` are messages that came back. */
export function loadEcho(command, { connections, seconds, warmUp }) {
  const bound = cores();
  return withServer(command, { core: bound?.server }, async ({ port, pid }) => {
    await echoLoad(port, connections, warmUp, bound?.load);
    const before = processorTime(pid);
    const { messages, perSecond } = await echoLoad(port, connections, seconds, bound?.load);
    const after = processorTime(pid);
    return { perSecond, cpu: before === null ? undefined : ((after - before) * 1000) / messages };
  });
}

/**
 * Starts a server, loads it, and tells what it did.
 * @param command starts a server that prints its port
 * @param load `shared`: server and load share all cores
 * @returns `perSecond`: answers a second; `cpu`: microseconds of the server's processor time for each of them; `cores`: how
 *   many of these it has used; `memory`: MiB of it that are resident at the end
 */
export function loadServer(command, { connections, seconds, warmUp, path = "/", shared = false }) {
  const bound = shared ? null : cores();
  const load = wrk() ? wrkLoad : autocannonLoad;
  return withServer(command, { core: bound?.server }, async ({ port, pid }) => {
    const url = `http://127.0.0.1:${port}${path}`;
    await load(url, connections, warmUp, bound?.load);
    const before = processorTime(pid);
    const { requests, perSecond, errors } = await load(url, connections, seconds, bound?.load);
    const after = processorTime(pid);
    if (errors > 0) throw new Error(`${errors} of ${requests} requests failed`);
    const cpu = before === null ? undefined : ((after - before) * 1000) / requests;
    const used = before === null ? undefined : (after - before) / 1000 / seconds;
    return { perSecond, cpu, cores: used, memory: residentMemory(pid) ?? undefined };
  });
}

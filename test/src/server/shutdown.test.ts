// The end of `runtime serve`: connections that wait to be accepted.
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import net from "node:net";
import { describe, expect, it } from "vitest";
import { until } from "../../compat/support";
import { hasFibers } from "../../support/fibers";
import { Command } from "./command";

/** The processes that a process has started and not seen the end of. */
function childrenOf(pid: number): number[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
}

/** Stops processes; the function that is returned lets them go on. */
async function freeze(pids: number[]): Promise<() => void> {
  for (const pid of pids) process.kill(pid, "SIGSTOP");
  await until(() => pids.every((pid) => /\) T /.test(readFileSync(`/proc/${pid}/stat`, "utf8"))));
  return () => {
    for (const pid of pids) process.kill(pid, "SIGCONT");
  };
}

/** Sends a request on a connection that is made already; resolves with the first line of the answer, or an error's code. */
async function firstLine(socket: net.Socket): Promise<string> {
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk) => {
    text += chunk;
  });
  socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  try {
    await once(socket, "close");
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "";
  }
  return text.split("\r\n")[0] ?? "";
}

async function connected(to: net.NetConnectOpts): Promise<net.Socket> {
  const socket = net.connect(to);
  await once(socket, "connect");
  return socket;
}

describe("connections that the system has made, and no worker has accepted yet", () => {
  const text = `module.exports = () => ({ body: "served" });`;
  const engines = hasFibers ? ["fibers", "workers"] : ["workers"];

  it.each([
    ...engines.map((engine) => ({ engine, workers: 1, socket: false })),
    { engine: "auto", workers: 2, socket: false },
    { engine: "auto", workers: 2, socket: true },
  ])("are served at SIGTERM: %o", async ({ engine, workers, socket }) => {
    const command = new Command({ "app.js": text }, (directory) => [
      ...["--engine", engine, "--workers", `${workers}`],
      ...(socket ? ["--socket", `${directory}.sock`] : []),
    ]);
    const url = await command.url();
    const to = socket ? { path: `${command.directory}.sock` } : { port: Number(new URL(url).port), host: "127.0.0.1" };
    const thaw = await freeze(childrenOf(command.pid));
    const sockets = await Promise.all(Array.from({ length: 300 }, () => connected(to)));
    const lines = sockets.map(firstLine);
    command.kill("SIGTERM");
    if (socket) await until(() => !existsSync(to.path as string)); // the supervisor has heard of it
    thaw();
    expect(new Set(await Promise.all(lines))).toEqual(new Set(["HTTP/1.1 200 OK"]));
    expect(await command.end).toEqual({ code: 0, signal: null });
  });
});

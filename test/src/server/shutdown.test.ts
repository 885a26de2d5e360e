// The end of `runtime serve`: connections that wait to be accepted, and fibers that requests have left behind.
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import net from "node:net";
import { describe, expect, it } from "vitest";
import { until } from "../../compat/support";
import { describeFibers, hasFibers } from "../../support/fibers";
import { ask } from "./behaviours";
import { Command } from "./command";

const runtime = JSON.stringify(require.resolve("../../../dist/index.js"));

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
async function firstLine(socket: net.Socket, headers = ""): Promise<string> {
  let text = "";
  socket.setEncoding("latin1").on("data", (chunk) => {
    text += chunk;
  });
  socket.write(`GET / HTTP/1.1\r\nHost: x\r\n${headers}\r\n`);
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
    const lines = sockets.map((socket) => firstLine(socket));
    command.kill("SIGTERM");
    if (socket) await until(() => !existsSync(to.path as string)); // the supervisor has heard of it
    thaw();
    expect(new Set(await Promise.all(lines))).toEqual(new Set(["HTTP/1.1 200 OK"]));
    expect(await command.end).toEqual({ code: 0, signal: null });
  });
});

describeFibers("while clients come all the time", () => {
  /** How a client fares that connects, asks and is answered. */
  const visit = async (to: net.NetConnectOpts): Promise<string> => {
    let socket: net.Socket;
    try {
      socket = await connected(to);
    } catch (error) {
      return (error as NodeJS.ErrnoException).code ?? "";
    }
    return await firstLine(socket, "Connection: close\r\n");
  };

  it.runIf(process.platform === "linux").each([1, 2])("none is reset at SIGTERM, with workers: %i", async (workers) => {
    for (let round = 0; round < 3; round++) {
      const command = new Command({ "app.js": `module.exports = () => ({ status: 200 });` }, [
        "--workers",
        `${workers}`,
      ]);
      const to = { port: Number(new URL(await command.url()).port), host: "127.0.0.1" };
      const ends = new Set<string>();
      const come = async () => {
        while (!ends.has("ECONNREFUSED")) ends.add(await visit(to));
      };
      const clients = Array.from({ length: 30 }, come);
      await until(() => ends.size > 0);
      command.kill("SIGTERM");
      await Promise.all(clients);
      expect(ends).toEqual(new Set(["HTTP/1.1 200 OK", "ECONNREFUSED"]));
      await command.end;
    }
  });
});

describeFibers("at its end runtime serve", () => {
  /** An app that has `spawned` do what it spawns for a request, and tells of it on its standard output. */
  const app = (spawned: string, atLoad = "") => `
    const fs = require("node:fs");
    const { sleep, spawn, wait } = require(${runtime});
    const say = (text) => fs.writeSync(1, text + "\\n");
    const untilReleased = () => {
      say("waits");
      while (!fs.existsSync("release")) sleep(5);
    };
    ${atLoad}
    module.exports = (req) => {
      ${spawned}
      return { body: "answered" };
    };`;

  it.each([
    ["has spawned", `spawn(() => { untilReleased(); say("written"); });`],
    ["has spawned in turn", `spawn(() => { spawn(() => { untilReleased(); say("written"); }); });`],
    ["starts after it has awaited", `Promise.resolve().then(() => spawn(() => { untilReleased(); say("written"); }));`],
  ])("lets work end that a handler %s", async (_, spawned) => {
    const command = new Command({ "app.js": app(spawned) }, ["--grace", "Infinity"]);
    const url = await command.url();
    expect((await ask(url)).body).toBe("answered");
    await command.says(/waits\n/, "stdout");
    command.kill("SIGTERM");
    await until(() =>
      ask(url).then(
        () => false,
        ({ code }) => code === "ECONNREFUSED",
      ),
    );
    command.write("release", "");
    expect(await command.end).toEqual({ code: 0, signal: null });
    expect(command.stdout).toMatch(/written\n$/);
    expect(command.stderr).not.toContain("Killed");
  });

  it("lets it end in old workers at a reload", async () => {
    const command = new Command({ "app.js": app(`spawn(() => { untilReleased(); say("written"); });`) });
    await ask(await command.url());
    await command.says(/waits\n/, "stdout");
    command.kill("SIGHUP");
    await command.says(/reloaded/);
    expect(command.stdout).not.toContain("written");
    command.write("release", "");
    await command.says(/written\n/, "stdout");
  });

  it("kills it after the grace period, with its cleaning up, and says where it was", async () => {
    const spawned = `spawn(function audit() {
      try { untilReleased(); } finally { sleep(5); say("cleaned up"); }
    });`;
    const command = new Command({ "app.js": app(spawned) }, ["--grace", "200"]);
    await ask(await command.url());
    await command.says(/waits\n/, "stdout");
    command.kill("SIGTERM");
    expect(await command.end).toEqual({ code: 0, signal: null });
    expect(command.stdout).toMatch(/cleaned up\n$/);
    expect(command.stderr).toMatch(/Killed, since the server is shut down.*\n {4}audit \(\d+\) at .*app\.js:\d+/);
  });

  it("does not wait for what the app has started when it was loaded, nor for what that spawns, but has it clean up", async () => {
    const atLoad = `
      const forever = (name) => {
        try {
          say(name + " runs");
          for (;;) sleep(5);
        } finally {
          sleep(5);
          say(name + " cleaned up");
        }
      };
      spawn(() => {
        while (!fs.existsSync("first-request")) sleep(5);
        spawn(forever, "child");
        forever("parent");
      });`;
    const spawned = `fs.writeFileSync("first-request", "");`;
    const command = new Command({ "app.js": app(spawned, atLoad) }, ["--grace", "Infinity"]);
    await ask(await command.url());
    await command.says(/parent runs\n[\s\S]*child runs\n/, "stdout");
    command.kill("SIGTERM");
    expect(await command.end).toEqual({ code: 0, signal: null });
    expect(command.stdout).toContain("parent cleaned up\n");
    expect(command.stdout).toContain("child cleaned up\n");
    expect(command.stderr).not.toContain("Killed");
  });

  it("does not wait for a fiber of those that goes on although it was killed", async () => {
    const atLoad = "spawn(() => { for (;;) try { sleep(3_600_000); } catch {} });";
    const command = new Command({ "app.js": app("", atLoad) }, ["--grace", "Infinity"]);
    await ask(await command.url());
    command.kill("SIGTERM");
    expect(await command.end).toEqual({ code: 0, signal: null });
  });

  it("kills what is left although a handler goes on that was killed", async () => {
    const spawned = `
      spawn(() => { try { untilReleased(); } finally { say("cleaned up"); } });
      for (;;) try { sleep(3_600_000); } catch { say("goes on"); }`;
    const command = new Command({ "app.js": app(spawned) }, ["--grace", "100"]);
    const answer = ask(await command.url());
    await command.says(/waits\n/, "stdout");
    command.kill("SIGTERM");
    expect((await answer).status).toBe(503);
    expect(await command.end).toEqual({ code: 0, signal: null });
    expect(command.stdout).toMatch(/goes on\n[\s\S]*cleaned up\n/);
  });
});

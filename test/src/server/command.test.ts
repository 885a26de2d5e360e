// `runtime serve FILE`: flags, signals, workers, reload, with real processes.
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, renameSync } from "node:fs";
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import net from "node:net";
import { describe, expect, it } from "vitest";
import { type Certificate, makeCertificate } from "../../compat/certificate";
import { until } from "../../compat/support";
import { hasFibers } from "../../support/fibers";
import { ask } from "./behaviours";
import { Command } from "./command";

/** Answers with the process that runs it; at /held, after a file "release" is there. */
const app = (text = "hello") => `
  const fs = require("node:fs");
  const { sleepSync } = require("node:timers");
  module.exports = (req) => {
    if (req.url === "/held") {
      fs.appendFileSync("held-" + process.pid, req.url + "\\n");
      while (!fs.existsSync("release")) sleepSync(5);
    }
    if (req.url === "/forever") {
      fs.writeFileSync("forever", "");
      sleepSync(3_600_000);
    }
    if (req.url === "/crash") process.nextTick(() => { throw new Error("uncaught, by the app"); });
    return { headers: { "x-pid": process.pid }, body: ${JSON.stringify(text)} };
  };`;

/** What is special about requests in fibers: what the log says, and that an app's failure is that of its process. */
const itInFibers = it.runIf(hasFibers);

/** The process that has answered. */
async function pidAt(url: string, options: http.RequestOptions = {}): Promise<number> {
  return Number((await ask(url, options)).headers["x-pid"]);
}

async function refuses(url: string): Promise<boolean> {
  return ask(url).then(
    () => false,
    (error) => error.code === "ECONNREFUSED",
  );
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** The processes that answer, once there are `count` of them. */
async function pidsAt(url: string, count: number): Promise<number[]> {
  const pids = new Set<number>();
  await until(async () => {
    if (pids.size > count) pids.clear(); // some that were to end have answered
    for (const pid of await Promise.all(Array.from({ length: 8 }, () => pidAt(url)))) pids.add(pid);
    return pids.size === count;
  });
  return [...pids];
}

describe("the arguments of runtime serve", () => {
  it.each([
    [["--port", "http"], "--port must be a number, not http"],
    [["--port", "70000"], '"--port" is out of range'],
    [["--prot", "1"], "--prot"],
    [["--workers", "0"], "--workers must be a whole number from 1 on, not 0"],
    [["--load-timeout", "soon"], "--load-timeout must be a whole number from 1 on, not soon"],
    [["--engine", "steam"], '"--engine" is out of range'],
    [["--max-fibers", "1.5"], '"--max-fibers" is out of range'],
    [["--request-timeout", "0"], '"--request-timeout" is out of range'],
    [["--log-format", "json"], '"--log-format" is out of range'],
    [["--socket", "s", "--host", "h"], "--socket is in place of --host and --port"],
    [["--tls-key", "key.pem"], "--tls-key needs --tls-cert"],
    [["--tls-cert", "no.pem", "--tls-key", "no.pem"], "--tls-cert: ENOENT"],
    [["--min-threads", "2", "--max-threads", "1"], '"--min-threads" is out of range'],
    [["other.js"], "one FILE at a time"],
  ])("are told to be wrong, by name: %s", async (args, message) => {
    const command = new Command({ "app.js": app() }, args);
    expect(await command.end).toEqual({ code: 2, signal: null });
    expect(command.stderr).toContain(message);
    expect(command.stderr).toContain("Try: runtime serve --help");
  });

  it("are told to be wrong: no FILE, or none that is there", async () => {
    const none = new Command({}, []);
    const missing = new Command({}, ["missing.js"]);
    expect([await none.end, await missing.end]).toMatchObject([{ code: 2 }, { code: 2 }]);
    expect(none.stderr).toContain("which FILE");
    expect(missing.stderr).toContain("there is no file missing.js");
  });

  it("are explained", async () => {
    const command = new Command({}, ["--help"]);
    expect(await command.end).toEqual({ code: 0, signal: null });
    expect(command.stdout).toContain("--request-timeout MS");
    expect(command.stderr).toBe("");
  });
});

describe("runtime serve", () => {
  it("serves, says where, and ends with 0 at SIGTERM and SIGINT", async () => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      const command = new Command({ "app.js": app() });
      const url = await command.url();
      expect((await ask(url)).body).toBe("hello");
      expect(command.stderr).toMatch(
        /^runtime serve: serving app.js at http:\/\/127.0.0.1:\d+ \(engine \w+, 1 worker\)\n$/,
      );
      command.kill(signal);
      expect(await command.end).toEqual({ code: 0, signal: null });
      expect(command.stdout).toBe("");
    }
  });

  it("serves an ES module", async () => {
    const command = new Command({ "app.mjs": `export default () => Response.json({ module: true });` });
    expect((await ask(await command.url())).body).toBe('{"module":true}');
  });

  it("does not run FILE as the main module", async () => {
    const text = "module.exports = () => ({ body: String(require.main === module) });";
    expect((await ask(await new Command({ "app.js": text }).url())).body).toBe("false");
  });

  itInFibers("takes its flags to heart", async () => {
    const flags = "--host localhost --max-fibers 1 --request-timeout 200 --max-body-size 2 --max-header-size 2000";
    const command = new Command({ "app.js": app() }, flags.split(" "));
    const url = await command.url();
    expect((await ask(url, { method: "POST" }, "abc")).status).toBe(413);
    expect((await ask(url, { headers: { "x-large": "x".repeat(2000) } })).status).toBe(431);
    expect((await ask(`${url}/forever`)).status).toBe(504);
    await command.says(/GET \/forever failed: FiberExit: no response within 200 ms\n[\s\S]*app\.js:/);
  });

  it("ends with 1, and says why, when it cannot start", async () => {
    const taken = net.createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port } = taken.address() as net.AddressInfo;
    const cases: [Record<string, string>, string[], RegExp][] = [
      [{ "app.js": app() }, ["--port", `${port}`], /listen EADDRINUSE: address already in use: 127\.0\.0\.1:\d+/],
      [{ "app.js": app() }, ["--host", "192.0.2.1"], /listen EADDRNOTAVAIL: address not available: 192\.0\.2\.1:0/],
      [{ "app.js": app() }, ["--host", "no.invalid"], /ENOTFOUND|EAI_AGAIN/],
      [{ "app.js": app() }, ["--socket", "no/such/folder"], /listen \w+: .*: no\/such\/folder/],
      [{ "app.js": "module.exports = 7" }, [], /app\.js exports no app/],
      [{ "app.js": "require('no-such-package')" }, [], /Cannot find module 'no-such-package'/],
      [{ "app.js": "process.exit(0)" }, [], /the app could not be started/],
      [{ "app.js": app() }, ["--access-log", "no/such/folder"], /ENOENT.*no\/such\/folder/],
    ];
    for (const [files, args, message] of cases) {
      const command = new Command(files, args);
      expect(await command.end).toEqual({ code: 1, signal: null });
      expect(command.stderr).toMatch(message);
    }
    taken.close();
  });

  it("listens at a Unix socket, which is gone afterwards", async () => {
    const command = new Command({ "app.js": app() }, (directory) => ["--socket", `${directory}.sock`]);
    const socketPath = `${command.directory}.sock`;
    expect(await command.url()).toBe(`unix:${socketPath}`);
    expect((await ask("http://localhost/", { socketPath })).body).toBe("hello");
    command.kill("SIGTERM");
    expect(await command.end).toEqual({ code: 0, signal: null });
    expect(existsSync(socketPath)).toBe(false);
  });

  const certificate = makeCertificate();
  it.skipIf(typeof certificate === "string")("serves https, with new certificates after a reload", async () => {
    const { key, cert } = certificate as Certificate;
    const files = { "app.js": app(), "cert.pem": String(cert), "key.pem": String(key) };
    const command = new Command(files, ["--tls-cert", "cert.pem", "--tls-key", "key.pem", "--host", "localhost"]);
    const url = await command.url();
    const serial = async () => {
      const request = https.get(url, { agent: false, rejectUnauthorized: false });
      const [res] = (await once(request, "response")) as [IncomingMessage];
      res.resume();
      return (res.socket as import("node:tls").TLSSocket).getPeerCertificate().serialNumber;
    };
    const first = await serial();
    const renewed = makeCertificate() as Certificate;
    command.write("cert.pem", String(renewed.cert));
    command.write("key.pem", String(renewed.key));
    command.kill("SIGHUP");
    await command.says(/reloaded/);
    await until(async () => (await serial()) !== first);
  });

  describe("at its end", () => {
    it("lets requests end, and takes no more", async () => {
      const command = new Command({ "app.js": app() }, ["--grace", "Infinity"]);
      const url = await command.url();
      const held = ask(`${url}/held`);
      const pid = await pidAt(url);
      await until(() => existsSync(command.file(`held-${pid}`)));
      command.kill("SIGTERM");
      await until(() => refuses(url));
      command.write("release", "");
      const { status, headers, body } = await held;
      expect({ status, body, connection: headers.connection }).toEqual({
        status: 200,
        body: "hello",
        connection: "close",
      });
      expect(await command.end).toEqual({ code: 0, signal: null });
    });

    itInFibers("kills those that take too long", async () => {
      const command = new Command({ "app.js": app() }, ["--grace", "100"]);
      const forever = ask(`${await command.url()}/forever`);
      await until(() => existsSync(command.file("forever")));
      command.kill("SIGTERM");
      expect((await forever).status).toBe(503);
      expect(await command.end).toEqual({ code: 0, signal: null });
      expect(command.stderr).toContain("GET /forever failed: FiberExit: the server is shut down");
    });

    it("comes at once with a second signal, as that signal's", async () => {
      const command = new Command({ "app.js": app() });
      const url = await command.url();
      const forever = ask(`${url}/forever`).catch((error) => error.code);
      await until(() => existsSync(command.file("forever")));
      command.kill("SIGTERM");
      await until(() => refuses(url));
      command.kill("SIGINT");
      expect(await command.end).toEqual({ code: null, signal: "SIGINT" });
      expect(await forever).toBe("ECONNRESET");
    });

    it("takes workers along when the supervisor itself is killed", async () => {
      const command = new Command({ "app.js": app() }, ["--workers", "2"]);
      const pids = await pidsAt(await command.url(), 2);
      command.kill("SIGKILL");
      await command.end; // which comes when nobody holds on to its output
      await until(() => !pids.some(isAlive));
    });
  });

  describe("with workers", () => {
    it("serves by several processes, and replaces one that dies, while requests of the others go on", async () => {
      const command = new Command({ "app.js": app() }, ["--workers", "2"]);
      const url = await command.url();
      const [victim, healthy] = await pidsAt(url, 2);
      const held: Promise<number | undefined>[] = [];
      await until(() => {
        held.push(pidAt(`${url}/held`).catch(() => victim));
        return readdirCount(command.directory, "held-") === 2;
      });
      process.kill(victim as number, "SIGKILL");
      await command.says(/worker \d+ ended by SIGKILL; another one starts/);
      command.write("release", "");
      const answered = await Promise.all(held);
      const accepted = readFileSync(command.file(`held-${healthy}`), "utf8")
        .trim()
        .split("\n").length;
      expect(answered.filter((pid) => pid === healthy)).toHaveLength(accepted);
      const pids = await pidsAt(url, 2);
      expect(pids).not.toContain(victim);
    });

    it("spreads connections that one of them has got all of", async () => {
      const command = new Command({ "app.js": app() }, ["--workers", "2"]);
      const url = await command.url();
      const [stopped] = await pidsAt(url, 2);
      const agent = new http.Agent({ keepAlive: true, maxSockets: 10 });
      const pids = async () => new Set(await Promise.all(Array.from({ length: 10 }, () => pidAt(url, { agent }))));
      process.kill(stopped as number, "SIGSTOP");
      await until(() => /\) T /.test(readFileSync(`/proc/${stopped}/stat`, "utf8")));
      expect((await pids()).has(stopped as number)).toBe(false);
      process.kill(stopped as number, "SIGCONT");
      await until(async () => (await pids()).size === 2);
      agent.destroy();
    });

    it("keeps clients waiting, and refuses none, while its only worker is replaced", async () => {
      const command = new Command({ "app.js": app() });
      const url = await command.url();
      for (let round = 0; round < 3; round++) {
        const victim = await pidAt(url);
        process.kill(victim, "SIGKILL");
        await until(() => !isAlive(victim));
        expect(await pidAt(url)).not.toBe(victim);
      }
    });

    itInFibers("replaces one that an error has ended, and shows the error", async () => {
      const command = new Command({ "app.js": app() });
      const url = await command.url();
      const victim = await pidAt(url);
      await ask(`${url}/crash`).catch(() => {});
      await command.says(/Error: uncaught, by the app\n {4}at /);
      expect(await pidAt(url)).not.toBe(victim);
    });

    it("replaces one that is told to end, which ends gracefully", async () => {
      const command = new Command({ "app.js": app() });
      const url = await command.url();
      const held = ask(`${url}/held`);
      const victim = await pidAt(url);
      await until(() => existsSync(command.file(`held-${victim}`)));
      process.kill(victim, "SIGTERM");
      command.write("release", "");
      expect((await held).body).toBe("hello");
      await command.says(/ended with code 0; another one starts/);
      expect(await pidAt(url)).not.toBe(victim);
    });

    itInFibers("waits longer and longer when they die at once", async () => {
      const command = new Command({ "app.js": `setTimeout(() => process.exit(3), 20); module.exports = () => ({});` });
      await command.says(/ended with code 3; another one starts in 100 ms[\s\S]* in 200 ms[\s\S]* in 400 ms/);
      command.kill("SIGTERM");
      expect(await command.end).toEqual({ code: 0, signal: null });
    });

    it("leaves signals of the terminal to the supervisor", async () => {
      const command = new Command({ "app.js": app() });
      const url = await command.url();
      const pid = await pidAt(url);
      process.kill(pid, "SIGINT");
      process.kill(pid, "SIGHUP");
      expect(await pidAt(url)).toBe(pid);
      command.kill("SIGINT");
      expect(await command.end).toEqual({ code: 0, signal: null });
    });
  });

  describe("at SIGHUP", () => {
    it("serves new code, and drops no request", async () => {
      const command = new Command({ "app.js": app("old") });
      const url = await command.url();
      const held = ask(`${url}/held`);
      const oldPid = await pidAt(url);
      await until(() => existsSync(command.file(`held-${oldPid}`)));
      const agent = new http.Agent({ keepAlive: true });
      const seen: string[] = [];
      let going = true;
      const loop = async (options: http.RequestOptions) => {
        while (going) seen.push((await ask(url, options)).body);
      };
      const loops = [loop({ agent }), loop({ agent }), loop({}), loop({})]; // one that fails fails the test
      command.write("app.js", app("new"));
      command.kill("SIGHUP");
      await Promise.race([command.says(/reloaded/), ...loops]);
      await Promise.race([until(() => seen.slice(-20).every((body) => body === "new")), ...loops]);
      going = false;
      await Promise.all(loops);
      agent.destroy();
      expect(new Set(seen)).toEqual(new Set(["old", "new"]));
      command.write("release", "");
      expect((await held).body).toBe("old");
      await until(() => !isAlive(oldPid));
      command.kill("SIGTERM");
      expect(await command.end).toEqual({ code: 0, signal: null });
    });

    it("reloads once more when asked meanwhile, and replaces an old worker that dies meanwhile", async () => {
      const slow = `${app("new")}
        while (!fs.existsSync("go")) sleepSync(5);`;
      const command = new Command({ "app.js": app("old") });
      const url = await command.url();
      command.write("app.js", slow);
      command.kill("SIGHUP");
      const victim = await pidAt(url);
      process.kill(victim, "SIGKILL");
      await command.says(/ended by SIGKILL; another one starts/);
      command.kill("SIGHUP");
      command.write("go", "");
      await command.says(/reloaded\n[\s\S]*reloaded/);
      await until(async () => (await ask(url)).body === "new");
    });

    it("goes on as before when the new code does not start", async () => {
      const command = new Command({ "app.js": app("old") }, ["--workers", "2"]);
      const url = await command.url();
      command.write("app.js", "syntax error");
      command.kill("SIGHUP");
      await command.says(/SyntaxError[\s\S]*the new workers could not be started: the old ones go on/);
      expect((await ask(url)).body).toBe("old");
      command.write("app.js", app("new"));
      command.kill("SIGHUP");
      await command.says(/reloaded/);
      await until(async () => (await ask(url)).body === "new");
      await pidsAt(url, 2);
    });
  });

  describe("an app that does not come to an end of loading", () => {
    const hangs = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);";

    it("is given up on", async () => {
      const command = new Command({ "app.js": hangs }, ["--workers", "2", "--load-timeout", "500"]);
      expect(await command.end).toEqual({ code: 1, signal: null });
      expect(command.stderr).toMatch(/worker \d+ has not loaded the app within 500 ms/);
      expect(command.stderr).toContain("the app could not be started");
    });

    it("does not take the old workers' place, and the next reload goes on as ever", async () => {
      const command = new Command({ "app.js": app("old") }, ["--load-timeout", "3000"]);
      const url = await command.url();
      command.write("app.js", hangs);
      command.kill("SIGHUP");
      await command.says(/has not loaded the app[\s\S]*the new workers could not be started: the old ones go on/);
      expect((await ask(url)).body).toBe("old");
      command.write("app.js", app("new"));
      command.kill("SIGHUP");
      await command.says(/reloaded/);
      await until(async () => (await ask(url)).body === "new");
    });
  });

  describe("its access log", () => {
    it("is written by all workers, and anew where a reload finds no file", async () => {
      const command = new Command({ "app.js": app() }, ["--workers", "2", "--access-log", "access.log"]);
      const url = await command.url();
      const lines = (name: string) => {
        const file = command.file(name);
        return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1) : [];
      };
      await Promise.all(Array.from({ length: 50 }, (_, i) => ask(`${url}/${i}`)));
      await until(() => lines("access.log").length === 50);
      expect(
        lines("access.log").every((line) =>
          /^127\.0\.0\.1 - - \[.*\] "GET \/\d+ HTTP\/1\.1" 200 5 "-" "-"$/.test(line),
        ),
      ).toBe(true);
      renameSync(command.file("access.log"), command.file("access.log.1"));
      command.kill("SIGHUP");
      await command.says(/reloaded/);
      await until(async () => (await ask(`${url}/again`), lines("access.log").length > 0));
    });

    it("goes to standard output, and nobody waits for who reads it", async () => {
      const command = new Command({ "app.js": app() }, ["--access-log", "-", "--log-format", "common"]);
      const url = await command.url();
      command.output?.pause();
      const agent = new http.Agent({ keepAlive: true, maxSockets: 10 });
      const path = `/${"x".repeat(1000)}`;
      await Promise.all(Array.from({ length: 500 }, () => ask(`${url}${path}`, { agent }))); // more than a pipe holds
      agent.destroy();
      command.output?.resume();
      command.kill("SIGTERM");
      expect(await command.end).toEqual({ code: 0, signal: null });
      const lines = command.stdout.trim().split("\n");
      expect(lines).toHaveLength(500);
      expect(lines.every((line) => /"GET \/x{1000} HTTP\/1\.1" 200 5$/.test(line))).toBe(true);
    });
  });
});

function readdirCount(directory: string, prefix: string): number {
  return readdirSync(directory).filter((name) => name.startsWith(prefix)).length;
}

// What there is on this machine to measure with and to measure beside.
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(import.meta.url);
const here = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");

/** The path of a program in ours/ or peers/. */
export const program = (name) => path.join(here, name);

/** The command `runtime`, for Node. */
export const command = path.join(path.dirname(require.resolve("runtime/package.json")), "dist", "cli.js");

/** What `node -r` is given, to patch a program. */
export const patch = require.resolve("runtime/patch");

function outputOf(command, ...args) {
  try {
    return execFileSync(command, args, { stdio: ["ignore", "pipe", "ignore"] })
      .toString()
      .trim();
  } catch (error) {
    return error.stdout?.toString().trim() || null; // wrk tells its version and fails
  }
}

function once(find) {
  let found;
  return () => (found ??= { value: find() }).value;
}

/** A Python that has gevent, and the versions; null if there is none. */
export const python = once(() => {
  for (const command of ["python3", "/usr/bin/python3"]) {
    const versions = outputOf(
      command,
      "-c",
      "import sys, gevent, greenlet; print('Python %s, gevent %s, greenlet %s' % (sys.version.split()[0], gevent.__version__, greenlet.__version__))",
    );
    if (versions) return { command, versions };
  }
  return null;
});

/** What its drivers for PostgreSQL are, of which one has the other wait for gevent. */
const psycopg = once(() =>
  outputOf(
    python()?.command ?? "python3",
    "-c",
    "import psycogreen, psycopg2; print('psycopg2', psycopg2.__version__)",
  ),
);

export const gunicorn = once(() => {
  const versions = outputOf("gunicorn", "--version");
  return versions && { command: "gunicorn", versions };
});

export const go = once(() => {
  const versions = outputOf("go", "version");
  return versions && { command: "go", versions };
});

export const wrk = once(() => {
  const versions = outputOf("wrk", "--version")?.split("\n")[0];
  return versions?.startsWith("wrk") ? { command: "wrk", versions: versions.replace(/ \[.*/, "") } : null;
});

export const autocannon = once(() => {
  try {
    const { version } = require("autocannon/package.json");
    return { command: require.resolve("autocannon/autocannon.js"), versions: `autocannon ${version}` };
  } catch {
    return null;
  }
});

/** Two cores, for a server and for the load on it; null where there are not two, or programs cannot be bound to one. */
export const cores = once(() => {
  if (outputOf("taskset", "--version") === null) return null;
  const allowed = /^Cpus_allowed_list:\s*(.*)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";
  const list = allowed.split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
  return list.length < 2 ? null : { server: list[0], load: list[1] };
});

/** What serves the application in a file in peers/, which is gunicorn's configuration, too, but for what `options` say. */
export function gunicornApp(name, ...options) {
  const file = program(name);
  const application = `${path.basename(file, ".py")}:application`;
  return [gunicorn().command, "--config", file, ...options, "--chdir", path.dirname(file), application];
}

function npmVersion(name) {
  const manifests = require.resolve.paths(name).map((folder) => path.join(folder, name, "package.json"));
  const found = manifests.find(existsSync);
  return found ? `${name} ${JSON.parse(readFileSync(found, "utf8")).version}` : null;
}

/** Why a contestant has to be left out, and what would bring it; undefined if it need not. */
export const missing = {
  python: () => (python() ? undefined : "Python's gevent is not installed (Debian: python3-gevent)"),
  psycopg: () =>
    missing.python() ??
    (psycopg() ? undefined : "psycopg2 is not installed (Debian: python3-psycopg2 python3-psycogreen)"),
  gunicorn: () => (gunicorn() ? undefined : "gunicorn is not installed (Debian: gunicorn)"),
  go: () => (go() ? undefined : "Go is not installed (Debian: golang-go)"),
  npm: (name) => (npmVersion(name) ? undefined : `${name} is not installed (npm install --no-save ${name})`),
  load: () =>
    wrk() || autocannon() ? undefined : "nothing to load a server with (Debian: wrk; npm install --no-save autocannon)",
};

/** A file's path, in a directory that is gone at the end. */
export function temporary(name) {
  const folder = mkdtempSync(path.join(os.tmpdir(), "runtime-bench-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  return path.join(folder, name);
}

/** The binary of a Go program in peers/. */
export const goBinary = (() => {
  const built = new Map();
  return (name) => {
    if (!built.has(name)) {
      const binary = temporary(path.basename(name, ".go"));
      execFileSync(go().command, ["build", "-o", binary, program(name)], {
        stdio: ["ignore", "ignore", "inherit"],
        env: { ...process.env, GO111MODULE: "off" },
      });
      built.set(name, binary);
    }
    return built.get(name);
  };
})();

/** One line for each thing that the figures depend on. */
export function describeMachine() {
  const cpus = os.cpus();
  const bound = cores();
  return [
    `runtime ${require("runtime/package.json").version}`,
    `Node ${process.version.slice(1)} (V8 ${process.versions.v8}), ${os.type()} ${os.release()} ${os.arch()}`,
    `${cpus.length} x ${cpus[0]?.model.trim() ?? "processor"}, load average ${os.loadavg()[0].toFixed(1)} at the start`,
    python()?.versions,
    psycopg(),
    gunicorn()?.versions,
    go()?.versions,
    ...["piscina", "synckit", "deasync", "undici", "pg"].map(npmVersion),
    (wrk() ?? autocannon())?.versions,
    bound
      ? `HTTP: server on core ${bound.server}, load on core ${bound.load}`
      : "HTTP: server and load share the cores (taskset, and two cores, would separate them)",
  ].filter(Boolean);
}

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

/** What a command prints; null if it cannot be run. */
export function outputOf(command, ...args) {
  try {
    return execFileSync(command, args, { stdio: ["ignore", "pipe", "ignore"] })
      .toString()
      .trim();
  } catch (error) {
    return error.stdout?.toString().trim() || null; // wrk tells its version and fails
  }
}

/** Looks for something when it is asked for, and only the first time. */
export function once(find) {
  let found;
  return () => (found ??= { value: find() }).value;
}

/** A Python that has a package, on top of greenlet, and the versions; null if there is none. */
function pythonWith(name) {
  const print = `import sys, ${name}, greenlet; print('Python %s, ${name} %s, greenlet %s' % (sys.version.split()[0], ${name}.__version__, greenlet.__version__))`;
  for (const command of ["python3", "/usr/bin/python3"]) {
    const versions = outputOf(command, "-c", print);
    if (versions) return { command, versions };
  }
  return null;
}

/** A Python that has gevent. */
export const python = once(() => pythonWith("gevent"));

/** A Python that has eventlet. */
export const eventlet = once(() => pythonWith("eventlet"));

/** What its drivers for PostgreSQL are, of which one has the other wait for gevent. */
export const psycopg = once(() =>
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

/**
 * One processor, as the others have. The JDK's server would send headers by themselves and wait, and close what is above 200
 * idle connections.
 */
const javaSettings = [
  "-XX:ActiveProcessorCount=1",
  "-Dsun.net.httpserver.nodelay=true",
  "-Dsun.net.httpserver.maxIdleConnections=10000",
];

export const java = once(() => {
  const found = outputOf("javac", "--version") && outputOf("java", "--version")?.split("\n")[0];
  const [, name, major] = /^((?:\w+) (\d+)\S*)/.exec(found ?? "") ?? [];
  return name ? { command: "java", major: Number(major), versions: [name, ...javaSettings].join(" ") } : null;
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

/** What a command for the server's core begins with, if it has one. */
export const pinned = () => (cores() ? ["taskset", "-c", String(cores().server)] : []);

/** What serves the application in a file in peers/, which is gunicorn's configuration, too, but for what `options` say. */
export function gunicornApp(name, ...options) {
  const file = program(name);
  const application = `${path.basename(file, ".py")}:application`;
  return [gunicorn().command, "--config", file, ...options, "--chdir", path.dirname(file), application];
}

/** An npm package and its version; null if it is not installed. */
export function npmVersion(name) {
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
  eventlet: () => (eventlet() ? undefined : "Python's eventlet is not installed (Debian: python3-eventlet)"),
  java: () => (java() ? undefined : "Java is not installed (Debian: default-jdk-headless)"),
  virtualThreads: () =>
    missing.java() ??
    (java().major >= 21 ? undefined : `Java ${java().major} has none (Java 21 is the first that has)`),
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

/** The command that runs a Java program in peers/, which is compiled for it. */
export const javaProgram = (() => {
  const compiled = new Map();
  return (name, ...args) => {
    if (!compiled.has(name)) {
      const classes = temporary("classes");
      execFileSync("javac", ["-d", classes, "-sourcepath", program("peers"), program(name)], {
        stdio: ["ignore", "ignore", "inherit"],
      });
      compiled.set(name, classes);
    }
    return [java().command, ...javaSettings, "-cp", compiled.get(name), path.basename(name, ".java"), ...args];
  };
})();

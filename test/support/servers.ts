// Real servers for tests of clients: each in a directory of its own, reached by a Unix socket, and gone afterwards.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, chownSync, constants, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe } from "vitest";
import { describeFibers, hasFibers } from "./fibers";

/** How to run a server. `directory` is its own, and where its socket is to be. */
interface Recipe {
  /** What is to be found among the system's programs, or else installed by `apt-get install <packageName>`. */
  readonly programs: readonly string[];
  readonly packageName: string;
  /** A script that brings the program, and prints its path, where no package has it. */
  readonly script?: string;
  /** Whether it will not run as root. */
  readonly refusesRoot?: boolean;
  /** Prepares the directory, if that is needed. */
  readonly prepare?: (programs: Record<string, string>, directory: string) => [program: string, ...args: string[]];
  readonly command: (programs: Record<string, string>, directory: string) => [program: string, ...args: string[]];
  /** What it prints once it can be connected to. */
  readonly ready: string;
  readonly stop: NodeJS.Signals;
}

const postgres: Recipe = {
  programs: ["initdb", "postgres"],
  packageName: "postgresql",
  refusesRoot: true,
  prepare: ({ initdb = "" }, directory) => [
    ...([initdb, "-D", path.join(directory, "data"), "-U", "postgres", "-A", "trust"] as const),
    ...["-E", "UTF8", "--no-locale", "--no-sync"],
  ],
  command: ({ postgres = "" }, directory) => [
    ...([postgres, "-D", path.join(directory, "data"), "-k", directory] as const),
    ...["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50"],
  ],
  ready: "database system is ready to accept connections",
  stop: "SIGINT", // its "fast" shutdown, which does not wait for clients
};

const redis: Recipe = {
  programs: ["redis-server"],
  packageName: "redis-server",
  command: (programs, directory) => [
    programs["redis-server"] ?? "",
    ...["--port", "0", "--unixsocket", path.join(directory, "socket"), "--save", "", "--dir", directory],
  ],
  ready: "eady to accept connections",
  stop: "SIGTERM",
};

const mariadb: Recipe = {
  programs: ["mariadb-install-db", "mariadbd"],
  packageName: "mariadb-server",
  refusesRoot: true,
  prepare: (programs, directory) => [
    programs["mariadb-install-db"] ?? "",
    ...["--no-defaults", `--datadir=${path.join(directory, "data")}`, "--auth-root-authentication-method=normal"],
    "--skip-test-db",
  ],
  command: ({ mariadbd = "" }, directory) => [
    ...([mariadbd, "--no-defaults", `--datadir=${path.join(directory, "data")}`] as const),
    ...[`--socket=${path.join(directory, "socket")}`, `--pid-file=${path.join(directory, "pid")}`],
    ...["--skip-networking", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M"],
  ],
  ready: "ready for connections",
  stop: "SIGTERM",
};

const mongodb: Recipe = {
  programs: ["mongod"],
  packageName: "mongodb-server-core",
  script: fileURLToPath(new URL("../../scripts/mongod.mjs", import.meta.url)),
  command: ({ mongod = "" }, directory) => [
    ...([mongod, "--dbpath", directory, "--bind_ip", path.join(directory, "mongod.sock")] as const),
    ...["--nojournal", "--wiredTigerCacheSizeGB", "0.25"],
  ],
  ready: "waiting for connections",
  stop: "SIGTERM",
};

const recipes = { postgres, redis, mariadb, mongodb };

/**
 * A `describe` for tests of a client, with fibers and with a server that runs meanwhile. `tests` gets a function that
 * tells, in a test or hook, the server's directory: PostgreSQL's socket is in it, the others' "socket" or "mongod.sock".
 * Where there are no fibers, or no such server, the tests are skipped, and that is said.
 */
export function describeClient(
  subject: string,
  server: keyof typeof recipes,
  tests: (directory: () => string) => void,
): void {
  const recipe = recipes[server];
  const programs = hasFibers ? findOrInstall(recipe) : {};
  if (programs === null) {
    console.log(`${subject}: skipped, there is no ${recipe.packageName} here, and it could not be installed`);
    describe.skip(subject, () => tests(() => ""));
    return;
  }
  describeFibers(subject, () => {
    let running: Running | undefined;
    beforeAll(async () => {
      running = await start(recipe, programs);
    }, 120_000);
    afterAll(() => running?.stop());
    tests(() => running?.directory ?? "");
  });
}

interface Running {
  directory: string;
  stop(): Promise<void>;
}

async function start(recipe: Recipe, programs: Record<string, string>): Promise<Running> {
  const user = recipe.refusesRoot ? unprivileged() : undefined;
  const directory = mkdtempSync(path.join(tmpdir(), "runtime-server-"));
  if (user) chownSync(directory, user.uid, user.gid);
  const options = { cwd: directory, env: { PATH: process.env.PATH, HOME: directory, LC_ALL: "C" }, ...user };
  const remove = () => rmSync(directory, { recursive: true, force: true });
  try {
    if (recipe.prepare) {
      const [program, ...args] = recipe.prepare(programs, directory);
      execFileSync(program, args, { ...options, stdio: "pipe" });
    }
    const [program, ...args] = recipe.command(programs, directory);
    const child = spawn(program, args, { ...options, stdio: ["ignore", "pipe", "pipe"] });
    const kill = () => child.kill("SIGKILL");
    process.once("exit", kill);
    await printed(child, recipe.ready);
    return {
      directory,
      async stop() {
        const end = once(child, "exit");
        if (child.exitCode === null) {
          child.kill(recipe.stop);
          await end;
        }
        process.off("exit", kill);
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

function printed(child: ChildProcess, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let output = "";
    const read = (chunk: Buffer) => {
      output += chunk;
      if (output.includes(text)) resolve();
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.on("error", reject);
    child.on("exit", (code) => reject(new Error(`The server ended with code ${code}:\n${output}`)));
  });
}

/** Whom servers run as that refuse to be root. */
function unprivileged(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string) => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

function findOrInstall({ programs, packageName, script }: Recipe): Record<string, string> | null {
  const found = find(programs);
  if (found !== null) return found;
  if (script !== undefined) return bring(programs, script);
  return install(packageName) ? find(programs) : null;
}

function bring([program = ""]: readonly string[], script: string): Record<string, string> | null {
  try {
    const printed = execFileSync(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
    return { [program]: printed.toString().trim() };
  } catch {
    return null;
  }
}

function find(programs: readonly string[]): Record<string, string> | null {
  const directories = [...(process.env.PATH ?? "").split(path.delimiter), "/usr/sbin", ...postgresDirectories()];
  const found: Record<string, string> = {};
  for (const program of programs) {
    const directory = directories.find((directory) => isExecutable(path.join(directory, program)));
    if (directory === undefined) return null;
    found[program] = path.join(directory, program);
  }
  return found;
}

/** Debian keeps PostgreSQL's servers out of the PATH, one directory a version. */
function postgresDirectories(): string[] {
  try {
    const root = "/usr/lib/postgresql";
    return readdirSync(root).map((version) => path.join(root, version, "bin"));
  } catch {
    return [];
  }
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function install(packageName: string): boolean {
  const sudo = process.getuid?.() === 0 ? [] : ["sudo", "-n"];
  const run = (...args: string[]) => {
    const [program = "", ...rest] = [...sudo, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", ...args];
    execFileSync(program, rest, { stdio: "ignore" });
  };
  const installIt = () => run("-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends", packageName);
  try {
    console.log(`installing ${packageName}`);
    try {
      installIt();
    } catch {
      run("update"); // as in a fresh image, which knows of no packages
      installIt();
    }
    return true;
  } catch {
    return false;
  }
}

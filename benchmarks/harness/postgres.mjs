// A PostgreSQL of the benchmark's own: in a directory that is gone afterwards, reached by a socket in it.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, chownSync, constants, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { cores } from "./machine.mjs";

/** Where its programs are; undefined if there are none. Debian keeps them out of the PATH, one directory a version. */
function programs() {
  const debian = "/usr/lib/postgresql";
  const versions = existsSync(debian) ? readdirSync(debian).map((version) => path.join(debian, version, "bin")) : [];
  return [...(process.env.PATH ?? "").split(path.delimiter), ...versions].find((directory) =>
    ["initdb", "postgres"].every((name) => isExecutable(path.join(directory, name))),
  );
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export const missingPostgres = () =>
  programs() === undefined ? "PostgreSQL is not installed (Debian: postgresql)" : undefined;

/** Starts a server, calls `use` with the directory of its socket, and ends it. */
export async function withPostgres(use) {
  const user = whoServes();
  const directory = mkdtempSync(path.join(os.tmpdir(), "runtime-bench-"));
  const options = { cwd: directory, env: { PATH: process.env.PATH, HOME: directory, LC_ALL: "C" }, ...user };
  const [bin, data, bound] = [programs(), path.join(directory, "data"), cores()];
  let server;
  try {
    if (user) chownSync(directory, user.uid, user.gid);
    const initdb = ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"];
    execFileSync(path.join(bin, "initdb"), initdb, { ...options, stdio: "pipe" });
    const pinned = bound ? ["taskset", "-c", String(bound.server)] : [];
    const settings = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50"];
    const [file, ...args] = [...pinned, path.join(bin, "postgres"), "-D", data, "-k", directory, ...settings];
    server = spawn(file, args, { ...options, stdio: ["ignore", "ignore", "pipe"] });
    await listening(server);
    return await use(directory);
  } finally {
    if (server && server.exitCode === null) {
      server.kill("SIGINT"); // it does not wait for clients then
      await once(server, "exit");
    }
    rmSync(directory, { recursive: true, force: true });
  }
}

function listening(server) {
  return new Promise((resolve, reject) => {
    let output = "";
    server.stderr.on("data", (chunk) => {
      output = (output + chunk).slice(-2000);
      if (output.includes("ready to accept connections")) resolve();
    });
    server.once("error", reject);
    server.once("exit", (code) => reject(new Error(`PostgreSQL has ended with code ${code}\n${output}`)));
  });
}

/** It refuses to be root. */
function whoServes() {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag) => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

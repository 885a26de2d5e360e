// A PostgreSQL of the benchmark's own.
import { execFileSync, spawn } from "node:child_process";
import { accessSync, chownSync, constants, existsSync, readdirSync } from "node:fs";
import path from "node:path";
import { once, outputOf, pinned } from "./machine.mjs";

/** `start(directory)` starts it there; null if it is not installed. */
export const postgres = once(() => {
  const programs = directoryOfPrograms();
  const name = programs && outputOf(path.join(programs, "postgres"), "--version");
  return name ? { name: name.replace(/^postgres \((\w+)\) (\S+).*/, "$1 $2"), start: startFrom(programs) } : null;
});

/** Debian keeps them out of the PATH, one directory a version. */
function directoryOfPrograms() {
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

function startFrom(programs) {
  return (directory) => {
    const user = whoServes();
    const data = path.join(directory, "data");
    const options = { cwd: directory, env: { PATH: process.env.PATH, HOME: directory, LC_ALL: "C" }, ...user };
    if (user) chownSync(directory, user.uid, user.gid);
    const initdb = ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"];
    execFileSync(path.join(programs, "initdb"), initdb, { ...options, stdio: "pipe" });
    const settings = ["-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50"];
    const [file, ...args] = [...pinned(), path.join(programs, "postgres"), "-D", data, "-k", directory, ...settings];
    return spawn(file, args, { ...options, stdio: ["ignore", "ignore", "pipe"] });
  };
}

/** It refuses to be root. */
function whoServes() {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag) => Number(execFileSync("id", [flag, "nobody"], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}

// Node's own test suite, out of Debian's source package of Node.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";

/** Not under node_modules: what Node does there differs here and there (deprecations, type stripping). */
const cache = path.join(os.tmpdir(), "runtime-node-tests");
const suites = ["bookworm", "trixie", "forky", "sid"];

/**
 * The tests of the Node version that is closest to `version`, downloaded on first use.
 * @param version as in process.versions.node
 * @returns the directory that holds parallel/, sequential/, common/ and fixtures/, and the version they are of
 */
export function getSuite(version) {
  mkdirSync(cache, { recursive: true });
  const fetched = readdirSync(cache).filter((name) => /^\d+\.\d+\.\d+$/.test(name));
  const exact = fetched.find((name) => major(name) === major(version));
  return exact ? { version: exact, directory: directoryOf(exact) } : fetchSuite(version);
}

const directoryOf = (version) => path.join(cache, version, "test");
const major = (version) => Number.parseInt(version, 10);

// Debian's tools, on package lists of their own: the system's are not touched, and need not name these releases.
function fetchSuite(wanted) {
  const work = mkdtempSync(path.join(cache, "fetch-"));
  try {
    const options = aptOptions(work);
    const apt = (program, ...args) =>
      execFileSync(program, [...options, "-q", ...args], {
        cwd: work,
        encoding: "utf8",
        stdio: ["ignore", "pipe", "inherit"],
      });
    apt("apt-get", "update");
    const listed = apt("apt-cache", "showsrc", "nodejs").matchAll(/^Version: ((\d+\.\d+\.\d+)\S*)$/gm);
    const sources = [...listed].map(([, source, version]) => ({ source, version }));
    for (const { source, version } of sources.sort((a, b) => compareDistance(a.version, b.version, wanted))) {
      const suite = { version, directory: directoryOf(version) };
      if (existsSync(suite.directory)) return suite;
      try {
        apt("apt-get", "source", "--download-only", "--tar-only", `nodejs=${source}`);
      } catch {
        // A mirror may lack some of its archives, or all of them.
      }
      const archive = readdirSync(work).find((name) => /^nodejs_.*\.orig\.tar\.\w+$/.test(name));
      if (!archive) continue;
      unpack(work, archive, version);
      return suite;
    }
    throw new Error(`the sources of Node are in none of Debian's ${suites.join(", ")}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Where the system has its packages from. */
function mirror() {
  const format = ["indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"];
  const repositories = execFileSync("apt-get", format, { encoding: "utf8" }).split("\n");
  const found = repositories.find((uri) => /\/debian\/?$/.test(uri));
  if (found === undefined) throw new Error("apt knows of no mirror of Debian here; run apt-get update first");
  return found;
}

function aptOptions(work) {
  for (const name of ["state/lists/partial", "cache/archives/partial"]) {
    mkdirSync(path.join(work, name), { recursive: true });
  }
  const list = path.join(work, "sources.list");
  const from = mirror();
  writeFileSync(list, suites.map((suite) => `deb-src ${from} ${suite} main\n`).join(""));
  const options = {
    "Dir::Etc::sourcelist": list,
    "Dir::Etc::sourceparts": "-",
    "Dir::State": path.join(work, "state"),
    "Dir::Cache": path.join(work, "cache"),
    "APT::Sandbox::User": "", // whoever runs this owns the directory
  };
  return Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
}

/** Less than 0 if `one` is closer to `wanted` than `other`: by the major version first, then by the others. */
function compareDistance(one, other, wanted) {
  const [a, b, c] = [one, other, wanted].map((version) => version.split(".").map(Number));
  const differences = c.map((number, at) => Math.abs(a[at] - number) - Math.abs(b[at] - number));
  return differences.find((difference) => difference !== 0) ?? 0;
}

// The tests, and what some of them look at. The archive is as Node released it, without Debian's changes.
function unpack(work, archive, version) {
  const top = `node-v${version}`;
  const parts = ["test", "deps/undici", "deps/acorn", "lib", "doc/api", "tools"].map((part) => `${top}/${part}`);
  const tree = path.join(work, "tree");
  mkdirSync(tree);
  const listed = execFileSync("tar", ["-tf", archive], { cwd: work, encoding: "utf8", maxBuffer: 2 ** 28 });
  const present = parts.filter((part) => listed.includes(`${part}/`));
  execFileSync("tar", ["-xf", archive, "-C", tree, ...present], { cwd: work, stdio: "inherit" });
  renameSync(path.join(tree, top), path.join(cache, version));
}

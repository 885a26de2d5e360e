// Packages for tests that are not among the dependencies: a test installs them for itself, once, or is skipped.
import { execFile, execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);

const cache = path.join(__dirname, "..", "..", "node_modules", ".cache");

/**
 * The directory of a project with these dependencies, installed on first use as for a program whose package `fibers` cannot
 * be compiled: without scripts. Null, and why is said, if it cannot be.
 * @param name of the project; its dependencies may change
 */
export function scratchProject(name: string, dependencies: Record<string, string>): Promise<string | null> {
  const wanted = JSON.stringify({ private: true, dependencies });
  const home = path.join(cache, "runtime-projects", name);
  const isUsable = () => {
    const installed = path.join(home, "node_modules", ".package-lock.json");
    return existsSync(installed) && readFileSync(path.join(home, "package.json"), "utf8") === wanted;
  };
  return install(name, home, wanted, ["--no-save", "--ignore-scripts"], isUsable);
}

/**
 * The directory of a native package, installed on first use for the Node that runs this; null, and why is said, if it cannot
 * be. These are compiled, which takes minutes where there is no binary to be had; and a machine without a compiler is to be
 * able to install the rest.
 * @param probe code that fails if `library`, what the package exports, is of no use here
 */
export async function nativePackage(name: string, version: string, probe: string): Promise<string | null> {
  const home = path.join(cache, "runtime-natives", `${name}-${process.versions.modules}`);
  const directory = path.join(home, "node_modules", name);
  const wanted = JSON.stringify({ private: true, dependencies: { [name]: version } });
  const found = await install(name, home, wanted, ["--no-save"], () => passes(probe, directory));
  return found === null ? null : directory;
}

async function install(
  name: string,
  home: string,
  manifest: string,
  flags: string[],
  isUsable: () => boolean,
): Promise<string | null> {
  if (isUsable()) return home;
  console.log(`installing ${name} for tests in Node ${process.version}`);
  mkdirSync(path.dirname(home), { recursive: true });
  const work = mkdtempSync(path.join(path.dirname(home), "install-"));
  try {
    writeFileSync(path.join(work, "package.json"), manifest);
    const args = ["install", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=1", ...flags];
    await execute(process.execPath, [npm(), ...args], { cwd: work, env: environment() });
    if (!isUsable()) {
      rmSync(home, { recursive: true, force: true });
      renameSync(work, home);
    } // else another process was faster
  } catch (error) {
    console.log(`${name} could not be installed: ${(error as Error).message}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return isUsable() ? home : null;
}

function passes(probe: string, directory: string): boolean {
  try {
    const program = `const library = require(process.argv[1]); ${probe}`;
    execFileSync(process.execPath, ["-e", program, directory], { stdio: "pipe" });
    return true;
  } catch {
    return false;
  }
}

function npm(): string {
  const command = execFileSync("sh", ["-c", "command -v npm"], { encoding: "utf8" }).trim();
  return process.env.npm_execpath ?? realpathSync(command);
}

/** With the headers of the Node that runs this, where it has brought them. */
function environment(): NodeJS.ProcessEnv {
  const { npm_config_nodedir: _, ...rest } = process.env;
  const prefix = path.join(path.dirname(realpathSync(process.execPath)), "..");
  const own = existsSync(path.join(prefix, "include", "node", "node.h"));
  const env = Object.fromEntries(
    Object.entries(rest).filter(([name]) => !/^(RUNTIME_|NODE_OPTIONS$|VITEST)/.test(name)),
  );
  return {
    ...env,
    PATH: `${path.dirname(process.execPath)}${path.delimiter}${env.PATH}`,
    ...(own && { npm_config_nodedir: prefix }),
  };
}

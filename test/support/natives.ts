// Native npm packages for tests: not among the dependencies, for they are compiled for each Node, which takes minutes where
// there is no binary to be had; and a machine without a compiler is to be able to install the rest.
import { execFile, execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);

const cache = path.join(__dirname, "..", "..", "node_modules", ".cache", "runtime-natives");

/**
 * The directory of a package, installed on first use for the Node that runs this; null, and why is said, if it cannot be.
 * @param probe code that fails if `library`, what the package exports, is of no use here
 */
export async function nativePackage(name: string, version: string, probe: string): Promise<string | null> {
  const home = path.join(cache, `${name}-${process.versions.modules}`);
  const directory = path.join(home, "node_modules", name);
  if (isUsable(directory, probe)) return directory;
  console.log(`installing ${name}@${version} for Node ${process.version}`);
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(path.join(cache, "install-"));
  try {
    writeFileSync(path.join(work, "package.json"), JSON.stringify({ private: true }));
    const args = ["install", "--no-save", "--no-audit", "--no-fund", `${name}@${version}`];
    await execute(process.execPath, [npm(), ...args], { cwd: work, env: environment() });
    if (!isUsable(directory, probe)) renameSync(work, home); // else another process was faster
  } catch (error) {
    console.log(`${name} could not be installed: ${(error as Error).message}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return isUsable(directory, probe) ? directory : null;
}

function isUsable(directory: string, probe: string): boolean {
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

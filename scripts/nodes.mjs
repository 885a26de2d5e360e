// Node binaries with their headers, out of the npm packages node-<platform>-<arch>.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

const cache = path.join(path.dirname(fileURLToPath(import.meta.url)), "..", "node_modules", ".cache", "runtime-nodes");

/**
 * The newest Node of a major version for Linux, downloaded on first use.
 * @param major 20, 22, ...
 * @param arch "x64" or "arm64"
 * @returns the binary, and the directory that holds include/node
 */
export function getNode(major, arch = "x64") {
  const prefix = path.join(cache, arch === "x64" ? `${major}` : `${major}-${arch}`);
  const node = { binary: path.join(prefix, "bin", "node"), prefix };
  if (existsSync(node.binary)) return node;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(path.join(cache, "unpack-"));
  try {
    const options = { cwd: work, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] };
    const tarball = execFileSync("npm", ["pack", "--silent", `node-linux-${arch}@${major}`], options).trim();
    execFileSync("tar", ["-xzf", tarball], options);
    renameSync(path.join(work, "package"), prefix);
  } catch (error) {
    if (!existsSync(node.binary)) throw error; // else another process was faster
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return node;
}

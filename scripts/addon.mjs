// Compiles the addon for one Node, into prebuilds/<platform>-<arch>/node.abi<N>.node, where it is looked for.
//   node scripts/addon.mjs                      for the Node that runs this
//   node scripts/addon.mjs BINARY HEADERS_ROOT  for another one, whose headers are in HEADERS_ROOT/include/node
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");

// Most distributions of Node bring their headers; node-gyp would otherwise download them.
function headersBeside(binary) {
  const prefix = path.join(path.dirname(realpathSync(binary)), "..");
  return existsSync(path.join(prefix, "include", "node", "node.h")) ? prefix : undefined;
}

/** Where the addon for a target, "<platform>-<arch>", and a Node's ABI is. */
export const addonFile = (target, abi) => path.join(root, "prebuilds", target, `node.abi${abi}.node`);

/**
 * Compiles the addon for one target, in a copy: builds can go on at once, and nothing is left over from the one before.
 * @param target "<platform>-<arch>"
 * @param headers what holds include/node; default: node-gyp downloads them
 * @returns the path of the compiled addon; throws with the compiler's output when it can't be had
 */
export function compile({ target, abi, version, headers, options = [], env = {} }) {
  const work = mkdtempSync(path.join(tmpdir(), "runtime-addon-"));
  try {
    cpSync(path.join(root, "binding.gyp"), path.join(work, "binding.gyp"));
    cpSync(path.join(root, "runtime", "native"), path.join(work, "runtime", "native"), { recursive: true });
    const gyp = createRequire(import.meta.url).resolve("node-gyp/bin/node-gyp.js");
    const chosen = headers ? [`--nodedir=${headers}`, `--target=${version}`] : [];
    // node-gyp prefers what npm's configuration says of headers to what it is told.
    const { npm_config_nodedir, npm_config_target, ...environment } = process.env;
    execFileSync(process.execPath, [gyp, "rebuild", "--loglevel=error", ...chosen, ...options], {
      cwd: work,
      env: { ...(headers ? environment : process.env), ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const file = addonFile(target, abi);
    mkdirSync(path.dirname(file), { recursive: true });
    // Under another name first: a process may run the addon that is there now.
    cpSync(path.join(work, "build", "Release", "runtime.node"), `${file}.new`);
    renameSync(`${file}.new`, file);
    return file;
  } catch (error) {
    throw new Error(`${error.message}\n${error.stdout ?? ""}${error.stderr ?? ""}`.trim());
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Compiles the addon for the Node that `binary` is; returns its path. */
export function buildAddon(binary = process.execPath, headers = headersBeside(binary)) {
  const says = "[process.platform, process.arch, process.versions.modules, process.version].join()";
  const [platform, arch, abi, version] = execFileSync(binary, ["-p", says], { encoding: "utf8" }).trim().split(",");
  return compile({ target: `${platform}-${arch}`, abi, version, headers });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  console.log(buildAddon(...process.argv.slice(2)));
}

import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

const source = path.join(__dirname, "addon.c");

// Most distributions of Node bring their headers.
function headers(): string {
  const directory = path.join(path.dirname(realpathSync(process.execPath)), "..", "include", "node");
  if (!existsSync(path.join(directory, "node_api.h"))) throw new Error(`no headers of Node in ${directory}`);
  return directory;
}

/** Compiles addon.c for this Node. Null, and the reason is printed, where that is not possible. */
export function buildTestAddon(): string | null {
  try {
    const file = path.join(mkdtempSync(path.join(tmpdir(), "runtime-test-addon-")), "addon.node");
    const platform = process.platform === "darwin" ? ["-undefined", "dynamic_lookup"] : [];
    execFileSync(process.env.CC ?? "cc", ["-shared", "-fPIC", ...platform, `-I${headers()}`, source, "-o", file], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    return file;
  } catch (error) {
    console.log(`native addons: skipped, none can be compiled here (${(error as Error).message.split("\n")[0]})`);
    return null;
  }
}

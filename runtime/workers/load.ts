// Modules, as another thread loads them.
import { realpathSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { noTypeScript } from "../errors";

/** The exports of a module: CommonJS, an ES module, or TypeScript. */
export async function load(url: string): Promise<Record<string, unknown>> {
  if (url.startsWith("file:") && /\.[cm]?ts$/.test(new URL(url).pathname) && !hasTypeScript()) return loadByTsx(url);
  return import(url);
}

/** What a program has of a module: the exports of an ES module, what `module.exports` is of CommonJS. */
export async function loadWhole(url: string): Promise<unknown> {
  const exports = await load(url);
  if (!url.startsWith("file:")) return exports;
  const filename = realpathSync(fileURLToPath(url));
  return createRequire(filename).cache[filename]?.exports ?? exports;
}

/** By Node itself, or by a loader that the process was started with. */
function hasTypeScript(): boolean {
  const { typescript } = process.features as { typescript?: unknown };
  return Boolean(typescript) || process.execArgv.some((argument) => /\btsx\b|ts-node|swc-node/.test(argument));
}

async function loadByTsx(url: string): Promise<Record<string, unknown>> {
  const filename = fileURLToPath(url);
  const require = createRequire(filename);
  try {
    require("tsx/cjs");
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND" ? noTypeScript(filename) : error;
  }
  const exports = require(filename);
  return { default: exports, ...exports };
}

/** A function among a module's exports; of CommonJS, also of what `module.exports` is. */
export function functionNamed(
  exports: Record<string, unknown>,
  name: string,
): ((...args: unknown[]) => unknown) | undefined {
  const inner = exports.default as Record<string, unknown> | null | undefined;
  return [exports[name], inner?.[name]].find((candidate) => typeof candidate === "function") as never;
}

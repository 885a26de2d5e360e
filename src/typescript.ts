// TypeScript, where Node does not run it by itself.
import Module = require("node:module");
import path = require("node:path");

import { noTypeScript } from "../runtime/errors";

const { _extensions } = Module as unknown as { _extensions: Record<string, unknown> };

/**
 * Node 20 leaves TypeScript to others. True if tsx was loaded for it, which makes CommonJS of all that it is given.
 * @throws ERR_NO_TYPESCRIPT where it is not installed
 */
export function provideTypeScript(filename: string): boolean {
  const extension = path.extname(filename);
  if (![".ts", ".mts", ".cts"].includes(extension) || extension in _extensions) return false;
  if ((process.features as { typescript?: unknown }).typescript) return false;
  try {
    Module.createRequire(filename)("tsx/cjs");
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
    throw noTypeScript();
  }
}

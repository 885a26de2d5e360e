// Loads the app that a file exports.
import Module = require("node:module");
import path = require("node:path");

import { fileURLToPath } from "node:url";

import { theSwitch } from "../../runtime/coroutine";
import { type CodedError, noApp } from "../../runtime/errors";
import { Fiber } from "../../runtime/fiber";
import { importFile } from "../import-file";
import { provideTypeScript } from "../run";
import type { App } from "./app";
import type { UpgradeHandler } from "./upgrade";

/** The path of a file that is given by its path or URL. */
export function pathOf(file: string | URL): string {
  return file instanceof URL || file.startsWith("file:") ? fileURLToPath(file) : path.resolve(file);
}

export interface Loaded {
  app: App;
  /** What the file exports by that name, or the app has. */
  upgrade: UpgradeHandler | undefined;
}

/**
 * The app that a file exports: as `module.exports`, or as its default. CommonJS, whose top-level code runs in a fiber, an ES
 * module, or TypeScript. It is not the main module.
 * @throws ERR_NO_APP if it exports no function; what loading it throws
 */
export async function loadApp(file: string): Promise<Loaded> {
  const require = Module.createRequire(file);
  const filename = require.resolve(file);
  const byTsx = provideTypeScript(filename); // which has it required, whatever it is
  const exports = await load(require, filename, byTsx);
  const candidates = [exports, defaultOf(exports), defaultOf(defaultOf(exports))];
  const app = candidates.find(isFunction);
  if (app === undefined) throw noApp(file);
  return { app: app as App, upgrade: upgradeOf(candidates) };
}

/** What takes upgrades, of an app and what has exported it. */
export function upgradeOf(candidates: unknown[]): UpgradeHandler | undefined {
  const upgrades = candidates.map((one) => (one as { upgrade?: unknown } | null | undefined)?.upgrade);
  return upgrades.find(isFunction) as UpgradeHandler | undefined;
}

async function load(require: NodeJS.Require, filename: string, byTsx: boolean): Promise<unknown> {
  if (!byTsx && /\.m[jt]s$/.test(filename) && !(path.extname(filename) in require.extensions))
    return importFile(filename);
  try {
    if (theSwitch().stacks === null) return require(filename);
    return await new Fiber(() => require(filename), { name: `load ${path.basename(filename)}` }).start();
  } catch (error) {
    if (!asynchronous.has((error as CodedError | undefined)?.code ?? "")) throw error;
    return importFile(filename);
  }
}

function isFunction(value: unknown): boolean {
  return typeof value === "function";
}

/** What an ES module is not required for: this Node cannot, or it has a top-level await. */
const asynchronous = new Set(["ERR_REQUIRE_ESM", "ERR_REQUIRE_ASYNC_MODULE"]);

/** Compilers to CommonJS put it into an object that says so. */
function defaultOf(exports: unknown): unknown {
  return (exports as { default?: unknown } | null | undefined)?.default;
}

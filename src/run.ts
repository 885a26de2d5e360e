// Runs a file as the program, in the main fiber: what `runtime run FILE` and `node --require runtime/run FILE` do.
import Module = require("node:module");
import path = require("node:path");

import vm = require("node:vm");

import { isMainThread } from "node:worker_threads";

import { patch } from "../compat";
import { current } from "../runtime/coroutine";
import type { AnyFunction } from "../runtime/disguise";
import { FiberExit } from "../runtime/errors";
import { exitWasCalled } from "../runtime/guards/exit";
import { info } from "../runtime/info";
import { loadEsMain } from "../runtime/loader-stack";
import { runProgram, UNSETTLED } from "../runtime/main-fiber";
import { importFile } from "./import-file";

type Compile = (this: NodeJS.Module, content: string, filename: string, format?: string) => unknown;

const loader = Module as unknown as {
  _load(request: string, parent: null, isMain: boolean): unknown;
  _findPath(request: string, paths: null, isMain: boolean): string | false;
  _extensions: Record<string, unknown>;
  prototype: { _compile: Compile };
  runMain(main?: string): void;
  stripTypeScriptTypes?(source: string): string;
};
const nodeRunMain = loader.runMain;

/**
 * @internal Patches Node and runs a program in the main fiber, so that it may block from its first line. An ES module
 * with a top-level await, in itself or in what it imports, runs as in plain Node: on the hub.
 * @param program its path, resolved as Node resolves the program that it is given
 */
export function runFile(program: string): void {
  patch();
  const main = path.resolve(program);
  Object.assign(process, { mainModule: undefined }); // the command was; Node sets it, for CommonJS
  const byTsx = provideTypeScript(loader._findPath(main, null, true) || main);
  if (info().switch !== "none") runProgram(() => load(main));
  else if (byTsx) loader._load(main, null, true);
  else nodeRunMain(main);
}

/**
 * @internal The same for the program that Node itself was given, once Node has come to it. For a module that is preloaded.
 * @param preloaded that module's filename: the program's children are not to preload it in turn
 */
export function runFileOfNode(preloaded: string): void {
  patch();
  if (!isMainThread) return;
  const at = process.execArgv.indexOf(preloaded);
  if (at > 0) process.execArgv.splice(at - 1, 2);
  // Node loads what --import names together with the program. So it is given one that in turn runs the program.
  loader.runMain = (main = process.argv[1] as string) => {
    given = main;
    loader.runMain = nodeRunMain;
    nodeRunMain(path.join(__dirname, "run-given.js"));
  };
}

let given = "";

/** @internal */
export function runGiven(): void {
  runFile(given);
}

// There is no catch around the program of CommonJS: V8 would forget the line that threw.
function load(main: string): void {
  keepEsModule(main);
  if ((process.features as { require_module?: boolean }).require_module) loader._load(main, null, true);
  else loadWithoutEsm(main);
}

// Before Node 20.19 and 22.12.
function loadWithoutEsm(main: string): void {
  try {
    loader._load(main, null, true);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ERR_REQUIRE_ESM") throw error;
    nodeRunMain(main);
  }
}

/**
 * Has the main module, if it turns out to be an ES module, evaluated on the running stack, as those are that are required.
 * Node would import it: evaluate it on the hub.
 */
function keepEsModule(main: string): void {
  const { prototype } = loader;
  const compile = prototype._compile;
  let begun = false;
  prototype._compile = function (content, filename, format) {
    const args = [content, filename, format];
    if (begun || this.id !== "." || current === null) return Reflect.apply(compile, this, args);
    begun = true;
    if (prototype._compile === keeping) prototype._compile = compile;
    if (!isEsModule(content, format) || !passAsRequired(this)) return Reflect.apply(compile, this, args);
    try {
      const given = [tellItIsMain(content), filename, format];
      return loadEsMain(current.record, filename, compile as AnyFunction, this, given);
    } catch (error) {
      if (error instanceof FiberExit || !canBeImported(error)) throw error;
      // A top-level await; or a failure, which Node remembers, throws again and reports.
      nodeRunMain(main);
      return failUnlessSettled(filename);
    }
  };
  const keeping = prototype._compile;
}

/** As Node ends with a top-level await that is never settled; what was to be required first, it does not watch. */
function failUnlessSettled(filename: string): void {
  let settled = false;
  const settle = () => {
    settled = true;
  };
  importFile(filename).then(settle, settle);
  process.once("exit", (code) => {
    if (settled || code !== 0 || exitWasCalled()) return;
    process.exitCode = UNSETTLED;
    process.stderr.write(`Warning: Detected unsettled top-level await in ${filename}\n`);
  });
}

/** Node up to 22 does not take it up again if it could not be linked, for something that it imports is missing. */
function canBeImported(error: unknown): boolean {
  return !(error instanceof SyntaxError && error.message.startsWith("The requested module "));
}

/** As Node's loader would do for an ES module; false if this version of it keeps its notes otherwise. */
function passAsRequired(module: NodeJS.Module): boolean {
  const isMain = Object.getOwnPropertySymbols(module).find(({ description }) => description === "kIsMainSymbol");
  if (isMain === undefined) return false;
  Object.assign(module, { [isMain]: false });
  Object.assign(process, { mainModule: undefined });
  return true;
}

/** Of a module that is required, Node would say that it is not. */
function tellItIsMain(content: string): string {
  if (!content.includes("import.meta.main")) return content;
  return content.replace(/^(#!.*\n)?/, (hashbang) => `${hashbang}if ("main" in import.meta) import.meta.main = true; `);
}

/** As Node tells them apart: by what it has found out from names, or else by syntax that CommonJS has not. */
function isEsModule(content: string, format: string | undefined): boolean {
  if (format?.startsWith("module")) return true;
  if (format?.startsWith("commonjs")) return false;
  try {
    const source = format === "typescript" ? stripTypes(content) : content;
    vm.compileFunction(source, ["exports", "require", "module", "__filename", "__dirname"]);
    return false;
  } catch (error) {
    return /^Cannot use (import statement|'import.meta') outside a module|^Unexpected token 'export'/.test(
      (error as Error).message,
    );
  }
}

/** Node warns that this is experimental, in its own name, when it loads the module. */
function stripTypes(content: string): string {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return loader.stripTypeScriptTypes?.(content) ?? content;
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** @internal Node 20 leaves TypeScript to others. True if tsx was loaded for it, which makes CommonJS of all that it is given. */
export function provideTypeScript(filename: string): boolean {
  const extension = path.extname(filename);
  if (![".ts", ".mts", ".cts"].includes(extension) || extension in loader._extensions) return false;
  if ((process.features as { typescript?: unknown }).typescript) return false;
  const require = Module.createRequire(filename);
  try {
    require("tsx/cjs");
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
    process.stderr.write(
      `runtime: Node ${process.version} does not run TypeScript by itself. Install tsx beside the program ` +
        "(npm install --save-dev tsx), or use Node 22.18 or later.\n",
    );
    process.exit(1);
  }
}

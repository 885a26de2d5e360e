// Loads the bundle, with what V8 has kept of its compilation (scripts/code-cache.mjs), if it has for this Node.
import fs = require("node:fs");
import Module = require("node:module");
import path = require("node:path");
import vm = require("node:vm");

type Exports = Record<string, unknown>;
type Wrapper = (exports: Exports, require: NodeJS.Require, module: object, filename: string, dirname: string) => void;

const main = path.join(__dirname, "main.js");
const kept = path.join(__dirname, `main.${process.version}-${process.platform}-${process.arch}.cache`);
/** V8 keeps the file's name, too, and names it in stack traces: after a move it would be another's. */
const place = Buffer.from(`\0${main}`);
const { wrap } = Module as unknown as { wrap(source: string): string };

/** What the bundle exports. */
export function loadMain(): Exports {
  // Node's own loader has to see it for source maps.
  const cachedData = (process as { sourceMapsEnabled?: boolean }).sourceMapsEnabled ? undefined : keptHere();
  const source = cachedData && read(main);
  return source ? run(compile(source, cachedData)) : require("./main.js");
}

/** Keeps what V8 compiles of the bundle for `use` of what it exports. */
export function keepCompiled(use: (exports: Exports) => void): void {
  const script = compile(fs.readFileSync(main));
  use(run(script));
  const own = `${kept}.${process.pid}`;
  fs.writeFileSync(own, Buffer.concat([script.createCachedData(), place]));
  fs.renameSync(own, kept); // another process may read it at any time
}

/** What was kept, if that was here. */
function keptHere(): Buffer | undefined {
  const content = read(kept);
  const end = (content?.length ?? 0) - place.length;
  return content?.subarray(end).equals(place) ? content.subarray(0, end) : undefined;
}

function read(file: string): Buffer | undefined {
  try {
    return fs.readFileSync(file);
  } catch {
    return undefined; // it is not there, or not allowed
  }
}

// V8 finds out by itself whether the data fits its version and its flags, and does without if it does not.
function compile(source: Buffer, cachedData?: Buffer): vm.Script {
  return new vm.Script(wrap(source.toString("latin1")), { filename: main, ...(cachedData && { cachedData }) });
}

function run(script: vm.Script): Exports {
  const module = { exports: {} as Exports };
  (script.runInThisContext() as Wrapper)(module.exports, Module.createRequire(main), module, main, __dirname);
  return module.exports;
}

// fs: the *Sync functions, cooperative.
//
// Each does what its asynchronous twin does and suspends the fiber meanwhile: the same arguments, the same checks, the same
// results and errors. Out of a fiber, and where suspending is not safe, it is Node's own function that runs. What can be
// had at once, from the page cache, a pipe or a terminal, does not suspend.
import fs = require("node:fs");
import path = require("node:path");

import { isPromise } from "node:util/types";

import { asAsync } from "../runtime/as-async";
import { blockLikeNode as block } from "../runtime/block";
import { canSuspend } from "../runtime/coroutine";
import type { AnyFunction } from "../runtime/disguise";
import { FiberExit, invalidReturn } from "../runtime/errors";
import { existsCached, readCached, readNow } from "./cached-files";
import { calledExclusively } from "./exclusive";
import { type Args, call, open, start, twins } from "./fs-twins";
import { type Define, insteadOfNodes, isOthers, type ModulePatch } from "./patching";
import { forget, transfer } from "./readiness";
import { copy, isView, makeDirectories, readWhole, remove, slice, writeAll, writeWhole } from "./whole-files";

/** In a fiber `cooperative`, else Node's own function. */
function replaceSync(define: Define, name: string, cooperative: (args: Args) => unknown, target: object = fs): void {
  define.replace(
    target,
    name,
    (sync) =>
      (...args) =>
        canSuspend() ? cooperative(args) : sync(...args),
  );
}

/**
 * In a fiber `cooperative`, else Node's own function; that one also where the first fails in a way that only Node's own
 * knows how to report in this version. It answers at once then.
 */
function replaceUnless(
  define: Define,
  name: string,
  cooperative: (args: Args, sync: AnyFunction) => unknown,
  retry: (args: Args, code: unknown) => boolean,
): void {
  define.replace(fs, name, (sync) => (...args) => {
    if (!canSuspend()) return sync(...args);
    try {
      return cooperative(args, sync);
    } catch (error) {
      if (retry(args, (error as NodeJS.ErrnoException | undefined)?.code)) return sync(...args);
      throw error;
    }
  });
}

/**
 * The functions that go through a file in several steps look at their signal before each; `aborted` is all they ask
 * it for, and costs less than an AbortController.
 */
function withSignal(options: unknown, signal: { aborted: boolean }): unknown {
  if (options === undefined || options === null) return { signal };
  if (typeof options === "string") return { encoding: options, signal };
  return typeof options === "object" ? { ...options, signal } : options;
}

function replaceWholeFile(
  define: Define,
  name: "readFile" | "writeFile" | "appendFile",
  optionsAt: number,
  cooperative: (args: Args, inSteps: () => unknown, sync: AnyFunction) => unknown,
): void {
  const inSteps = (args: Args) =>
    block<never>((waiter) => {
      const signal = { aborted: false };
      const passed = args.slice(0, optionsAt);
      passed[optionsAt] = withSignal(args[optionsAt], signal);
      start(waiter.callback, name, passed);
      return () => {
        signal.aborted = true;
      };
    });
  replaceUnless(
    define,
    `${name}Sync`,
    (args, sync) => cooperative(args, () => inSteps(args), sync),
    (_, code) => code === "EISDIR",
  );
}

const isNoError: unknown[] = ["ENOENT", "ENOTDIR"];

function replaceStat(define: Define, name: "stat" | "lstat"): void {
  replaceUnless(
    define,
    `${name}Sync`,
    (args) => call(name, args, 2),
    ([, options], code) =>
      (options as fs.StatSyncOptions | undefined)?.throwIfNoEntry === false && isNoError.includes(code),
  );
}

interface Piece {
  offset: unknown;
  length: unknown;
  position: unknown;
}

/** What `readSync` and `writeSync` are told beside the descriptor and the view: an object, or numbers. */
function pieceOf(view: NodeJS.ArrayBufferView, [, , at, length, position]: Args): Piece {
  const given: Partial<Piece> = typeof at === "object" ? (at ?? {}) : { offset: at, length, position };
  const offset = given.offset ?? 0;
  return { offset, length: given.length ?? view.byteLength - (offset as number), position: given.position ?? null };
}

/** Those bytes, if they are to go to or come from where a pipe is; undefined if not, or if there are no such bytes. */
function bytesOf(view: NodeJS.ArrayBufferView, { offset, length, position }: Piece): Uint8Array | undefined {
  const streaming = position === null || position === -1;
  const inside =
    Number.isInteger(offset) && Number.isInteger(length) && (offset as number) >= 0 && (length as number) > 0;
  if (!streaming || !inside || (offset as number) + (length as number) > view.byteLength) return undefined;
  return slice(view, offset as number, length as number);
}

function read(args: Args): number {
  const [fd, buffer] = args as [number, NodeJS.ArrayBufferView];
  const piece = pieceOf(buffer, args);
  const { offset, length, position } = piece;
  const now = readNow(fd, buffer, offset, length, position);
  if (now >= 0) return now;
  const already = -1 - now;
  if (already === 0) {
    const bytes = bytesOf(buffer, piece);
    return (bytes && transfer(fd, [bytes], false)) ?? call("read", [fd, buffer, offset, length, position]);
  }
  // The rest is not in the page cache.
  const from = typeof position === "number" && position >= 0 ? position + already : position;
  const rest = [fd, buffer, (offset as number) + already, (length as number) - already, from];
  return already + call<number>("read", rest);
}

function write(args: Args): number {
  const [fd, data, at] = args;
  if (typeof data === "string") {
    const [, , position = null, encoding = "utf8"] = args;
    const plain = position === null && typeof encoding === "string" && Buffer.isEncoding(encoding);
    const written = plain ? writeAll(fd, [Buffer.from(data, encoding)]) : undefined;
    return written ?? call("write", [fd, data, position, encoding]);
  }
  const bytes = isView(data) ? bytesOf(data, pieceOf(data, args)) : undefined;
  const written = bytes && writeAll(fd, [bytes]);
  if (written !== undefined) return written;
  return at !== null && typeof at === "object" ? call("write", [fd, data, at]) : call("write", args, 5);
}

/** The parts that `readvSync` or `writevSync` is told to transfer where a pipe is; none if they are not of the plain kind. */
function partsOf([, parts, position]: Args): NodeJS.ArrayBufferView[] {
  const plain = Array.isArray(parts) && parts.every((part) => isView(part));
  return plain && typeof position !== "number" ? parts : [];
}

/** `realpathSync` asks for every part of the path: where there is one, the system's own function finds the same in one go. */
function realPath(args: Args): unknown {
  try {
    return block((waiter) => nativeRealPath(args[0], args[1], waiter.callback));
  } catch (error) {
    if ((error as NodeJS.ErrnoException | undefined)?.syscall !== "realpath") throw error;
    return call("realpath", args, 2);
  }
}

const nativeRealPath = fs.realpath.native as AnyFunction;

function exists(file: unknown): boolean {
  const known = existsCached(file);
  if (known !== undefined) return known;
  return block<boolean>((waiter) => {
    try {
      start((error) => waiter.resolve(!error), "access", [file]);
    } catch {
      waiter.resolve(false); // what is no path does not exist
    }
  });
}

/** A filter for the twin, which takes promises, so that `filter` may block. It ends the copying if nobody waits any more. */
function filterFor(filter: AnyFunction | undefined, goesOn: () => boolean): AnyFunction {
  const ask = asAsync((source: string, target: string) => {
    const answer = (filter as AnyFunction)(source, target);
    if (isPromise(answer)) throw invalidReturn("boolean", "filter", "an instance of Promise");
    return answer;
  });
  return async (source, target) => {
    if (!goesOn()) throw new FiberExit();
    return filter === undefined || (await ask(source, target));
  };
}

function copyInSteps(args: Args): void {
  const [from, to, options] = args;
  const { filter } = (options ?? {}) as { filter?: unknown };
  const wrong = options === null || !["object", "undefined"].includes(typeof options);
  if (wrong || (filter !== undefined && typeof filter !== "function")) {
    call("cp", args, 3); // which tells what is wrong
    return;
  }
  block<void>((waiter) => {
    const own = filterFor(filter as AnyFunction | undefined, () => waiter.pending);
    start(waiter.callback, "cp", [from, to, { ...(options as object), filter: own }]);
  });
}

function makeDirectory(args: Args): unknown {
  const made = makeDirectories(args);
  return made === undefined ? call("mkdir", args, 2) : made || undefined;
}

function removeAny(args: Args): void {
  if (!remove(args)) call("rm", args, 2);
}

/** Up to Node 24, the twin throws on the event loop, at nobody, if it is to go into directories whose names are bytes. */
function replaceReaddir(define: Define): void {
  define.replace(fs, "readdirSync", (sync) => (...args) => {
    const [directory, options] = args;
    const { recursive, encoding } = Object(options) as { recursive?: unknown; encoding?: unknown };
    const asBytes = encoding === "buffer" || directory instanceof Uint8Array;
    return canSuspend() && !(recursive && asBytes) ? call("readdir", args, 2) : sync(...args);
  });
}

/** Directories that are read entry by entry. */
function replaceDirectories(define: Define): void {
  const { prototype } = fs.Dir as { prototype: object };
  const { read, close } = prototype as Record<string, AnyFunction>;
  define.replace(fs, "opendirSync", (sync) => (...args) => {
    // The twin throws on the event loop, at nobody, if it does not like the size.
    const { bufferSize = 1 } = (args[1] ?? {}) as { bufferSize?: unknown };
    if (!canSuspend() || !(Number.isInteger(bufferSize) && (bufferSize as number) > 0)) return sync(...args);
    try {
      return block<fs.Dir>((waiter) => {
        waiter.discard = (dir) => close?.call(dir, () => {});
        start(waiter.callback, "opendir", args, 2);
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException | undefined)?.syscall !== "opendir") throw error;
      return sync(...args); // whose error tells more, or less
    }
  });
  const replaceMethod = (name: string, twin: AnyFunction | undefined) => {
    define.replace(
      prototype,
      name,
      (sync) =>
        function (this: fs.Dir) {
          return canSuspend() ? block((waiter) => void twin?.call(this, waiter.callback)) : sync.call(this);
        },
    );
  };
  replaceMethod("readSync", read);
  replaceMethod("closeSync", close);
}

type Glob = (pattern: unknown, options: unknown) => AsyncIterable<unknown>;

function globAll(glob: Glob, [pattern, options]: Args): unknown[] {
  return block<unknown[]>((waiter) => {
    const found: unknown[] = [];
    const search = async () => {
      for await (const one of glob(pattern, options)) {
        if (!waiter.pending) break;
        found.push(one);
      }
      return found;
    };
    waiter.follow(search());
  });
}

/** A directory that was made for a fiber that is gone is removed again. */
function makeTemporary(args: Args): string {
  return block<string>((waiter) => {
    waiter.discard = (made) => start(() => {}, "rmdir", [made]);
    start(waiter.callback, "mkdtemp", args, 2);
  });
}

/** What removes the directory suspends its fiber, too. */
function makeDisposable(args: Args): object {
  const made = makeTemporary(args);
  const full = path.resolve(process.cwd(), String(made)); // wherever the process is when it is to be removed
  const remove = () => fs.rmSync(full, { recursive: true, force: true });
  return {
    path: made,
    remove,
    [(Symbol as unknown as { dispose: symbol }).dispose]() {
      remove();
    },
  };
}

/**
 * Where standard output or error is a file, Node writes to it by the function that is in fs when it comes to it first:
 * its own, from here on. A write under `console.log` must not suspend: the console drops what is thrown into it.
 */
function settleOutput(): void {
  for (const [fd, name] of [
    [1, "stdout"],
    [2, "stderr"],
  ] as const) {
    try {
      // As big integers: up to Node 22, realpathSync looks at the last numbers, and stops if they were a socket's.
      if (fs.fstatSync(fd, { bigint: true }).isFile()) void process[name];
    } catch {
      // closed, and so no file
    }
  }
}

export const fsPatch: ModulePatch = {
  name: "fs",
  apply(given) {
    const define = insteadOfNodes(given);
    settleOutput();
    for (const [name, count] of Object.entries(twins)) {
      replaceSync(define, `${name}Sync`, (args) => call(name, args, count));
    }
    replaceWholeFile(define, "readFile", 1, (args, inSteps, sync) => {
      const known = readCached(args) ?? readWhole(args);
      if (known !== undefined) return known;
      const contents = inSteps() as string | Buffer;
      // The twin keeps it to itself if a descriptor cannot be read.
      return typeof args[0] === "number" && contents.length === 0 ? sync(...args) : contents;
    });
    replaceWholeFile(define, "writeFile", 2, (args, inSteps) => {
      if (!writeWhole(args, "w")) inSteps();
    });
    replaceWholeFile(define, "appendFile", 2, (args, inSteps) => {
      if (!writeWhole(args, "a")) inSteps();
    });
    replaceStat(define, "stat");
    replaceStat(define, "lstat");

    replaceSync(define, "openSync", open);
    replaceUnless(define, "mkdtempSync", makeTemporary, (_, code) => isNoError.includes(code));
    replaceSync(define, "existsSync", ([file]) => exists(file));
    replaceUnless(define, "mkdirSync", makeDirectory, (_, code) => code === "ENOTDIR");
    replaceUnless(define, "rmSync", removeAny, (_, code) => code === "ENOTDIR");
    replaceSync(define, "cpSync", (args) => {
      if (!copy(args)) copyInSteps(args);
    });
    replaceSync(define, "realpathSync", realPath);
    replaceSync(
      define,
      "native",
      (args) => block((waiter) => nativeRealPath(args[0], args[1], waiter.callback)),
      fs.realpathSync,
    );
    const { glob } = fs.promises as unknown as { glob?: Glob };
    if (glob) replaceSync(define, "globSync", (args) => globAll(glob, args));
    replaceSync(define, "mkdtempDisposableSync", makeDisposable);

    given.replace(fs, "closeSync", (sync) => {
      const isNodes = !isOthers(sync);
      return (...args) => {
        forget(args[0]); // whoever closes it
        return isNodes && canSuspend() ? call("close", args, 1) : sync(...args);
      };
    });

    define.replace(fs, "readSync", (sync) => (...args) => {
      const [, buffer, at] = args;
      const named = args.length <= 3 || typeof at === "object";
      const wrong = !isView(buffer) || (named && at !== undefined && (typeof at !== "object" || Array.isArray(at)));
      return canSuspend() && !wrong ? read(args) : sync(...args);
    });
    define.replace(
      fs,
      "writeSync",
      (sync) =>
        function replacement(...args) {
          return canSuspend() && !calledExclusively(replacement) ? write(args) : sync(...args);
        },
    );
    replaceSync(define, "readvSync", (args) => transfer(args[0], partsOf(args), false) ?? call("readv", args, 3));
    replaceSync(define, "writevSync", (args) => writeAll(args[0], partsOf(args)) ?? call("writev", args, 3));
    replaceReaddir(define);
    replaceDirectories(define);
  },
};

// fs: the *Sync functions, cooperative.
//
// Each runs its asynchronous twin and suspends the fiber meanwhile: the same arguments, the same checks, the same
// results and errors. Out of a fiber, and where suspending is not safe, it is Node's own function that runs. What the page
// cache can answer at once does not suspend.
import fs = require("node:fs");

import { block, type Waiter } from "../runtime/block";
import { canSuspend } from "../runtime/coroutine";
import type { AnyFunction } from "../runtime/disguise";
import { existsCached, readCached, readNow } from "./cached-files";
import { calledExclusively } from "./exclusive";
import type { Define, ModulePatch } from "./patching";

/** Functions whose twin takes the same arguments and calls back with the result; and how many arguments that is. */
const twins: Record<string, number> = {
  access: 2,
  chmod: 2,
  chown: 3,
  close: 1,
  copyFile: 3,
  cp: 3,
  fchmod: 2,
  fchown: 3,
  fdatasync: 1,
  fstat: 2,
  fsync: 1,
  ftruncate: 2,
  futimes: 3,
  lchown: 3,
  link: 2,
  lutimes: 3,
  mkdir: 2,
  mkdtemp: 2,
  readdir: 2,
  readlink: 2,
  readv: 3,
  realpath: 2,
  rename: 2,
  rmdir: 2,
  statfs: 2,
  symlink: 3,
  truncate: 2,
  unlink: 1,
  utimes: 3,
  writev: 3,
};

/** The asynchronous twins as they are now, whatever is done to the module later. */
const async: Record<string, AnyFunction> = {};
const others = ["readFile", "writeFile", "appendFile", "stat", "lstat", "open", "rm", "read", "write"];
for (const name of [...Object.keys(twins), ...others])
  async[name] = (fs as unknown as typeof async)[name] as AnyFunction;

function start(waiter: Waiter<never>, name: string, args: unknown[], count: number): void {
  const passed = args.slice(0, count);
  passed.length = count;
  (async[name] as AnyFunction)(...passed, waiter.callback);
}

function replaceTwin(define: Define, name: string, count: number): void {
  define.replace(
    fs,
    `${name}Sync`,
    (sync) =>
      (...args) =>
        canSuspend() ? block<never>((waiter) => start(waiter, name, args, count)) : sync(...args),
  );
}

/** A file that was opened for a fiber that is gone. */
function closeUnseen(fd: number): void {
  async.close?.(fd, () => {});
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
  atOnce: (args: unknown[]) => unknown = () => undefined,
): void {
  const inSteps = (args: unknown[]) =>
    block<never>((waiter) => {
      const signal = { aborted: false };
      const passed = args.slice(0, optionsAt);
      passed.length = optionsAt;
      (async[name] as AnyFunction)(...passed, withSignal(args[optionsAt], signal), waiter.callback);
      return () => {
        signal.aborted = true;
      };
    });
  define.replace(
    fs,
    `${name}Sync`,
    orElse(
      (args) => atOnce(args) ?? inSteps(args),
      (_, code) => code === "EISDIR",
    ),
  );
}

/**
 * In a fiber `cooperative`, else Node's own function; that one also where the first fails in a way that only Node's own
 * knows how to report in this version. It answers at once then.
 */
function orElse(cooperative: (args: unknown[]) => unknown, retry: (args: unknown[], code: unknown) => boolean) {
  return (sync: AnyFunction): AnyFunction =>
    (...args) => {
      if (!canSuspend()) return sync(...args);
      try {
        return cooperative(args);
      } catch (error) {
        if (retry(args, (error as NodeJS.ErrnoException | undefined)?.code)) return sync(...args);
        throw error;
      }
    };
}

function replaceStat(define: Define, name: "stat" | "lstat"): void {
  const isMissing = ([, options]: unknown[], code: unknown) =>
    (options as fs.StatSyncOptions | undefined)?.throwIfNoEntry === false && (code === "ENOENT" || code === "ENOTDIR");
  define.replace(
    fs,
    `${name}Sync`,
    orElse((args) => block<never>((waiter) => start(waiter, name, args, 2)), isMissing),
  );
}

/** Reads what is still missing after the first `already` bytes, which were to be had at once; returns how many it is in all. */
function readRest(
  fd: number,
  buffer: NodeJS.ArrayBufferView,
  offset: number,
  count: number,
  position: unknown,
  already: number,
): number {
  const from = typeof position === "number" && position >= 0 ? position + already : position;
  const rest = block<number>((waiter) => {
    async.read?.(fd, buffer, offset + already, already === 0 ? count : count - already, from, waiter.callback);
  });
  return already + rest;
}

export const fsPatch: ModulePatch = {
  name: "fs",
  apply(define) {
    for (const [name, count] of Object.entries(twins)) replaceTwin(define, name, count);
    replaceWholeFile(define, "readFile", 1, readCached);
    replaceWholeFile(define, "writeFile", 2);
    replaceWholeFile(define, "appendFile", 2);
    replaceStat(define, "stat");
    replaceStat(define, "lstat");

    define.replace(fs, "openSync", (sync) => (...args) => {
      if (!canSuspend()) return sync(...args);
      return block<number>((waiter) => {
        waiter.discard = closeUnseen;
        start(waiter as Waiter<never>, "open", args, 3);
      });
    });

    define.replace(fs, "existsSync", (sync) => (path) => {
      if (!canSuspend()) return sync(path);
      const known = existsCached(path);
      if (known !== undefined) return known;
      return block<boolean>((waiter) => {
        try {
          async.access?.(path, (error: unknown) => waiter.resolve(!error));
        } catch {
          waiter.resolve(false); // what is no path does not exist
        }
      });
    });

    define.replace(fs, "rmSync", (sync) => (...args) => {
      if (!canSuspend()) return sync(...args);
      return block<void>((waiter) => start(waiter as Waiter<never>, "rm", args, 2));
    });

    define.replace(
      fs,
      "readSync",
      (sync) =>
        function readSync(
          fd: number,
          buffer: NodeJS.ArrayBufferView,
          at?: unknown,
          length?: number,
          position?: unknown,
        ) {
          // biome-ignore lint/complexity/noArguments: as in Node's function, their number matters
          const given = arguments as unknown as unknown[];
          const named = given.length <= 3 || (at !== null && typeof at === "object");
          if (!canSuspend() || !ArrayBuffer.isView(buffer) || (named && at !== undefined && typeof at !== "object")) {
            return sync(...given);
          }
          const options = named ? ((at ?? {}) as fs.ReadSyncOptions) : { offset: at as number, length, position };
          const offset = (options.offset ?? 0) as number;
          const count = named ? (options.length ?? buffer.byteLength - offset) : length;
          const from = options.position ?? null;
          const read = readNow(fd, buffer, offset, count, from);
          return read >= 0 ? read : readRest(fd, buffer, offset, count as number, from, -1 - read);
        },
    );

    define.replace(
      fs,
      "writeSync",
      (sync) =>
        function replacement(...args) {
          if (!canSuspend() || calledExclusively(replacement)) return sync(...args);
          return block<number>((waiter) => {
            const [fd, data] = args;
            if (typeof data === "string") async.write?.(fd, data, args[2] ?? null, args[3] ?? "utf8", waiter.callback);
            else if (args[2] !== null && typeof args[2] === "object") async.write?.(fd, data, args[2], waiter.callback);
            else async.write?.(fd, data, args[2], args[3], args[4], waiter.callback);
          });
        },
    );
  },
};

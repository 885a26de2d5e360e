// The asynchronous twins of fs's *Sync functions, as they are now, whatever is done to the module later.
import fs = require("node:fs");

import { blockLikeNode as block } from "../runtime/block";
import type { AnyFunction } from "../runtime/disguise";

export type Args = readonly unknown[];

/** Functions whose twin takes the same arguments and calls back with the result; and how many arguments that is. */
export const twins: Record<string, number> = {
  access: 2,
  chmod: 2,
  chown: 3,
  copyFile: 3,
  fchmod: 2,
  fchown: 3,
  fdatasync: 1,
  fstat: 2,
  fsync: 1,
  ftruncate: 2,
  futimes: 3,
  lchmod: 2,
  lchown: 3,
  link: 2,
  lutimes: 3,
  readlink: 2,
  rename: 2,
  rmdir: 2,
  statfs: 2,
  symlink: 3,
  truncate: 2,
  unlink: 1,
  utimes: 3,
};

/** These need more than that; see fs.ts. */
const others = [
  ...[
    "readFile",
    "writeFile",
    "appendFile",
    "stat",
    "lstat",
    "open",
    "opendir",
    "close",
    "mkdir",
    "mkdtemp",
    "rm",
    "cp",
    "readdir",
    "realpath",
  ],
  ...["read", "readv", "write", "writev"],
];
const module = fs as unknown as Record<string, AnyFunction>;
const async: Record<string, AnyFunction | undefined> = {};
for (const name of [...Object.keys(twins), ...others]) async[name] = module[name];

type Callback = (error?: unknown, value?: never) => void;

/** Calls a twin with its first `count` arguments; missing ones are undefined. */
export function start(callback: Callback, name: string, args: Args, count = args.length): void {
  const passed = args.slice(0, count);
  passed.length = count;
  (async[name] as AnyFunction)(...passed, callback);
}

/** Waits for a twin. */
export function call<T>(name: string, args: Args, count = args.length): T {
  return block<T>((waiter) => start(waiter.callback, name, args, count));
}

/** Waits for `open`. A file that was opened for a fiber that is gone is closed again. */
export function open(args: Args): number {
  return block<number>((waiter) => {
    waiter.discard = (fd) => start(() => {}, "close", [fd]);
    start(waiter.callback, "open", args, 3);
  });
}

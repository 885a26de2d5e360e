// The functions of fs that do with a file, or a tree of them, all that there is to do: one trip to the pool each, where the
// twins would need one for every step. What is unusual in any way, they leave to the twins.
import fs = require("node:fs");
import path = require("node:path");

import { blockLikeNode as block } from "../runtime/block";
import { FileJob } from "../runtime/switch";
import { encodingOf, pathOf, utf8 } from "./cached-files";
import { inPool } from "./file-work";
import { type Args, call, open } from "./fs-twins";
import { transfer, writerOf } from "./readiness";

const { O_APPEND, O_CREAT, O_EXCL, O_NONBLOCK, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY } = fs.constants;
// Of a pipe, a terminal or a socket. It never waits, unlike others.
const { closeSync } = fs;

/** What is larger goes in steps, so that nobody waits long for his turn in the pool. */
const LARGEST = 4 * 1024 * 1024;
const PIECE = 64 * 1024;
/** Others have their turn after so many pieces, also if there is always more to read. */
const PIECES_AT_ONCE = 16;

/** What is left to read from a pipe, a terminal, a socket; undefined for other kinds of descriptors. */
function readToEnd(fd: number): Buffer | undefined {
  const pieces: Buffer[] = [];
  for (;;) {
    const piece = Buffer.allocUnsafe(PIECE);
    const count =
      transfer(fd, [piece], false) ?? (pieces.length > 0 ? call<number>("read", readArgs(fd, piece)) : null);
    if (count === null) return undefined;
    if (count === 0) return Buffer.concat(pieces);
    pieces.push(count < PIECE / 2 ? Buffer.from(piece.subarray(0, count)) : piece.subarray(0, count));
    if (pieces.length % PIECES_AT_ONCE === 0) block<void>((waiter) => waiter.turn());
  }
}

function readArgs(fd: number, piece: Buffer): unknown[] {
  return [fd, piece, 0, piece.byteLength, null];
}

/** Neither plain file nor directory. Opened so that a fifo's writer need not be there yet. */
function readSpecial(file: string | Uint8Array): Buffer | undefined {
  const fd = open([file, O_RDONLY | O_NONBLOCK]);
  try {
    writerOf(fd);
    return readToEnd(fd);
  } finally {
    closeSync(fd);
  }
}

/** The result of `readFileSync` with these arguments; undefined if that is for its twin to find out. */
export function readWhole([file, options]: Args): string | Buffer | undefined {
  const encoding = encodingOf(options);
  if (encoding === undefined) return undefined;
  const asUtf8 = encoding !== null && utf8.has(encoding);
  let contents: string | Buffer | null | undefined;
  if (typeof file === "number") {
    contents = readToEnd(file);
  } else {
    const known = pathOf(file);
    if (known === undefined) return undefined;
    contents = inPool<string | Buffer>(FileJob.Read, known, { asUtf8 });
    if (contents === null) contents = readSpecial(known);
  }
  return encoding !== null && Buffer.isBuffer(contents) ? contents.toString(encoding) : contents;
}

/**
 * Writes all of it to a pipe, a terminal, a socket or the like: how many bytes, however many calls it takes. Undefined for
 * other kinds of descriptors.
 */
export function writeAll(fd: unknown, parts: readonly NodeJS.ArrayBufferView[]): number | undefined {
  let rest = parts;
  let total = 0;
  do {
    let count = transfer(fd, rest, true);
    if (count == null) {
      if (total === 0) return undefined;
      count = call<number>("writev", [fd, rest, null]);
    }
    total += count;
    rest = without(rest, count);
  } while (rest.length > 0);
  return total;
}

/** What is left of `parts` after the first `count` bytes. */
function without(parts: readonly NodeJS.ArrayBufferView[], count: number): NodeJS.ArrayBufferView[] {
  let skip = count;
  const rest: NodeJS.ArrayBufferView[] = [];
  for (const part of parts) {
    const skipped = Math.min(skip, part.byteLength);
    skip -= skipped;
    if (skipped < part.byteLength) rest.push(slice(part, skipped, part.byteLength - skipped));
  }
  return rest;
}

export function isView(value: unknown): value is NodeJS.ArrayBufferView {
  return ArrayBuffer.isView(value);
}

/** Some of a view's bytes, which stay where they are. */
export function slice(view: NodeJS.ArrayBufferView, offset: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + offset, length);
}

const openFlags: Record<string, number> = {
  "r+": O_RDWR,
  w: O_TRUNC | O_CREAT | O_WRONLY,
  wx: O_TRUNC | O_CREAT | O_WRONLY | O_EXCL,
  "w+": O_TRUNC | O_CREAT | O_RDWR,
  "wx+": O_TRUNC | O_CREAT | O_RDWR | O_EXCL,
  a: O_APPEND | O_CREAT | O_WRONLY,
  ax: O_APPEND | O_CREAT | O_WRONLY | O_EXCL,
  "a+": O_APPEND | O_CREAT | O_RDWR,
  "ax+": O_APPEND | O_CREAT | O_RDWR | O_EXCL,
};

interface Writing {
  encoding: BufferEncoding;
  flags: number;
  mode: number;
}

/** What `writeFileSync`'s options ask for; undefined if that is anything unusual. */
function writingOf(options: unknown, usual: "w" | "a"): Writing | undefined {
  const given = typeof options === "string" ? { encoding: options } : (options ?? {});
  if (typeof given !== "object") return undefined;
  const { encoding = "utf8", flag = usual, mode = 0o666, flush, signal } = given as Record<string, unknown>;
  const flags = openFlags[flag as string];
  if (typeof flag !== "string" || flags === undefined || !isMode(mode)) return undefined;
  if (typeof encoding !== "string" || !Buffer.isEncoding(encoding)) return undefined;
  if ((flush !== undefined && flush !== false) || signal !== undefined) return undefined;
  return { encoding, flags, mode };
}

function isMode(mode: unknown): mode is number {
  return Number.isInteger(mode) && (mode as number) >= 0 && (mode as number) <= 0o7777;
}

/** Does what `writeFileSync`, or `appendFileSync`, does; undefined if that is for its twin to do. */
export function writeWhole([file, data, options]: Args, usual: "w" | "a"): true | undefined {
  const how = writingOf(options, usual);
  if (how === undefined || (typeof data !== "string" && !isView(data))) return undefined;
  const asBytes = () => (typeof data === "string" ? Buffer.from(data, how.encoding) : data);
  if (typeof file === "number") return writeAll(file, [asBytes()]) === undefined ? undefined : true;
  const known = pathOf(file);
  const size = typeof data === "string" ? data.length : data.byteLength;
  if (known === undefined || size > LARGEST) return undefined;
  const contents = asBytes();
  const done = inPool<string>(FileJob.Write, known, { data: contents, flags: how.flags, mode: how.mode });
  if (done === undefined) return undefined;
  if (done === null) writeSpecial(known, contents, how);
  return true;
}

function writeSpecial(file: string | Uint8Array, data: NodeJS.ArrayBufferView, { flags, mode }: Writing): void {
  const fd = open([file, flags, mode]);
  try {
    if (writeAll(fd, [data]) === undefined) call("writeFile", [fd, data]);
  } finally {
    closeSync(fd);
  }
}

/** With an empty part, or one that is . or .., or with a slash at its end: what is meant is for Node to say. */
const unusual = /\/\.{0,2}(\/|$)|^$/;

function plainPath(file: unknown): string | undefined {
  const known = pathOf(file);
  return typeof known === "string" && !unusual.test(known) ? known : undefined;
}

/** `options` if they are an object, or there are none, and have nothing but these, as booleans. */
function plainOptions(options: unknown, names: readonly string[]): Record<string, boolean | undefined> | undefined {
  if (options === undefined) return {};
  if (typeof options !== "object" || options === null) return undefined;
  const plain = Object.entries(options).every(
    ([name, value]) => names.includes(name) && (value === undefined || typeof value === "boolean"),
  );
  return plain ? (options as Record<string, boolean | undefined>) : undefined;
}

/**
 * Does what `mkdirSync` does if it is to be recursive: the first directory that was made, empty if none was; undefined if
 * that is for its twin to do.
 */
export function makeDirectories([file, options]: Args): string | undefined {
  const known = plainPath(file);
  const { recursive, mode = 0o777 } = (options ?? {}) as Record<string, unknown>;
  if (known === undefined || recursive !== true || !isMode(mode)) return undefined;
  return inPool<string>(FileJob.MakeDirectories, known, { mode }) ?? undefined;
}

/** Does what `rmSync` does; undefined if that is for its twin to do, or to tell what is wrong with it. */
export function remove([file, options]: Args): true | undefined {
  const known = plainPath(file);
  const plain = plainOptions(options, ["recursive", "force"]);
  if (known === undefined || plain === undefined) return undefined;
  return inPool<string>(FileJob.Remove, known, { flags: plain.recursive ? 1 : 0 }) === undefined ? undefined : true;
}

/** Does what `cpSync` does for plain files and directories; likewise. */
export function copy([from, to, options]: Args): true | undefined {
  const source = plainPath(from);
  const target = plainPath(to);
  const plain = plainOptions(options, ["recursive", "force"]);
  if (source === undefined || target === undefined || plain === undefined || plain.force === false) return undefined;
  const details = { data: path.resolve(target), flags: plain.recursive ? 1 : 0 };
  return inPool<string>(FileJob.Copy, path.resolve(source), details) === undefined ? undefined : true;
}

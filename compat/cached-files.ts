// What the page cache can tell of files at once, so that nobody need suspend for it. (Linux; elsewhere nothing is known.)
import { fileURLToPath } from "node:url";
import { addonForPaths } from "./file-work";

/** Half of a character, which Node's own functions replace. */
const surrogate = /\p{Surrogate}/u;

/** A path as the addon takes it; undefined for what is none, which Node's own functions know how to report. */
export function pathOf(path: unknown): string | Uint8Array | undefined {
  if (typeof path === "string") return path.includes("\0") || surrogate.test(path) ? undefined : path;
  if (path instanceof Uint8Array) return path.includes(0) ? undefined : path;
  if (!(path instanceof URL) || path.protocol !== "file:") return undefined;
  try {
    return pathOf(fileURLToPath(path));
  } catch {
    return undefined;
  }
}

/** The encoding that `readFileSync`'s options ask for, null for bytes; undefined if they ask for anything unusual. */
export function encodingOf(options: unknown): BufferEncoding | null | undefined {
  if (options === undefined || options === null) return null;
  let encoding: unknown = options;
  if (typeof options === "object") {
    const { flag, buffer } = options as { flag?: unknown; buffer?: unknown };
    if (buffer !== undefined) return undefined; // Node 26 puts the contents there
    if (flag !== undefined && flag !== null && flag !== "r") return undefined;
    ({ encoding } = options as { encoding?: unknown });
  }
  if (encoding === undefined || encoding === null) return null;
  return typeof encoding === "string" && Buffer.isEncoding(encoding) ? encoding : undefined;
}

/** More than this is no small file: to copy it would keep other fibers waiting. */
const LARGEST = 128 * 1024;
/** What is read into first: how large a file is only the addon learns. */
let scratch: Buffer | undefined;
export const utf8 = new Set<string>(["utf8", "utf-8", "UTF8", "UTF-8"]);

/** The result of `readFileSync` with these arguments, if it can be had at once; else undefined. */
export function readCached([path, options]: readonly unknown[]): string | Buffer | undefined {
  const known = pathOf(path);
  const encoding = encodingOf(options);
  if (known === undefined || encoding === undefined) return undefined;
  scratch ??= Buffer.allocUnsafeSlow(LARGEST + 1);
  const contents = addonForPaths()?.readCached(known, scratch, encoding !== null && utf8.has(encoding));
  if (typeof contents !== "number") return contents;
  const bytes = scratch.subarray(0, contents);
  return encoding === null ? Buffer.from(bytes) : bytes.toString(encoding);
}

/** The result of `existsSync`, if it can be had at once; else undefined. */
export function existsCached(path: unknown): boolean | undefined {
  const known = pathOf(path);
  const answer = known === undefined ? -1 : (addonForPaths()?.existsCached(known) ?? -1);
  return answer < 0 ? undefined : answer === 1;
}

/**
 * Reads from a descriptor what can be had at once: how many bytes, if that is all up to `length` or the end; -1 - n if it
 * was n, and the rest has to be waited for. -1 too for arguments that are not of the plain kind.
 */
export function readNow(
  fd: unknown,
  bytes: NodeJS.ArrayBufferView,
  offset: unknown,
  length: unknown,
  position: unknown,
) {
  const from = position === null || position === undefined ? -1 : position;
  if (!isIndex(fd, 2 ** 31 - 1) || !isIndex(offset, bytes.byteLength)) return -1;
  if (!isIndex(length, bytes.byteLength - offset) || length === 0) return -1;
  if (from !== -1 && !isIndex(from, Number.MAX_SAFE_INTEGER)) return -1;
  return addonForPaths()?.readNow(fd, bytes, offset, length, from) ?? -1;
}

function isIndex(value: unknown, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most;
}

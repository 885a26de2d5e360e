// zlib: the *Sync functions, cooperative.
//
// Each runs its callback twin, which works in Node's thread pool, and suspends the fiber meanwhile; also for a few
// bytes, for which the way there and back takes longer than the work. Node's own function cannot be looked at while it
// works; this one can: an input that another fiber changes meanwhile is compressed as it is when its turn comes. The
// engine that the option `info` hands out is a stream that has ended and is destroyed; Node's own leaves it as it was.

import { isAnyArrayBuffer } from "node:util/types";

import { blockLikeNode as block } from "../runtime/block";
import { canSuspend } from "../runtime/coroutine";
import type { AnyFunction } from "../runtime/disguise";
import { callBackInFiber } from "./callbacks";
import { type Define, insteadOfNodes, type ModulePatch } from "./patching";

const EMIT_METADATA = 3; // zlib.constants.BROTLI_OPERATION_EMIT_METADATA

/** The functions by the name of their twin, and the largest flush flag that they take. Not all Nodes have zstd's. */
const twins: Record<string, number> = {
  deflate: 5, // Z_BLOCK
  inflate: 5,
  gzip: 5,
  gunzip: 5,
  deflateRaw: 5,
  inflateRaw: 5,
  unzip: 5,
  brotliCompress: EMIT_METADATA,
  brotliDecompress: EMIT_METADATA,
  zstdCompress: 2, // ZSTD_e_end
  zstdDecompress: 2,
};

/** All options that mean something to a *Sync function, save `flush`. */
const known = [
  "chunkSize",
  "dictionary",
  "finishFlush",
  "info",
  "level",
  "maxOutputLength",
  "memLevel",
  "params",
  "pledgedSrcSize",
  "rejectGarbageAfterEnd",
  "strategy",
  "windowBits",
];

/**
 * The twin is a stream: it would also take what a *Sync function does not know (`objectMode`, `transform`). It takes all
 * bytes first, and is told then that these were all; a *Sync function works by `finishFlush` from the start, which other
 * bytes and other errors can come of. So that is the twin's `flush`; a wrong one it shall see, and refuse. Not so for zstd,
 * which would begin another frame at the end.
 */
function streamOptions(name: string, options: unknown, signal: AbortSignal): Record<string, unknown> {
  const given = Object(options) as Record<string, unknown>;
  const passed: Record<string, unknown> = { signal };
  for (const option of known) if (given[option] !== undefined) passed[option] = given[option];
  const largest = twins[name] as number;
  const { flush, finishFlush = largest - 1 } = given; // the default is to finish: Z_FINISH, BROTLI_OPERATION_FINISH
  if (flush !== undefined && !isFlush(flush, largest)) passed.flush = flush;
  else if (isFlush(finishFlush, largest) && !name.startsWith("zstd")) passed.flush = finishFlush;
  return passed;
}

function isFlush(value: unknown, largest: number): boolean {
  return Number.isFinite(value) && (value as number) >= 0 && (value as number) <= largest;
}

function replaceTwin(define: Define, zlib: Record<string, AnyFunction>, name: string): void {
  const twin = zlib[name] as AnyFunction;
  define.replace(zlib, `${name}Sync`, (sync) => (...args) => {
    const [input, options] = args;
    const isInput = typeof input === "string" || ArrayBuffer.isView(input) || isAnyArrayBuffer(input);
    if (!canSuspend() || !isInput) return sync(...args); // which says what is wrong
    const bytes = typeof input === "string" ? Buffer.from(input) : input;
    // At the end, the twin would emit them once more.
    if (name === "brotliCompress" && options?.finishFlush === EMIT_METADATA) return sync(...args);
    // zstd has two ways to be told the size, one of which the twin does not have.
    if (name === "zstdCompress" && (options?.pledgedSrcSize !== undefined || options?.finishFlush !== undefined))
      return sync(...args);
    try {
      return block((waiter) => {
        const abort = new AbortController();
        const passed = streamOptions(name, options, abort.signal);
        // All at once, zstd knows how much it is, and adapts to it.
        if (name === "zstdCompress") passed.pledgedSrcSize = bytes.byteLength;
        twin(bytes, passed, waiter.callback);
        return () => abort.abort();
      });
    } catch (error) {
      // Node 22 knows that error in the twin only.
      if ((error as NodeJS.ErrnoException | null)?.code !== "ERR_TRAILING_JUNK_AFTER_STREAM_END") throw error;
      return sync(...args);
    }
  });
}

export const zlibPatch: ModulePatch = {
  name: "zlib",
  apply(define) {
    const zlib = require("node:zlib"); // not before: it takes milliseconds to load
    const node = insteadOfNodes(define);
    for (const name of Object.keys(twins)) {
      replaceTwin(node, zlib, name);
      callBackInFiber(define, zlib, name);
    }
  },
};

// Modules that fibers are loading.
//
// What may suspend in the middle is the top-level code of a CommonJS module, which is in the cache before it has run. So it
// is known here which fiber loads it, and others wait until it is done (guards/modules.ts).
import { types } from "node:util";
import type { FiberRecord } from "./observe/record";
import { Line } from "./sync/line";

/** A module from the moment that a fiber begins to load it until it is loaded, or that has failed. */
export class Load {
  /** Who loads it. Not the fiber itself, which is to be unwound when it is garbage. */
  readonly #record: FiberRecord;
  readonly #line = new Line();
  #ended = false;

  constructor(record: FiberRecord) {
    this.#record = record;
  }

  get loader(): string {
    return this.#record.name || "(anonymous)";
  }

  /** Whether it will not go on before `record`'s fiber does: a cycle of modules, through one fiber or several. */
  isHeldUpBy(record: FiberRecord): boolean {
    // Who waits for one that has ended goes on at its next turn.
    for (let load: Load | undefined = this; load !== undefined && !load.#ended; load = awaited.get(load.#record)) {
      if (load.#record === record) return true;
    }
    return false;
  }

  /** Suspends the running fiber until it has ended, in whatever way. */
  wait(record: FiberRecord): void {
    awaited.set(record, this);
    try {
      this.#line.wait(Number.POSITIVE_INFINITY, undefined);
    } finally {
      awaited.delete(record);
    }
  }

  end(): void {
    this.#ended = true;
    this.#record.loading--;
    this.#line.serveAll();
  }
}

/** What the fibers wait for that require a module which another one loads. */
const awaited = new Map<FiberRecord, Load>();

const loads = new Map<NodeJS.Module, Load>();

/** `record`'s fiber begins to load `module`. */
export function beginLoad(module: NodeJS.Module, record: FiberRecord): Load {
  const load = new Load(record);
  loads.set(module, load);
  record.loading++;
  return load;
}

/** It is loaded, or has failed. */
export function endLoad(module: NodeJS.Module, load: Load): void {
  load.end();
  loads.delete(module);
}

/**
 * Of which module that is not loaded yet these are the exports.
 * @param isOther tells, of modules that export the same as one that is being loaded, whether it is another one that was
 *   asked for
 */
export function halfLoaded(
  exports: unknown,
  isOther: (module: NodeJS.Module) => boolean,
): { module: NodeJS.Module; load: Load } | undefined {
  if ((typeof exports !== "object" || exports === null) && typeof exports !== "function") return undefined;
  for (const [module, load] of loads) {
    if (module.exports === exports && !isOther(module)) return { module, load };
  }
  return undefined;
}

/**
 * Node takes who requires a module in the middle of its evaluation for a part of a cycle, and has its exports warn of
 * everything that they lack. Takes that back.
 */
export function endWarnings(exports: object): void {
  if (types.isProxy(Object.getPrototypeOf(exports))) Object.setPrototypeOf(exports, Object.prototype);
}

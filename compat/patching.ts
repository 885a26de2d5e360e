// How Node's modules are patched: selectively, once, visibly, and so that it can be undone.
import Module = require("node:module");
import path = require("node:path");

import { type AnyFunction, disguise } from "../runtime/disguise";
import { invalidArgument } from "../runtime/errors";
import { isProgram } from "../runtime/program";
import { addonOrNull } from "../runtime/switch";

/** One of Node's modules (or globals), and what is replaced in it or added to it. */
export interface ModulePatch {
  readonly name: string;
  apply(define: Define): void;
}

export interface Define {
  /** Puts `make(original)` in the place of a function, under its name, length and other properties. */
  replace(target: object, key: string, make: (original: AnyFunction) => AnyFunction): void;
  /** Adds a function that Node lacks. If Node has one by that name, it stays. */
  add(target: object, key: string, value: AnyFunction): void;
}

/** Whether others have put `fn` in the place of a function of Node's. Where there are no fibers it does not matter. */
export function isOthers(fn: AnyFunction): boolean {
  return addonOrNull() !== null && isProgram(fn);
}

/**
 * For what does Node's work in another way, instead of calling what it replaces: that of others it does not know, such as reading
 * from archives. Theirs is called, and blocks.
 */
export function insteadOfNodes(define: Define): Define {
  return {
    ...define,
    replace(target, key, make) {
      define.replace(target, key, (original) => {
        if (!isOthers(original)) return make(original);
        return function (this: unknown, ...args) {
          return Reflect.apply(original, this, args);
        };
      });
    },
  };
}

/** What became of a name: `node` has it by itself, so it was not added; it is `absent` in this version of Node. */
export type NameStatus = "cooperative" | "added" | "node" | "absent";

/** A name of a module, "readFileSync" or "Socket#readSync", that is to be patched. */
export interface PatchedName {
  readonly module: string;
  readonly name: string;
  readonly status: NameStatus;
}

interface Change {
  readonly target: object;
  readonly key: string;
  readonly before: PropertyDescriptor | undefined;
  /** What takes its place: made once for each original, however often that is patched. */
  readonly value: AnyFunction;
  /** What it replaces; undefined if it was added. */
  readonly original: AnyFunction | undefined;
}

/** What is patched that is no module. */
const globals: Record<string, object> = { Atomics, fetch: globalThis, fibers: Module };

export class Patches {
  readonly #modules: Map<string, ModulePatch>;
  readonly #changes = new Map<string, Change[]>();
  readonly #patched = new Map<string, PatchedName[]>();
  readonly #history = new History();
  #everApplied = false;

  constructor(modules: ModulePatch[]) {
    this.#modules = new Map(modules.map((module) => [module.name, module]));
  }

  get names(): string[] {
    return [...this.#modules.keys()];
  }

  #check(name: unknown): string {
    if (typeof name !== "string" || !this.#modules.has(name)) {
      throw invalidArgument("name", `one of ${this.names.join(", ")}`, name);
    }
    return name;
  }

  isPatched(name: string): boolean {
    return this.#changes.has(this.#check(name));
  }

  /** What `key` of a module was before it was patched; what it is, if it is not. */
  original(name: string, key: string): unknown {
    const changes = this.#changes.get(this.#check(name));
    const change = changes?.find((one) => one.key === key);
    if (change) return change.original;
    return moduleNamed(name)[key];
  }

  apply(names: string[]): void {
    if (!this.#everApplied) warnIfLate();
    this.#everApplied = true;
    for (const name of names) {
      if (this.#changes.has(name)) continue;
      const changes: Change[] = [];
      const patched: PatchedName[] = [];
      const note = (target: object, key: string, status: NameStatus) => {
        patched.push({ module: name, name: nameOf(moduleNamed(name), target, key), status });
      };
      (this.#modules.get(name) as ModulePatch).apply(recorder(changes, this.#history, note));
      this.#changes.set(name, changes);
      this.#patched.set(name, patched);
    }
    Module.syncBuiltinESMExports();
  }

  /** What has been patched, or would have been, were it there: for docs/patched.md. */
  get patched(): PatchedName[] {
    return [...this.#patched.values()].flat();
  }

  undo(names: string[]): void {
    for (const name of names) {
      for (const change of (this.#changes.get(name) ?? []).reverse()) takeBack(change, this.#history);
      this.#changes.delete(name);
    }
    Module.syncBuiltinESMExports();
  }
}

/**
 * A module that ran before may have taken functions out of Node's modules (`const { readFileSync } = require("fs")`): it
 * keeps the originals. Which did cannot be seen, so all are named that could have.
 */
function warnIfLate(): void {
  const own = path.join(__dirname, "..") + path.sep;
  const early = Object.entries(require.cache) // by file name, which not every module object in there has
    .filter(([file, module]) => module?.loaded && !file.startsWith(own))
    .map(([file]) => file);
  if (early.length === 0) return;
  const shown = early.slice(0, 3);
  const more = early.length > shown.length ? `, and ${early.length - shown.length} more` : "";
  process.emitWarning(
    `runtime/patch was loaded after ${shown.join(", ")}${more}: functions that they took out of Node's modules stay ` +
      "unpatched. Import it first.",
    { type: "RuntimeWarning", code: "RUNTIME_LATE_PATCH" },
  );
}

function moduleNamed(name: string): Record<string, unknown> {
  const module: unknown = globals[name] ?? process.getBuiltinModule?.(name) ?? require(name);
  return module as Record<string, unknown>;
}

/** What people call `target[key]`: "key" of the module itself, "Class#key", or "part.key". */
function nameOf(module: Record<string, unknown>, target: object, key: string): string {
  if (target === module) return key;
  if (target.constructor.prototype === target) return `${target.constructor.name}#${key}`;
  const part = Object.keys(module).find((name) => module[name] === target);
  return `${part ?? (target === globalThis ? "globalThis" : "?")}.${key}`;
}

/** All changes that there ever were, by what they have put somewhere, and by what they have replaced there. */
class History {
  readonly #byValue = new Places();
  readonly #byOriginal = new Places();
  /** Those that hold. */
  readonly applied = new Set<Change>();

  /** The change that has put `fn` where it is. */
  made(target: object, key: string, fn: unknown): Change | undefined {
    return this.#byValue.at(target, key).get(fn as AnyFunction);
  }

  /** The change that has replaced `fn` there. */
  replaced(target: object, key: string, fn: AnyFunction): Change | undefined {
    return this.#byOriginal.at(target, key).get(fn);
  }

  put(change: Change): void {
    const { target, key, value, original } = change;
    this.applied.add(change);
    this.#byValue.at(target, key).set(value, change);
    if (original) this.#byOriginal.at(target, key).set(original, change);
  }
}

/** Changes by place and function. */
class Places {
  readonly #targets = new WeakMap<object, Map<string, WeakMap<AnyFunction, Change>>>();

  at(target: object, key: string): WeakMap<AnyFunction, Change> {
    let keys = this.#targets.get(target);
    if (!keys) this.#targets.set(target, (keys = new Map()));
    let changes = keys.get(key);
    if (!changes) keys.set(key, (changes = new WeakMap()));
    return changes;
  }
}

/** Puts back what was there. What others have put over it since is theirs, and stays. */
function takeBack(applied: Change, history: History): void {
  const { target, key } = applied;
  const now: unknown = Object.getOwnPropertyDescriptor(target, key)?.value;
  const change = history.made(target, key, now); // perhaps an earlier one, which somebody has put back in the meantime
  history.applied.delete(applied);
  if (!change || history.applied.has(change)) return;
  if (change.before) Object.defineProperty(target, key, change.before);
  else delete (target as Record<string, unknown>)[key];
}

function recorder(
  changes: Change[],
  history: History,
  note: (target: object, key: string, status: NameStatus) => void,
): Define {
  const put = (change: Change) => {
    changes.push(change);
    history.put(change);
    Object.defineProperty(change.target, change.key, {
      configurable: true,
      enumerable: change.before?.enumerable ?? false,
      writable: true,
      value: change.value,
    });
  };
  /** Whether it is there already: somebody had put something over it when it was to be taken back, and is gone now. */
  const remains = (target: object, key: string, now: unknown) => {
    const known = history.made(target, key, now);
    if (!known || history.applied.has(known)) return false;
    history.applied.add(known);
    changes.push(known);
    return true;
  };
  return {
    replace(target, key, make) {
      const before = Object.getOwnPropertyDescriptor(target, key);
      const now: unknown = (target as Record<string, unknown>)[key]; // inherited, perhaps
      if (typeof now !== "function" || before?.configurable === false) {
        note(target, key, "absent");
        return;
      }
      note(target, key, "cooperative");
      if (remains(target, key, now)) return;
      const original = now as AnyFunction;
      const value = history.replaced(target, key, original)?.value ?? make(original);
      put({ target, key, before, value: disguise(value, original), original });
    },
    add(target, key, value) {
      if (remains(target, key, (target as Record<string, unknown>)[key])) {
        note(target, key, "added");
        return;
      }
      note(target, key, key in target ? "node" : "added");
      if (key in target) return;
      put({ target, key, before: undefined, value: disguise(value, value), original: undefined });
    },
  };
}

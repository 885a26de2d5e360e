// Native addons that call back synchronously.
//
// Node-API counts the handle scopes that an addon has opened, per environment, and checks at the end of every call that
// the number is what it was at the beginning. Two fibers that suspend in callbacks of such calls and come back in
// another order abort the process. JavaScript cannot see those frames, but it can see the calls: every function that an
// addon exports is wrapped, so that nothing suspends below it. (Functions that an addon hands out later, as results,
// are out of reach.)
import { current, pinned } from "../coroutine";
import { type AnyFunction, disguise, replace } from "../disguise";
import { loadsAddon } from "../switch";

const why = "a native addon's function is on the stack";
const wrappers = new WeakMap<object, unknown>();

function guardFunction(fn: AnyFunction): AnyFunction {
  const known = wrappers.get(fn);
  if (known !== undefined) return known as AnyFunction;
  const wrapper = function (this: unknown, ...args: unknown[]): unknown {
    if (new.target !== undefined) {
      const target = new.target === wrapper ? fn : new.target;
      return current === null
        ? Reflect.construct(fn, args, target)
        : pinned(why, () => Reflect.construct(fn, args, target));
    }
    return current === null ? Reflect.apply(fn, this, args) : pinned(why, () => Reflect.apply(fn, this, args));
  };
  wrappers.set(fn, wrapper);
  wrappers.set(wrapper, wrapper);
  disguise(wrapper, fn);
  if (fn.prototype && typeof fn.prototype === "object") {
    wrapper.prototype = fn.prototype;
    guardMembers(fn.prototype);
    if (fn.prototype.constructor === fn) {
      Object.defineProperty(fn.prototype, "constructor", { value: wrapper, configurable: true, writable: true });
    }
  }
  guardMembers(wrapper);
  return wrapper;
}

function guardMembers(holder: object): void {
  for (const key of Reflect.ownKeys(holder)) {
    if (key === "prototype" || key === "constructor" || key === "arguments" || key === "caller") continue;
    const descriptor = Object.getOwnPropertyDescriptor(holder, key) as PropertyDescriptor;
    if (!descriptor.configurable) continue;
    if ("value" in descriptor) {
      const value = guardExport(descriptor.value);
      if (value !== descriptor.value) Object.defineProperty(holder, key, { ...descriptor, value });
    } else {
      Object.defineProperty(holder, key, {
        ...descriptor,
        get: descriptor.get && guardFunction(descriptor.get),
        set: descriptor.set && guardFunction(descriptor.set),
      });
    }
  }
}

function guardExport(value: unknown): unknown {
  if (typeof value === "function") return guardFunction(value as AnyFunction);
  if (typeof value === "object" && value !== null && !wrappers.has(value)) {
    const prototype = Object.getPrototypeOf(value);
    if (prototype !== Object.prototype && prototype !== null) return value; // somebody's instance, not a namespace
    wrappers.set(value, value);
    guardMembers(value);
  }
  return value;
}

/** Guards the methods of native objects that nobody exports. False if that was done before. */
export function guardPrototype(prototype: object): boolean {
  if (wrappers.has(prototype)) return false;
  wrappers.set(prototype, prototype);
  guardMembers(prototype);
  return true;
}

export function guardAddons(): void {
  for (const module of Object.values(require.cache)) {
    if (module?.filename?.endsWith(".node")) module.exports = guardExport(module.exports);
  }
  replace(
    process,
    "dlopen",
    (dlopen) =>
      function (this: unknown, ...args: unknown[]) {
        const result = Reflect.apply(dlopen, this, args);
        const module = args[0] as { exports?: unknown } | undefined;
        // Our own knows what it does, and is called for every event and every chunk.
        if (module && !loadsAddon) module.exports = guardExport(module.exports);
        return result;
      },
  );
}

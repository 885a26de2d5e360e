// Array#join in a fiber, and so String(array) too.
//
// V8 keeps the arrays that are being joined, to notice cycles, in one list for all stacks. Two fibers that suspend in an
// element's toString and come back in another order abort the process; and two that join one array take each other for
// a cycle. So in a fiber arrays with objects in them are joined here, with a list for each fiber.
import { type Coroutine, current, currentRoot, inOneGo } from "../coroutine";
import { replace } from "../disguise";

/** What each fiber is joining. */
const joining = new WeakMap<Coroutine, object[]>();

function joinInFiber(target: ArrayLike<unknown>, separator: unknown, list: object[]): string {
  const length = Math.min(Math.max(Math.trunc(Number(target.length)) || 0, 0), Number.MAX_SAFE_INTEGER);
  const between = separator === undefined ? "," : `${separator}`;
  if (list.includes(target)) return ""; // a cycle
  list.push(target);
  try {
    let text = "";
    for (let i = 0; i < length; i++) {
      if (i > 0) text += between;
      const element = target[i];
      if (element !== undefined && element !== null) text += `${element}`;
    }
    return text;
  } finally {
    list.splice(list.lastIndexOf(target), 1);
  }
}

function holdsNoObjects(target: unknown): boolean {
  return (
    Array.isArray(target) && target.every((element) => typeof element !== "object" && typeof element !== "function")
  );
}

export function guardArrayJoin(): void {
  replace(
    Array.prototype,
    "join",
    (join) =>
      function (this: unknown, ...args: unknown[]) {
        if (
          current === null ||
          this === null ||
          this === undefined ||
          (holdsNoObjects(this) && typeof args[0] !== "object")
        ) {
          return Reflect.apply(join, this, args);
        }
        const fiber = currentRoot() as Coroutine;
        let list = joining.get(fiber);
        if (list === undefined) joining.set(fiber, (list = []));
        return joinInFiber(Object(this), args[0], list);
      },
  );
  const why = "inside toLocaleString of an array";
  for (const prototype of [Array.prototype, Object.getPrototypeOf(Uint8Array.prototype)]) {
    replace(prototype, "toLocaleString", (localize) => inOneGo(localize, why));
  }
}

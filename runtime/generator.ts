// Coroutines in the style of generators, whose points of suspension are to be seen: each `yield` waits.
import { wait } from "./wait";

// biome-ignore lint/suspicious/noExplicitAny: any function
type AnyFunction = (this: any, ...args: any[]) => any;

/** `fn` itself; if it is a generator function, one that waits for whatever it yields, and returns what it returns. */
export function stepped<F extends AnyFunction>(fn: F): F {
  if (!isGeneratorFunction(fn)) return fn;
  return function (this: unknown, ...args: unknown[]) {
    return drive(Reflect.apply(fn, this, args));
  } as F;
}

function isGeneratorFunction(fn: object): boolean {
  if (Object.getPrototypeOf(fn) === Function.prototype) return false; // what most are
  return (fn as { [Symbol.toStringTag]?: unknown })[Symbol.toStringTag] === "GeneratorFunction";
}

function drive(generator: Generator): unknown {
  let step = generator.next();
  while (!step.done) {
    let value: unknown;
    try {
      value = wait(step.value);
    } catch (error) {
      step = generator.throw(error);
      continue;
    }
    step = generator.next(value);
  }
  return step.value;
}

// vm scripts with a timeout, or that break on SIGINT, and modules of vm.
//
// Node runs a watchdog for the time of the call, which terminates whatever JavaScript the thread then executes. A fiber
// that suspended inside would hand that fate to the hub, or to another fiber. And V8 aborts the process when a module is
// evaluated, or one that imports it, in the middle of its evaluation.
import vm = require("node:vm");

import { inOneGo } from "../coroutine";
import { type AnyFunction, replace } from "../disguise";

interface RunOptions {
  timeout?: unknown;
  breakOnSigint?: unknown;
}

export function guardVm(): void {
  replace(vm.Script.prototype, "runInThisContext", (run) => inOneGoIfWatched(run, 0));
  replace(vm.Script.prototype, "runInContext", (run) => inOneGoIfWatched(run, 1));
  const { SourceTextModule } = vm as { SourceTextModule?: { prototype: object } };
  if (!SourceTextModule) return;
  const { prototype } = SourceTextModule;
  replace(Object.getPrototypeOf(prototype), "evaluate", (evaluate) => inOneGo(evaluate, "inside a module of vm"));
}

function inOneGoIfWatched(run: AnyFunction, optionsAt: number): AnyFunction {
  const watched = inOneGo(run, "inside a vm script that is watched for its time or for SIGINT");
  return function (this: unknown, ...args: unknown[]) {
    const options = args[optionsAt] as RunOptions | undefined;
    const isWatched = options?.timeout !== undefined || options?.breakOnSigint;
    return Reflect.apply(isWatched ? watched : run, this, args);
  };
}

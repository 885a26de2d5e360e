// vm scripts with a timeout, or that break on SIGINT, and modules of vm.
//
// Node runs a watchdog for the time of the call, which terminates whatever JavaScript the thread then executes. A fiber
// that suspended inside would hand that fate to the hub, or to another fiber. And V8 aborts the process when a module is
// evaluated, or one that imports it, in the middle of its evaluation.
import vm = require("node:vm");

import { current, pinned } from "../coroutine";
import { replace } from "../disguise";

interface RunOptions {
  timeout?: unknown;
  breakOnSigint?: unknown;
}

export function guardVm(): void {
  const guard = (target: object, key: string, optionsAt: number) =>
    replace(
      target,
      key,
      (run) =>
        function (this: unknown, ...args: unknown[]) {
          const options = args[optionsAt] as RunOptions | undefined;
          if (current === null || !(options?.timeout !== undefined || options?.breakOnSigint)) {
            return Reflect.apply(run, this, args);
          }
          return pinned("inside a vm script that is watched for its time or for SIGINT", () =>
            Reflect.apply(run, this, args),
          );
        },
    );
  guard(vm.Script.prototype, "runInThisContext", 0);
  guard(vm.Script.prototype, "runInContext", 1);
  const { SourceTextModule } = vm as { SourceTextModule?: { prototype: object } };
  if (SourceTextModule) guardModules(Object.getPrototypeOf(SourceTextModule.prototype));
}

function guardModules(prototype: object): void {
  replace(
    prototype,
    "evaluate",
    (evaluate) =>
      function (this: unknown, ...args: unknown[]) {
        return pinned("inside a module of vm", () => Reflect.apply(evaluate, this, args));
      },
  );
}

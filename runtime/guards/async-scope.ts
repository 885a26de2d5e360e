// AsyncResource#runInAsyncScope in a fiber.
//
// Node keeps one stack of async scopes for the thread. A scope that a fiber pushed would lie on it when the fiber
// suspends, below whatever the hub and other fibers push: Node aborts the process ("async hook stack has become
// corrupted"). So in a fiber such a call runs as a coroutine of its own, in that resource: its scope is entered around
// its resumes, on the resumer's stack, and balances. To the program it is the same fiber.
import { AsyncResource } from "node:async_hooks";
import { block, shielded } from "../block";
import { begin, Coroutine, canSuspend, current, hasRoom, State } from "../coroutine";

class Scope extends Coroutine {
  failed = false;
  outcome: unknown;
  whenSettled: (() => void) | null = null;

  constructor(
    host: Coroutine,
    resource: AsyncResource,
    fn: (...args: never[]) => unknown,
    self: unknown,
    args: unknown[],
  ) {
    super(host.record, fn, self, args, host.stackSize, resource);
    this.host = host;
  }

  protected override settle(failed: boolean, outcome: unknown): void {
    this.failed = failed;
    this.outcome = outcome;
    const host = this.host as Coroutine;
    host.child = null;
    host.interrupts = this.interrupts; // which have not appeared yet
    this.whenSettled?.();
  }
}

// `plainly`: without a stack of its own it cannot suspend, and where there is no room for one it must go without.
function runAsScope(host: Coroutine, scope: Scope, plainly: () => unknown): unknown {
  // A stack overflow between the entering of a scope and its leaving would leave it entered, and Node aborts the process.
  if (!hasRoom()) throw new RangeError("Maximum call stack size exceeded");
  if (!scope.prepare()) return plainly();
  scope.interrupts = host.interrupts;
  scope.shields = host.shields;
  host.interrupts = null;
  host.child = scope;
  begin(scope);
  if (scope.state !== State.Dead) {
    shielded(() =>
      block<void>((waiter) => {
        scope.whenSettled = () => waiter.resolveLater();
      }),
    );
  }
  if (scope.failed) throw scope.outcome;
  return scope.outcome;
}

export function guardAsyncScopes(): void {
  const original = AsyncResource.prototype.runInAsyncScope;
  const { name } = original;
  const guarded = {
    [name](this: AsyncResource, fn: (...args: never[]) => unknown, self?: unknown, ...args: unknown[]): unknown {
      if (current === null || typeof fn !== "function" || !canSuspend()) {
        return Reflect.apply(original, this, [fn, self, ...args]);
      }
      const plainly = () => Reflect.apply(original, this, [fn, self, ...args]);
      return runAsScope(current, new Scope(current, this, fn, self, args), plainly);
    },
  }[name] as typeof original;
  Object.defineProperty(guarded, "length", { value: original.length, configurable: true });
  AsyncResource.prototype.runInAsyncScope = guarded;
}

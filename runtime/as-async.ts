// Blocking functions for those who want promises.
import { begin, current, theSwitch } from "./coroutine";
import { checkFunction, FiberExit } from "./errors";
import { Fiber, nameOf, newRecord } from "./fiber";

/**
 * A function that calls `fn`, with the same arguments and `this`, in a fiber of its own each time, and returns a
 * promise of its outcome: for frameworks and libraries that want promise-returning handlers. It has `fn`'s name and
 * length. The fiber starts at once (at the hub's next turn, when called in a fiber), in the caller's async context.
 *
 * The promise is rejected with what `fn` throws, and with the `FiberExit` if the fiber is killed. If `fn` returns a
 * promise, that one's outcome counts. Where there are no fibers, `fn` is called right away.
 *
 * @throws ERR_INVALID_ARG_TYPE if `fn` is no function; calls never throw
 * @example fastify.get("/users", asAsync((request) => db.query("select * from users").rows));
 */
// biome-ignore lint/suspicious/noExplicitAny: any function
export function asAsync<F extends (this: any, ...args: any[]) => unknown>(
  fn: F,
): (this: ThisParameterType<F>, ...args: Parameters<F>) => Promise<Awaited<ReturnType<F>>> {
  checkFunction(fn, "fn");
  const asynchronous = function (this: unknown, ...args: unknown[]) {
    return new Promise<unknown>((resolve, reject) => {
      if (theSwitch().stacks === null) {
        resolve(Reflect.apply(fn, this, args));
        return;
      }
      const fiber = new Fiber(fn, {}, this, args, newRecord(nameOf(fn)));
      fiber.link(({ exception, successful, value }) => {
        if (successful && !(value instanceof FiberExit)) resolve(value);
        else reject(successful ? value : exception);
      });
      if (current === null) begin(fiber);
      else fiber.start();
    });
  };
  Object.defineProperty(asynchronous, "name", { value: fn.name, configurable: true });
  Object.defineProperty(asynchronous, "length", { value: fn.length, configurable: true });
  return asynchronous as never;
}

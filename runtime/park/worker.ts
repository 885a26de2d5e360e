// The park worker: carries out operations for a thread that sleeps meanwhile (park.ts), and holds what they opened. A
// bundle of its own, so that nothing of the rest of the package is loaded here.
import { runAsWorker } from "synckit";
import { expire } from "../clock";
import { describeError } from "./failure";
import { type Operation, operations, type Reply } from "./operations";
import { portable } from "./portable";

runAsWorker(async (name: Operation, ms: number, args: unknown[]): Promise<Reply> => {
  const aborter = new AbortController();
  const { signal } = aborter;
  const expiry = expire(ms, () => aborter.abort());
  try {
    const operation = operations[name] as (signal: AbortSignal, ...args: unknown[]) => unknown;
    const outcome = operation(signal, ...args);
    return { value: portable(await (expiry ? Promise.race([outcome, aborted(signal)]) : outcome)) };
  } catch (error) {
    return signal.aborted ? { timedOut: true } : { failure: describeError(error, __filename) };
  } finally {
    expiry?.cancel();
  }
});

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
}

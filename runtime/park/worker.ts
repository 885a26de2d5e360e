// The park worker: carries out operations for a thread that sleeps meanwhile (park.ts), and holds what they opened. A
// bundle of its own, so that nothing of the rest of the package is loaded here.
import { MessageChannel, type MessagePort, receiveMessageOnPort, workerData } from "node:worker_threads";
import { runAsWorker } from "synckit";
import { expire } from "../clock";
import { describeError } from "./failure";
import { type Operation, operations, type Reply } from "./operations";
import { Patience } from "./operations/patience";
import { type Bytes, isLarge, LINE, portable } from "./portable";

const { port1: line, port2: callersEnd } = new MessageChannel();

/** What goes with the next message to the caller, and not as a copy. */
let transferred: (MessagePort | ArrayBuffer)[] = [];

// synckit clones whatever it sends. Should it once send in another way, all is cloned, and only slower.
const { workerPort } = workerData as { workerPort: MessagePort };
const post = workerPort.postMessage;
workerPort.postMessage = (message: unknown) => {
  const along = transferred;
  transferred = [];
  Reflect.apply(post, workerPort, [message, along]);
};

runAsWorker(async (name: Operation | typeof LINE, ms: number, args: unknown[], large?: number[]): Promise<Reply> => {
  if (name === LINE) {
    transferred = [callersEnd];
    return { value: callersEnd };
  }
  if (large) unpack(args, large);
  const patience = ms === Number.POSITIVE_INFINITY ? Patience.endless : new Patience();
  const expiry = expire(ms, () => patience.end());
  try {
    const operation = operations[name] as (patience: Patience, ...args: unknown[]) => unknown;
    const outcome = operation(patience, ...args);
    const value = portable(await (expiry ? Promise.race([outcome, ended(patience)]) : outcome));
    if (isLarge(value)) transferred = [value.buffer];
    return { value };
  } catch (error) {
    return patience.over ? { timedOut: true } : { failure: describeError(error, __filename) };
  } finally {
    expiry?.cancel();
  }
});

/** Puts the large arguments of this call in their places. What came before them is of a call that failed. */
function unpack(args: unknown[], large: number[]): void {
  let parcel: Bytes[] = [];
  for (let got = receiveMessageOnPort(line); got; got = receiveMessageOnPort(line)) parcel = got.message as Bytes[];
  for (const [at, position] of large.entries()) args[position] = parcel[at];
}

function ended(patience: Patience): Promise<never> {
  return new Promise((_, reject) => patience.atEnd(() => reject(new Error("The caller waits no more"))));
}

// Settings of the process.
import { invalidArgument } from "./errors";
import { checkStackSize, setDefaultStackSize } from "./fiber";
import { checkMaxServerFibers, serverFibers } from "./listener";
import { setRunInfoSignal } from "./observe/run-info";

export interface Settings {
  /** Bytes of stack for the JavaScript of each fiber that is created from now on. */
  stackSize?: number;
  /** The signal at which `runInfo()` is printed to standard error, "SIGUSR2" for example; null: none. */
  runInfoSignal?: NodeJS.Signals | null;
  /** How many fibers servers may have started that have not ended; requests and connections above that wait. */
  maxServerFibers?: number;
}

const { RUNTIME_STACK_SIZE, RUNTIME_MAX_SERVER_FIBERS } = process.env;
if (RUNTIME_STACK_SIZE) setDefaultStackSize(checkStackSize(Number(RUNTIME_STACK_SIZE), "RUNTIME_STACK_SIZE"));
if (RUNTIME_MAX_SERVER_FIBERS) {
  serverFibers.most = checkMaxServerFibers(Number(RUNTIME_MAX_SERVER_FIBERS), "RUNTIME_MAX_SERVER_FIBERS");
}

/**
 * Settings of the process (of this thread, that is).
 * @param options.stackSize bytes of stack for the JavaScript of each fiber that is created from now on;
 *   also RUNTIME_STACK_SIZE in the environment. Default 1,048,576, a little more than Node's main thread has.
 * @param options.runInfoSignal the signal, "SIGUSR2" for example, at which `runInfo()` is printed to standard error;
 *   also RUNTIME_INFO_SIGNAL in the environment. Default null: none. It does not keep the process alive; worker threads
 *   get no signals, there it has no effect.
 * @param options.maxServerFibers how many fibers the patched servers may have started, for requests and connections,
 *   that have not ended: what comes above that waits its turn; also RUNTIME_MAX_SERVER_FIBERS. Default 10,000.
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; nothing is changed then
 */
export function configure(options: Settings): void {
  if (typeof options !== "object" || options === null) throw invalidArgument("options", "of type object", options);
  const { stackSize, runInfoSignal, maxServerFibers } = options;
  const size = stackSize === undefined ? undefined : checkStackSize(stackSize, "options.stackSize");
  const most =
    maxServerFibers === undefined ? undefined : checkMaxServerFibers(maxServerFibers, "options.maxServerFibers");
  if (runInfoSignal !== undefined) setRunInfoSignal(runInfoSignal, "options.runInfoSignal");
  if (most !== undefined) serverFibers.most = most;
  if (size !== undefined) setDefaultStackSize(size);
}

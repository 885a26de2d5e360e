// child_process: execSync, execFileSync and spawnSync, cooperative; and waiting for a child that was started with spawn.
//
// In a fiber the child is started by `spawn`, and what Node's own function does in C++ (lib/child_process.js and
// src/spawn_sync.cc) is done here with its streams: input, output, time limit, limit of output. Whatever does not come
// to a running child is left to Node's own function, which fails at once, and knows how: wrong arguments, a program that
// is not there. So are forms of `stdio` that spawn does not take.
//
// When the fiber is killed, so is the child: by the call's `killSignal` if it names one, else by SIGKILL, which no child
// survives (as Python's subprocess.run does it). Its pipes are closed, nobody waits for it any longer, also if it survives
// the signal that the call has named. Only the child itself gets the signal, as with `timeout`; processes that it has
// started are on their own. Input that another fiber changes before the child has taken it reaches the child changed.
import type childProcess from "node:child_process";
import type { Socket } from "node:net";
import { getSystemErrorMap } from "node:util";

import { blockLikeNode, type Waiter } from "../runtime/block";
import { type Expiry, expire } from "../runtime/clock";
import { canBlock, canSuspend } from "../runtime/coroutine";
import type { AnyFunction } from "../runtime/disguise";
import { blockWithin, checkLimit, EXPIRED, type Limit, sleepOf, timeoutOf } from "../runtime/limit";
import { heed } from "../runtime/park/operations/streams";
import { Timeout } from "../runtime/sync/timeout";
import { callBackInFiber } from "./callbacks";
import { inOrder, listenInFibers } from "./emitters";
import { endOf } from "./parked/child";
import { insteadOfNodes, type ModulePatch } from "./patching";
import { systemError } from "./system-error";

declare module "child_process" {
  interface ChildProcess {
    /**
     * Waits until the process has ended: suspends the fiber until the "exit" event. At once, in a fiber or not, if it
     * has ended already. Its output may still be in the pipes: what nobody has begun to read by the fiber's next
     * blocking call is thrown away, as ever after that event. A child that writes more than its pipe holds, about
     * 64 KiB, waits for somebody to read it; so read first (`child.stdout.textSync()`), then wait.
     * When the fiber is killed meanwhile, the child goes on. Out of a fiber, on Linux, the thread sleeps until the
     * process of this user has ended; its "exit" event comes when the event loop turns.
     * @param limit the longest to wait: milliseconds, an AbortSignal, or { timeout, signal }; default: without end. Out of a
     *   fiber milliseconds only: ERR_NOT_IN_FIBER. The child goes on
     * @returns the exit code, or the name of the signal that ended the process; the other one is null
     * @throws what the "error" event brings: ENOENT and the like, if the process could not be started; Timeout when the
     *   time was over first; AbortError when the signal was aborted first; ERR_NOT_IN_FIBER out of a fiber, if it runs,
     *   where the system does not tell
     */
    waitSync(limit?: Limit): { code: number | null; signal: NodeJS.Signals | null };
  }
}

type Result = childProcess.SpawnSyncReturns<Buffer | string | null>;
type Options = Omit<childProcess.SpawnSyncOptions, "stdio"> & { stdio?: unknown };

/** As it was when child_process was patched; loading that takes a millisecond. */
let spawn: typeof childProcess.spawn;

const MAX_BUFFER = 1024 * 1024;

/** `error` of a result: as Node makes it for spawnSync, or for spawn. */
function spawnError(errno: number, call: string, child: childProcess.ChildProcess): NodeJS.ErrnoException {
  const error = systemError(errno, `${call} ${child.spawnfile}`);
  return Object.assign(error, { path: child.spawnfile, spawnargs: child.spawnargs.slice(1) });
}

function errnoOf(code: string): number {
  for (const [errno, [name]] of getSystemErrorMap()) if (name === code) return errno;
  return -1;
}

/** `stdio` as spawn takes it; undefined if it has a form that means something else to spawn, or nothing. */
function stdioForSpawn(stdio: unknown): unknown[] | undefined {
  if (typeof stdio === "string") stdio = stdio === "inherit" ? [0, 1, 2] : [stdio, stdio, stdio];
  if (!Array.isArray(stdio) || Object.keys(stdio).length < stdio.length) return undefined;
  const forSpawn = [...stdio];
  while (forSpawn.length < 3) forSpawn.push(undefined);
  const isKnown = (one: unknown) =>
    one === undefined ||
    one === null ||
    one === "pipe" ||
    one === "ignore" ||
    one === "inherit" ||
    typeof one === "number" ||
    typeof (one as { fd?: unknown }).fd === "number";
  return forSpawn.every(isKnown) ? forSpawn : undefined;
}

/** The bytes for the child's standard input, or none; "wrong" if Node's own function would refuse them. */
function inputBytes({ input, encoding }: Options): NodeJS.ArrayBufferView | undefined | "wrong" {
  if (!input) return undefined;
  if (ArrayBuffer.isView(input)) return input;
  const known = encoding === undefined || encoding === null || Buffer.isEncoding(encoding);
  return typeof input === "string" && known ? Buffer.from(input, encoding as BufferEncoding) : "wrong";
}

/** A child, from its start to the result. */
class Run {
  readonly #child: childProcess.ChildProcess;
  readonly #options: Options;
  readonly #waiter: Waiter<Run | undefined>;
  readonly #output: (Buffer[] | null)[];
  readonly #pipes: Socket[];
  readonly #timer: Expiry | null;
  readonly #maxBuffer: number;
  #size = 0;
  /** What still is to happen until the result is complete: the child's "close", and the end of its input. */
  #open = 1;
  #error: number | undefined;
  #pipeError: number | undefined;
  #stopped = false;

  constructor(child: childProcess.ChildProcess, options: Options, waiter: Waiter<Run | undefined>) {
    this.#child = child;
    this.#options = options;
    this.#waiter = waiter;
    this.#pipes = child.stdio.filter((stream) => stream !== null) as Socket[];
    this.#maxBuffer = "maxBuffer" in options ? options.maxBuffer || Number.POSITIVE_INFINITY : MAX_BUFFER;
    this.#output = child.stdio.map((stream, fd) => (stream && fd > 0 ? this.#collect(stream as Socket) : null));
    child.on("error", () => {}); // of kill()
    child.on("close", () => this.#ended());
    this.#timer = expire(options.timeout || Number.POSITIVE_INFINITY, () => this.#stop("ETIMEDOUT"));
  }

  write(input: NodeJS.ArrayBufferView | undefined): void {
    const stdin = this.#child.stdin as Socket | null;
    if (!stdin) return;
    // Else Node breaks the writing off as the child exits: Node's own spawnSync waits for who else may read it.
    this.#child.stdin = null;
    this.#open++;
    stdin.on("error", (error) => this.#failed(error));
    stdin.on("close", () => this.#ended());
    if (input) stdin.write(new Uint8Array(input.buffer, input.byteOffset, input.byteLength));
    stdin.end();
  }

  /** Nobody waits any longer. */
  abandon(): void {
    this.#close();
    this.#kill("SIGKILL");
    this.#child.unref();
  }

  #kill(usual: NodeJS.Signals): void {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    try {
      this.#child.kill(this.#options.killSignal ?? usual);
    } catch {
      this.#child.kill("SIGKILL"); // the system does not have that signal: as Node's own spawnSync does
    }
  }

  #collect(stream: Socket): Buffer[] {
    const chunks: Buffer[] = [];
    stream.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      this.#size += chunk.length;
      if (this.#size > this.#maxBuffer) this.#stop("ENOBUFS");
    });
    stream.on("error", (error) => this.#failed(error));
    return chunks;
  }

  #failed(error: NodeJS.ErrnoException): void {
    if (!this.#stopped) this.#pipeError ??= error.errno;
  }

  #stop(code: string): void {
    if (this.#stopped) return;
    this.#error = errnoOf(code);
    this.#close();
    this.#kill("SIGTERM");
  }

  #close(): void {
    this.#stopped = true;
    this.#timer?.cancel();
    for (const pipe of this.#pipes) pipe.destroy();
  }

  #ended(): void {
    if (--this.#open > 0) return;
    this.#close();
    this.#waiter.resolve(this);
  }

  /** What has come of it; made in the fiber, as the error shall show where that is. */
  result(): Result {
    const { exitCode, pid, signalCode } = this.#child;
    const encoding = this.#options.encoding as BufferEncoding | "buffer" | null | undefined;
    const bytes = this.#output.map((chunks) => chunks && Buffer.concat(chunks));
    const output = encoding && encoding !== "buffer" ? bytes.map((one) => (one ? one.toString(encoding) : one)) : bytes;
    const errno = this.#error ?? this.#pipeError;
    // In this order, as it is seen when a result is printed.
    return {
      ...(errno === undefined ? {} : { error: spawnError(errno, "spawnSync", this.#child) }),
      status: signalCode === null ? exitCode : null,
      signal: signalCode,
      output,
      pid,
      stdout: output[1],
      stderr: output[2],
    } as Result;
  }
}

/** The result of a child in the running fiber; undefined if this is a case for Node's own function. */
function spawnInFiber(file: string, args: readonly string[], options: Options): Result | undefined {
  const input = inputBytes(options);
  const stdio = stdioForSpawn(options.stdio || "pipe");
  const { maxBuffer, timeout } = options;
  const wrong =
    input === "wrong" ||
    !stdio ||
    (maxBuffer != null && !(typeof maxBuffer === "number" && maxBuffer >= 0)) ||
    (timeout != null && !(Number.isInteger(timeout) && timeout >= 0));
  if (wrong) return undefined;
  const run = blockLikeNode<Run | undefined>((waiter) => {
    let child: childProcess.ChildProcess;
    try {
      // `killSignal` is for spawn to check.
      const forSpawn = { ...options, stdio, timeout: undefined, signal: undefined, serialization: undefined };
      child = spawn(file, args, forSpawn as childProcess.SpawnOptions);
    } catch {
      waiter.resolve(undefined);
      return undefined;
    }
    if (child.pid === undefined) {
      dispose(child);
      waiter.resolve(undefined);
      return undefined;
    }
    const run = new Run(child, options, waiter);
    run.write(input);
    return () => run.abandon();
  });
  return run?.result();
}

/** A child that could not be started. */
function dispose(child: childProcess.ChildProcess): void {
  child.on("error", () => {});
  for (const stream of child.stdio ?? []) stream?.on("error", () => {}).destroy();
}

function spawnArguments(args: unknown[]): [file: string, args: string[], options: Options] | undefined {
  const [file, list, rest] = args;
  const isOptions = list != null && !Array.isArray(list);
  const options = isOptions ? list : rest;
  if (options === undefined) return [file as string, (list ?? []) as string[], {}];
  if (typeof options !== "object" || options === null || Array.isArray(options)) return undefined;
  return [file as string, (isOptions ? [] : (list ?? [])) as string[], { ...options }];
}

/** The error that execSync and execFileSync throw, if there is one. */
function failure(result: Result, command: string): Error | undefined {
  if (result.error) return Object.assign(result.error, result);
  if (result.status === 0) return undefined;
  const stderr = result.stderr && result.stderr.length > 0 ? `\n${result.stderr.toString()}` : "";
  return Object.assign(new Error(`Command failed: ${command}${stderr}`), result);
}

function conclude(result: Result, command: string, stdio: unknown): unknown {
  if (!stdio && result.stderr) process.stderr.write(result.stderr);
  const error = failure(result, command);
  if (error) throw error;
  return result.stdout;
}

function waitSync(
  this: childProcess.ChildProcess,
  limit: Limit = Number.POSITIVE_INFINITY,
): { code: number | null; signal: NodeJS.Signals | null } {
  checkLimit(limit, "limit");
  if (this.exitCode === null && this.signalCode === null) {
    if (!canBlock()) return endOf(this, sleepOf(limit));
    const end = blockWithin<void>(limit, (waiter) => {
      const stop = heed(this, {
        exit: () => {
          stop();
          waiter.resolve();
        },
        error: (error: Error) => {
          stop();
          waiter.reject(error);
        },
      });
      return stop;
    });
    if (end === EXPIRED) throw new Timeout(timeoutOf(limit));
  }
  if (this.exitCode !== null && this.exitCode < 0) throw spawnError(this.exitCode, "spawn", this);
  return { code: this.exitCode, signal: this.signalCode };
}

export const childProcessPatch: ModulePatch = {
  name: "child_process",
  apply(define) {
    const childProcess: typeof import("node:child_process") = require("node:child_process");
    ({ spawn } = childProcess);

    const node = insteadOfNodes(define);
    node.replace(childProcess, "spawnSync", (sync) => (...args) => {
      const given = canSuspend() ? spawnArguments(args) : undefined;
      return (given && spawnInFiber(...given)) ?? sync(...args);
    });

    node.replace(childProcess, "execFileSync", (sync) => (...args) => {
      const given = canSuspend() ? spawnArguments(args[2] === null ? args.slice(0, 2) : args) : undefined;
      const result = given && spawnInFiber(...given);
      if (!result) return sync(...args);
      const [file, list, options] = given;
      return conclude(result, [options.argv0 || file, ...list].join(" "), options.stdio);
    });

    node.replace(childProcess, "execSync", (sync) => (...args) => {
      const [command, given] = args;
      if (!canSuspend() || typeof given === "function") return sync(...args);
      const options = { ...given };
      options.shell = typeof options.shell === "string" ? options.shell : true;
      const result = spawnInFiber(command, [], options);
      return result ? conclude(result, command, options.stdio) : sync(...args);
    });

    listenInFibers(define, childProcess.ChildProcess.prototype, inOrder);
    callBackInFiber(define, childProcess, "execFile"); // which exec calls, too
    define.add(childProcess.ChildProcess.prototype, "waitSync", waitSync as AnyFunction);
  },
};

// What the tests of compat/ share.
import { Worker } from "node:worker_threads";
import { sleep, spawn } from "runtime";
import { describe } from "vitest";
import { describeFibers } from "../support/fibers";

export { describeFibers };

/** Runs `fn` in a fiber; a promise of its outcome. */
export async function inFiber<T>(fn: () => T): Promise<T> {
  return await spawn(fn);
}

/** Tests that hold in a fiber and out of one: `run` calls its argument the one way or the other. */
export function describeBoth(name: string, tests: (run: <T>(fn: () => T) => Promise<T>) => void): void {
  describeFibers(`${name}, in a fiber`, () => tests(inFiber));
  describe(`${name}, out of a fiber`, () => tests(async (fn) => fn()));
}

/** What `fn` throws. */
export function thrown(fn: () => unknown): NodeJS.ErrnoException {
  try {
    fn();
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
  throw new Error("nothing was thrown");
}

/** Lets everything that is under way in the event loop happen. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
}

/** Waits, a turn of the event loop at a time, until `condition` holds. */
export async function until(condition: () => unknown): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 1));
}

/**
 * Runs `fn` in a fiber; counts the turns that another fiber takes meanwhile.
 * @param release called by that other fiber in its fifth turn: brings about what `fn` waits for
 */
export async function progress(fn: () => void, release?: () => void): Promise<number> {
  let turns = 0;
  const first = spawn(fn);
  const second = spawn(() => {
    while (!first.dead) {
      if (++turns === 5) release?.();
      sleep(0);
    }
  });
  await first;
  await second;
  return turns;
}

/** How many of such resources keep the process busy: "Timeout", "TCPSocketWrap", ... */
export function active(type: string): number {
  return process.getActiveResourcesInfo().filter((one) => one === type).length;
}

const peerProgram = `
const net = require("node:net");
const { parentPort } = require("node:worker_threads");
const sockets = new Set();
const commands = {
  echo: (socket, text) => socket.write(text + "\\n"),
  later: (socket, text) => setTimeout(() => socket.write(text.slice(text.indexOf(" ") + 1) + "\\n"), parseInt(text)),
  bytes: (socket, count) => socket.write(Buffer.alloc(+count, 7)),
  pieces: (socket, text) => {
    const pieces = JSON.parse(text);
    const next = () => pieces.length && socket.write(Buffer.from(pieces.shift(), "latin1"), () => setTimeout(next, 5));
    next();
  },
  count: (socket) => { socket.counting = 0; socket.write("ready\\n"); },
  stall: (socket) => { socket.counting = 0; socket.pause(); },
  reset: (socket) => socket.resetAndDestroy(),
  sockets: (socket) => socket.write(sockets.size + "\\n"),
  end: (socket) => socket.end(),
  destroy: (socket) => socket.destroy(),
};
const server = net.createServer({ allowHalfOpen: true }, (socket) => {
  sockets.add(socket);
  let rest = "";
  socket.on("data", (data) => {
    if (socket.counting !== undefined) { socket.counting += data.length; return; }
    const lines = (rest + data.toString("latin1")).split("\\n");
    rest = lines.pop();
    for (const line of lines) {
      const [name] = line.split(" ", 1);
      commands[name]?.(socket, Buffer.from(line.slice(name.length + 1), "latin1").toString());
    }
  });
  socket.on("end", () => {
    if (socket.counting !== undefined) socket.write(socket.counting + "\\n");
    socket.end("bye\\n");
  });
  socket.on("error", () => {});
  socket.on("close", () => sockets.delete(socket));
});
server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port));
parentPort.on("message", (message) => {
  for (const socket of sockets) socket.resume(); // else a stalled one would never notice that it was left
  if (message === "open") parentPort.postMessage(sockets.size);
});
`;

/**
 * A TCP server in a thread of its own. It obeys the lines it is sent ("echo TEXT", "later MS TEXT", "bytes COUNT",
 * "reset", ...) and says "bye" when the other side ends.
 */
export class Peer {
  readonly port: number;
  readonly #worker: Worker;

  private constructor(worker: Worker, port: number) {
    this.#worker = worker;
    this.port = port;
  }

  static async start(): Promise<Peer> {
    const worker = new Worker(peerProgram, { eval: true, execArgv: [], env: {} });
    const port = await new Promise<number>((resolve, reject) => worker.once("message", resolve).once("error", reject));
    worker.unref();
    return new Peer(worker, port);
  }

  /** How many connections it has. */
  async open(): Promise<number> {
    const answer = new Promise<number>((resolve) => this.#worker.once("message", resolve));
    this.#worker.postMessage("open");
    return answer;
  }

  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}

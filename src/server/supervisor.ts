// The supervisor of `runtime serve`: holds the socket that all workers listen with, starts them, replaces those that die,
// reloads and ends them at signals.
import path = require("node:path");

import type { Worker } from "node:cluster";

import { expire } from "../../runtime/clock";
import { urlOf } from "./address";
import { bind, type Handle } from "./listening-handle";
import { isMessage, type Shed, type Start, type Stop, type TlsFiles } from "./messages";
import { type ServeOptions, settingsOf } from "./options";

// Loaded by the command alone.
const cluster = () => require("node:cluster") as typeof import("node:cluster").default;

export interface SuperviseOptions {
  /** How many processes serve. */
  workers: number;
  /** Milliseconds that a process has to load the app. */
  loadTimeout: number;
  options: Omit<ServeOptions, "tls">;
  tls: TlsFiles | undefined;
}

/** A worker that has served for so many milliseconds has not died at once. */
const LONG_ENOUGH = 5000;
/** How long to wait before a worker is replaced that has died at once, in milliseconds; twice as long each time, up to a limit. */
const FIRST_DELAY = 100;
const LONGEST_DELAY = 10_000;
/** How much longer than `grace` a worker may take to end, in milliseconds, before the system ends it. */
const SLACK = 2000;

/**
 * @internal Serves the app of a file until a signal ends it.
 * - SIGTERM, SIGINT: ends gracefully, then exits with 0. A second one ends at once, as the signal would have.
 * - SIGHUP: starts new workers, with the code, and certificates, that are there by then; when they serve, the old ones end.
 *
 * Exits with 1 if it cannot listen, or if the first workers cannot start.
 */
export async function supervise(file: string, { workers, loadTimeout, options, tls }: SuperviseOptions): Promise<void> {
  const settings = settingsOf(options);
  try {
    const { handle, address } = await bind(settings);
    cluster().setupPrimary({ exec: path.join(__dirname, "serve-worker.js"), args: [], serialization: "advanced" });
    const start: Start = { runtime: "start", file, options, tls, workers };
    const supervisor = new Supervisor(handle, start, settings.grace, loadTimeout);
    await supervisor.start(urlOf(address, tls !== undefined));
  } catch (error) {
    report((error as Error).message);
    process.exit(1);
  }
}

/** To standard error: what is served may print to standard output. */
function report(text: string): void {
  console.error(`runtime serve: ${text}`); // which does not mind when nobody reads it any more
}

class Supervisor {
  readonly #handle: Handle;
  readonly #start: Start;
  readonly #grace: number;
  readonly #loadTimeout: number;
  /** All that there are. */
  readonly #members = new Set<Member>();
  #delay = 0;
  #reloading = false;
  #reloadAgain = false;
  #stopping: NodeJS.Signals | null = null;

  constructor(handle: Handle, start: Start, grace: number, loadTimeout: number) {
    this.#handle = handle;
    this.#start = start;
    this.#grace = grace;
    this.#loadTimeout = loadTimeout;
  }

  async start(url: string): Promise<void> {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => this.#end(signal));
    process.on("SIGHUP", () => void this.#reload());
    const members = await this.#launch();
    if (members === null) {
      if (this.#stopping === null) throw new Error("the app could not be started");
      return;
    }
    const { workers } = this.#start;
    const processes = workers === 1 ? "1 worker" : `${workers} workers`;
    report(`serving ${path.relative("", this.#start.file)} at ${url} (engine ${members[0]?.engine}, ${processes})`);
  }

  /** Starts as many workers as there are to be. Resolves when all of them serve; null, and none stays, if one cannot. */
  async #launch(): Promise<Member[] | null> {
    const members = Array.from({ length: this.#start.workers }, () => this.#fork());
    const served = await Promise.all(members.map(({ ready }) => ready));
    if (served.every(Boolean)) return members;
    for (const member of members) member.stop({ grace: this.#grace, idle: "keep", shared: true }); // it may have requests by now
    return null;
  }

  #fork(): Member {
    const member = new Member(this.#start, this.#handle);
    this.#members.add(member);
    member.gone.then((how) => this.#lost(member, how));
    const late = expire(this.#loadTimeout, () => {
      report(`worker ${member.pid} has not loaded the app within ${this.#loadTimeout} ms (--load-timeout)`);
      member.kill();
    });
    member.ready.then(() => late?.cancel());
    member.whenLoaded = () => this.#balance(member);
    return member;
  }

  /** The system gives a connection to whichever worker is first to accept it. In the long run each is to have its share. */
  #balance(member: Member): void {
    const all = this.#staying;
    const mean = all.reduce((sum, { connections }) => sum + connections, 0) / all.length;
    const surplus = member.connections - mean;
    if (surplus >= Math.max(1, mean / 4)) member.send({ runtime: "shed", connections: Math.floor(surplus) });
  }

  #lost(member: Member, how: string): void {
    this.#members.delete(member);
    if (this.#stopping !== null) {
      if (this.#members.size === 0) process.exit(0);
      return;
    }
    if (!member.staying) return;
    this.#delay = member.age > LONG_ENOUGH ? 0 : Math.min(Math.max(this.#delay * 2, FIRST_DELAY), LONGEST_DELAY);
    const when = this.#delay > 0 ? `in ${this.#delay} ms` : "now";
    report(`worker ${member.pid} ended ${how}; another one starts ${when}`);
    setTimeout(() => this.#fill(), this.#delay);
  }

  /** Starts what workers are missing. */
  #fill(): void {
    if (this.#stopping !== null) return;
    for (let count = this.#staying.length; count < this.#start.workers; count++) this.#fork().staying = true;
  }

  get #staying(): Member[] {
    return [...this.#members].filter(({ staying }) => staying);
  }

  async #reload(): Promise<void> {
    if (this.#stopping !== null) return;
    this.#reloadAgain = this.#reloading;
    if (this.#reloading) return;
    this.#reloading = true;
    const fresh = await this.#launch();
    this.#reloading = false;
    if (this.#stopping !== null) return;
    if (fresh === null) report("the new workers could not be started: the old ones go on");
    else {
      for (const member of this.#staying)
        if (!fresh.includes(member)) member.stop({ grace: this.#grace, idle: "keep", shared: true });
      report("reloaded");
    }
    this.#fill();
    if (this.#reloadAgain) void this.#reload();
  }

  #end(signal: NodeJS.Signals): void {
    if (this.#stopping !== null) {
      for (const member of this.#members) member.kill();
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
      return;
    }
    this.#stopping = signal;
    this.#handle.close(); // the workers close theirs; and a Unix socket is removed
    if (this.#members.size === 0) process.exit(0);
    for (const member of this.#members) member.stop({ grace: this.#grace, idle: "close", shared: false });
  }
}

/** One worker. */
class Member {
  /** Whether it serves, in the end. */
  readonly ready: Promise<boolean>;
  /** Resolves when its process has ended, with how: "with code 1", "by SIGKILL". */
  readonly gone: Promise<string>;
  engine = "";
  /** How many it has, at last sight. */
  connections = 0;
  /** Called when it has told that. */
  whenLoaded = () => {};
  /** Whether another one is to take its place when it dies. */
  staying = false;
  readonly #worker: Worker;
  #leaving = false;
  #serves = Number.POSITIVE_INFINITY;

  constructor(start: Start, handle: Handle) {
    this.#worker = cluster().fork();
    this.gone = new Promise((resolve) => {
      this.#worker.on("exit", (code, signal) => resolve(signal ? `by ${signal}` : `with code ${code}`));
    });
    const serving = new Promise<boolean>((resolve) => {
      this.#worker.on("message", (message: unknown) => {
        if (!isMessage(message)) return;
        if (message.runtime === "load") {
          this.connections = message.connections;
          this.whenLoaded();
        }
        if (message.runtime !== "ready") return;
        this.engine = message.engine;
        this.#serves = performance.now();
        this.staying = !this.#leaving;
        resolve(true);
      });
    });
    this.ready = Promise.race([serving, this.gone.then(() => false)]);
    this.#worker.on("error", () => {}); // a message to a worker that has just died
    this.#worker.send(start, handle as never);
  }

  get pid(): number | undefined {
    return this.#worker.process.pid;
  }

  /** For how many milliseconds it has served. */
  get age(): number {
    return performance.now() - this.#serves;
  }

  send(message: Stop | Shed): void {
    if (this.#worker.isConnected()) this.#worker.send(message);
  }

  stop(how: Omit<Stop, "runtime">): void {
    this.#leave();
    this.send({ runtime: "stop", ...how });
    const timer = expire(how.grace + SLACK, () => this.kill());
    this.gone.then(() => timer?.cancel());
  }

  kill(): void {
    this.#leave();
    this.#worker.process.kill("SIGKILL");
  }

  #leave(): void {
    this.#leaving = true;
    this.staying = false;
  }
}

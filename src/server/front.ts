// The front of a server: Node's http(s) server, with limits, access log and shutdown; the engine behind it does the rest.
import http = require("node:http");
import net = require("node:net");

import { type Expiry, expire, now } from "../../runtime/clock";
import { acceptLast } from "./accept-last";
import { AccessLog } from "./access-log";
import { limitBody } from "./body-limit";
import type { Engine } from "./engine";
import type { Settings } from "./options";
import { Upgrade } from "./upgrade";

/** For how long idle connections are kept when a server is closed, in milliseconds: a request may be on its way already. */
const LAST_CALL = 500;
/** How long it may take to send what the engine has answered in the end, in milliseconds. */
const LAST_WORDS = 500;

export interface CloseOptions {
  /** Whether connections without a request are closed, or kept until their client, or Node's `keepAliveTimeout`, closes them. */
  idle?: "close" | "keep";
  /** Whether others go on listening with the same socket. */
  shared?: boolean;
}

export class Front {
  /** To be listened with. */
  readonly server: http.Server;
  readonly #engine: Engine;
  readonly #maxBodySize: number;
  readonly #log: AccessLog | undefined;
  readonly #sockets = new Set<net.Socket>();
  /** Those on which no request has come yet. */
  readonly #fresh = new Set<net.Socket>();
  /** Responses that have not ended. */
  readonly #open = new Set<http.ServerResponse>();
  /** Upgrades whose connections are open. */
  readonly #upgrades = new Set<Upgrade>();
  #surplus = 0;
  #closing = false;
  #accepted: Promise<void> | null = null;
  #closed: Promise<void> | null = null;
  #closesIdle = false;
  #sweeping = false;

  /** @throws what is wrong with `settings.tls`, and what opening the access log throws */
  constructor(engine: Engine, { tls, maxHeaderSize, maxBodySize, accessLog, logFormat }: Settings) {
    this.#engine = engine;
    this.#maxBodySize = maxBodySize;
    this.server = tls
      ? (require("node:https") as typeof import("node:https")).createServer({ ...tls, maxHeaderSize })
      : http.createServer({ maxHeaderSize });
    this.#log = accessLog === undefined ? undefined : new AccessLog(accessLog, logFormat);
    this.server.on("connection", (socket: net.Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    this.server.on("secureConnection", (socket: net.Socket) => {
      this.#fresh.add(socket);
      socket.once("close", () => this.#fresh.delete(socket));
    });
    this.server.on("request", (req, res) => this.#handle(req, res));
    this.server.on("checkContinue", (req, res) => this.#handle(req, res, () => res.writeContinue()));
    // Without such a listener Node has them handled as other requests.
    const { upgrade } = engine;
    if (upgrade) this.server.on("upgrade", (...args) => this.#upgrade(new Upgrade(...args), upgrade));
  }

  /** How many there are. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Closes so many connections, each with its next response, for their clients to open others, which another process may get. */
  shed(connections: number): void {
    this.#surplus = connections;
  }

  /**
   * Stops listening, and resolves when all requests and upgraded connections have ended, those that `grace` milliseconds were
   * too short for by force, and the access log is written. Each connection is closed with the response that is under way on
   * it, or the next one. May be called again, with less grace.
   */
  async close(grace: number, { idle = "close", shared = false }: CloseOptions = {}): Promise<void> {
    const end = now() + grace;
    this.#accepted ??= acceptLast(this.server, shared);
    this.#closed ??= this.#accepted.then(() => this.#stopListening());
    let timer: Expiry | null = null;
    if (idle === "close") {
      void this.#accepted.then(() => {
        timer = expire(LAST_CALL, () => void turns(2).then(() => this.#closeIdle())); // who has written by now is read
      });
    }
    await within(grace, this.#closed);
    const rest = Math.max(0, end - now());
    const ended = this.#engine.close(rest);
    await within(rest + LAST_WORDS, Promise.all([ended, this.#closed]));
    await this.#accepted;
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([ended, this.#closed]);
    (timer as Expiry | null)?.cancel();
    await turns(2); // until all that was destroyed has closed, and is in the log
    await this.#log?.close();
  }

  /** Resolves when no connection is left. */
  async #stopListening(): Promise<void> {
    this.#closing = true;
    for (const res of this.#open) if (!res.headersSent) res.shouldKeepAlive = false;
    for (const upgrade of this.#upgrades) upgrade.tellClosing();
    await new Promise<void>((resolve) => {
      // Not http's own way, which closes idle connections at once.
      net.Server.prototype.close.call(this.server, () => resolve());
    });
  }

  #handle(req: http.IncomingMessage, res: http.ServerResponse, prepare?: () => void): void {
    this.#fresh.delete(req.socket);
    this.#open.add(res);
    res.once("close", () => this.#ended(res));
    if (this.#closing || this.#surplus > 0) res.shouldKeepAlive = false;
    if (this.#surplus > 0) this.#surplus--;
    this.#log?.watch(req, res);
    if (!limitBody(req, res, this.#maxBodySize)) return;
    prepare?.();
    this.#engine.handle(req, res);
  }

  #upgrade(upgrade: Upgrade, handle: (upgrade: Upgrade) => void): void {
    const { socket } = upgrade;
    this.#fresh.delete(socket as net.Socket);
    this.#upgrades.add(upgrade);
    socket.once("close", () => this.#upgrades.delete(upgrade));
    this.#log?.watchUpgrade(upgrade);
    handle(upgrade);
    if (this.#closing) upgrade.tellClosing(); // when its handler has begun, and listens
  }

  #ended(res: http.ServerResponse): void {
    this.#open.delete(res);
    if (!this.#closesIdle || this.#sweeping) return;
    this.#sweeping = true; // one look at all connections, however many responses end in this turn
    setImmediate(() => {
      this.#sweeping = false;
      this.#closeIdle();
    });
  }

  /** From now on. */
  #closeIdle(): void {
    this.#closesIdle = true;
    this.server.closeIdleConnections();
    // Node does not call those idle on which nothing has come yet, be it a handshake or a request.
    for (const socket of [...this.#sockets, ...this.#fresh]) if (socket.bytesRead === 0) socket.destroy();
  }
}

/** Resolves as `promise` does, or after `ms` milliseconds. */
export async function within(ms: number, promise: Promise<unknown>): Promise<void> {
  const late = new Promise<void>((resolve) => {
    const timer = expire(ms, resolve);
    promise.then(() => timer?.cancel());
  });
  await Promise.race([promise, late]);
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

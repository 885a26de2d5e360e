// serve(): an app behind a server in this process.
import type { AddressInfo } from "node:net";

import { canBlock } from "../../runtime/coroutine";
import { checkDuration, invalidArgument } from "../../runtime/errors";
import { wait } from "../../runtime/wait";
import { listenOptions, removeStale, urlOf } from "./address";
import type { App } from "./app";
import { createEngine, engineName } from "./engines";
import { Front } from "./front";
import { type EngineName, type ServeOptions, type Settings, settingsOf } from "./options";

/** A server that `serve` has started. */
export interface AppServer {
  /** Settles when it listens; rejected with what it could not for: EADDRINUSE, a file that exports no app, ... */
  readonly ready: Promise<void>;
  /** Where it listens, as `address()` of Node's servers tells; null before, and after it was closed. */
  readonly address: AddressInfo | string | null;
  /** The same as text: "http://127.0.0.1:8000", "unix:/run/app.sock"; null likewise. */
  readonly url: string | null;
  /** What runs the app. */
  readonly engine: EngineName;
  /**
   * Stops listening, lets requests and upgraded connections end, and closes connections that stay idle for half a second. After
   * `grace` milliseconds (default: the server's) the fibers of those that have not are killed: their clients get 503, or
   * their connections are cut. To call it again changes nothing.
   * @returns a promise, for `wait` or `await`; settles when all requests have ended; not what they have spawned
   */
  close(options?: { grace?: number }): Promise<void>;
}

/**
 * Serves an app: Node's `app(req, res)`, or `app(req)` that returns `{ status, headers, body }` or a `Response`. Each request
 * runs in a fiber, so the app may block. An error that it throws is logged, and answered with 500. Work that a handler has
 * spawned goes on after the response.
 *
 * In a fiber it returns when the server listens, or throws why it cannot; elsewhere at once, and `ready` tells. It is one
 * process and heeds no signals: `runtime serve FILE` has several, and reloads them. Node's modules block in it as everywhere:
 * import "runtime/patch" first.
 * @param app the app, or the path or URL of a file that exports it
 * @throws ERR_INVALID_ARG_TYPE, ERR_OUT_OF_RANGE; ERR_NO_FIBERS for the engine "fibers" where there are none
 * @example const server = serve((req) => ({ body: render(wait(db.query(sql))) }), { port: 8000 });
 */
export function serve(app: App | string | URL, options: ServeOptions = {}): AppServer {
  if (typeof app !== "function" && typeof app !== "string" && !(app instanceof URL)) {
    throw invalidArgument("app", "of type function, or the path or URL of a file that exports one", app);
  }
  const server = new Serving(app, settingsOf(options));
  if (!canBlock()) return server;
  try {
    wait(server.ready);
  } catch (error) {
    server.close({ grace: 0 }).catch(() => {}); // killed, perhaps, before it knew whether it can listen
    throw error;
  }
  return server;
}

class Serving implements AppServer {
  readonly ready: Promise<void>;
  readonly engine: EngineName;
  readonly #settings: Settings;
  #front: Front | null = null;
  #closed: Promise<void> | null = null;

  constructor(app: App | string | URL, settings: Settings) {
    this.#settings = settings;
    this.engine = engineName(settings);
    this.ready = this.#open(app);
  }

  get address(): AddressInfo | string | null {
    return this.#front?.server.address() ?? null;
  }

  get url(): string | null {
    const { address } = this;
    return address && urlOf(address, this.#settings.tls !== undefined);
  }

  close(options: { grace?: number } = {}): Promise<void> {
    if (typeof options !== "object" || options === null) throw invalidArgument("options", "of type object", options);
    const { grace = this.#settings.grace } = options;
    checkDuration(grace, "options.grace");
    this.#closed ??= this.ready.then(
      () => this.#front?.close(grace),
      () => {}, // it never listened
    );
    return this.#closed;
  }

  async #open(app: App | string | URL): Promise<void> {
    const engine = await createEngine(app, this.#settings);
    let front: Front | undefined;
    try {
      front = new Front(engine, this.#settings);
      if (this.#settings.socket !== undefined) await removeStale(this.#settings.socket);
      await listening(front, this.#settings);
      this.#front = front;
    } catch (error) {
      await (front ?? engine).close(0); // with its access log
      throw error;
    }
  }
}

function listening({ server }: Front, settings: Settings): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(listenOptions(settings), () => {
      server.off("error", reject);
      resolve();
    });
  });
}

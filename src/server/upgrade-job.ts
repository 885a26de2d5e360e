// One upgrade in a fiber: over when its handler has returned; the connection may well go on.
import { type Expiry, expire } from "../../runtime/clock";
import { FiberExit, mayHaveLeft } from "../../runtime/errors";
import { nameOf } from "./failure";
import { exit, Job } from "./job";
import type { Upgrade, UpgradeHandler } from "./upgrade";

/** For how many milliseconds the connection of a handler that was killed stays, for its last words. */
const LAST_WORDS = 500;

export class UpgradeJob extends Job {
  readonly #handler: UpgradeHandler;
  readonly #upgrade: Upgrade;
  readonly #timer: Expiry | null;
  /** Somebody else has answered in the handler's place. */
  #refused = false;

  constructor(handler: UpgradeHandler, upgrade: Upgrade, requestTimeout: number) {
    super(nameOf(upgrade.req));
    this.#handler = handler;
    this.#upgrade = upgrade;
    this.#timer = expire(requestTimeout, () => this.stop(`no answer within ${requestTimeout} ms`, 504));
    upgrade.whenAnswered = () => this.#answered();
    upgrade.socket.once("close", () => this.#answered());
  }

  override stop(why: string, status: number): void {
    const { socket } = this.#upgrade;
    if (this.#upgrade.status === null) {
      this.#refused = true;
      this.#upgrade.refuse(status);
    } else {
      const timer = expire(LAST_WORDS, () => socket.destroy());
      socket.once("close", () => timer?.cancel());
    }
    this.interrupt(exit(why));
  }

  protected override handle(): void {
    const { req, socket, head, signal } = this.#upgrade;
    const result: unknown = this.#handler(req, socket, head, signal);
    if (typeof (result as PromiseLike<unknown> | null | undefined)?.then !== "function") return;
    (result as PromiseLike<unknown>).then(undefined, (error) => this.failed(error));
  }

  protected override failed(error: unknown): void {
    const { socket, status } = this.#upgrade;
    if (status !== null && !this.#refused && this.#isFarewell(error)) {
      socket.end(() => socket.destroy()); // what it has said at last is sent
    } else if (mayHaveLeft(error) && !socket.destroyed) setImmediate(() => this.#conclude(error));
    else this.#conclude(error);
  }

  /** Whether that is how a handler ends which has to. */
  #isFarewell(error: unknown): boolean {
    if (error instanceof FiberExit) return true;
    const { aborted, reason } = this.#upgrade.signal;
    return aborted && (error === reason || (error as Error | null | undefined)?.name === "AbortError");
  }

  #conclude(error: unknown): void {
    const { req, socket } = this.#upgrade;
    if (!(mayHaveLeft(error) && socket.destroyed)) console.error(`${nameOf(req)} failed:`, error);
    if (!this.#refused) this.#upgrade.refuse(error instanceof FiberExit ? 503 : 500);
  }

  #answered(): void {
    this.#timer?.cancel();
    this.close();
  }
}

// Fibers do to sockets at random whatever can be done to them, beside a simple model: every byte comes back, once and in order.
import net, { type AddressInfo } from "node:net";
import { patch, sleep, spawn, unpatch, withTimeout } from "runtime";
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { mulberry32 } from "../support/random";

const CLIENTS = 8;
const CONNECTIONS = 3;
const MESSAGES = 25;

beforeAll(() => patch());
afterAll(() => unpatch());

function echo(socket: net.Socket): void {
  try {
    for (let chunk = socket.readSync(); chunk !== null; chunk = socket.readSync()) socket.writeSync(chunk);
    socket.endSync();
  } catch {
    socket.destroy(); // the client has gone
  }
}

/** The bytes from `start` on of an endless row: 0, 1, ... 255, 0, ... */
const row = (start: number, length: number) => Buffer.alloc(length).map((_, i) => start + i);

class Client {
  readonly #socket: net.Socket;
  readonly #below: (limit: number) => number;
  #sent = 0;
  #received = 0;

  constructor(port: number, random: () => number) {
    this.#socket = net.connectSync(port, "127.0.0.1");
    this.#below = (limit) => Math.floor(random() * limit);
  }

  /** Sends a message, and does this and that until it is back. */
  exchange(): void {
    const length = 1 + this.#below(this.#below(5) === 0 ? 200_000 : 300);
    const message = row(this.#sent, length);
    this.#sent += length;
    const writer = spawn(() => this.#socket.writeSync(message));
    while (this.#received < this.#sent) this.#receive();
    writer.get();
  }

  #receive(): void {
    const act = this.#below(10);
    if (act < 6) this.#take(this.#socket.readSync());
    else if (act === 6) this.#take(this.#socket.readSync(Math.min(this.#sent - this.#received, 1 + this.#below(100))));
    else if (act === 7) this.#killReader();
    else if (act === 8) this.#listen();
    else withTimeout(this.#below(2), () => this.#take(this.#socket.readSync()), "late");
  }

  #killReader(): void {
    const reader = spawn(() => this.#take(this.#socket.readSync()));
    if (this.#below(2) === 0) sleep(0);
    reader.kill();
  }

  #listen(): void {
    const listener = (chunk: Buffer) => this.#take(chunk);
    this.#socket.on("data", listener);
    sleep(this.#below(3));
    this.#socket.off("data", listener).pause();
  }

  #take(chunk: Buffer): void {
    expect(chunk.equals(row(this.#received, chunk.length))).toBe(true);
    this.#received += chunk.length;
  }

  end(): void {
    if (this.#below(2) === 0) {
      this.#socket.destroy();
      return;
    }
    this.#socket.endSync();
    expect(this.#socket.readSync()).toBe(null);
  }
}

describeFibers("sockets", () => {
  it.each([1, 2, 3])(
    "lose and double nothing, whoever reads them how, is killed, times out or listens (seed %i)",
    async (seed) => {
      const random = mulberry32(seed);
      const server = net.createServer(echo);
      await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
      const { port } = server.address() as AddressInfo;
      const clients = Array.from({ length: CLIENTS }, () =>
        spawn(() => {
          for (let count = 0; count < CONNECTIONS; count++) {
            const client = new Client(port, random);
            for (let messages = 0; messages < MESSAGES; messages++) client.exchange();
            client.end();
          }
        }),
      );
      for (const client of clients) await client;
      await new Promise((closed) => server.close(closed));
    },
  );
});

// Datagram sockets of this thread for code out of fibers: straight from the system and to it, since the event loop does not
// turn while the thread sleeps.
import type { RemoteInfo, Socket, SocketOptions } from "node:dgram";
import { isIP } from "node:net";

import { now } from "../runtime/clock";
import { park } from "../runtime/park/park";
import { poll } from "../runtime/park/poll";
import type { Addon } from "../runtime/switch";
import { Timeout } from "../runtime/sync/timeout";
import { Binding, type State, stateKeyOf, stateOf } from "./dgram-state";
import { theAddon } from "./file-work";
import { systemError } from "./system-error";

const EAGAIN = -11;
const ENOBUFS = -105;
/** As much as Node reads at a time. */
const room = Buffer.allocUnsafeSlow(64 * 1024);

/** How long the thread sleeps at a time, in milliseconds: between, it can be told to end. */
const SLEEP = 50;

interface Datagram {
  msg: Buffer;
  rinfo: RemoteInfo;
}

/** What Node makes of the arguments of `send`. */
interface Sending {
  readonly parts: readonly NodeJS.ArrayBufferView[];
  /** As the program gave them, for errors; undefined of a connected socket. */
  readonly address: string | undefined;
  readonly port: number | undefined;
  readonly ip: string | undefined;
}

function addonHere(): Addon | null {
  return process.platform === "linux" ? theAddon() : null;
}

/** Whether bound sockets can be used in this way here. */
export function canDirect(): boolean {
  return addonHere() !== null;
}

export class DirectDatagrams {
  readonly #socket: Socket;
  readonly #state: State;
  readonly #fd: number;
  readonly #addon: Addon;

  /** Null if it is not bound, or cannot be used in this way. */
  static of(socket: Socket): DirectDatagrams | null {
    const state = stateOf(socket);
    const fd = state.handle?.fd ?? -1;
    const from = state.bindState === Binding.Done && fd >= 0 ? addonHere() : null;
    return from && new DirectDatagrams(socket, state as State, fd, from);
  }

  private constructor(socket: Socket, state: State, fd: number, from: Addon) {
    this.#socket = socket;
    this.#state = state;
    this.#fd = fd;
    this.#addon = from;
  }

  /**
   * The next datagram that the system has, waited for.
   * @throws what Node's "error" event would bring; Timeout after `ms` milliseconds
   */
  receive(ms: number): Datagram {
    const end = now() + ms;
    for (;;) {
      const left = end - now();
      const datagram = this.#next(Math.max(0, Math.min(SLEEP, Math.ceil(left))));
      if (datagram) return datagram;
      if (left <= 0) throw new Timeout(ms);
    }
  }

  #next(ms: number): Datagram | undefined {
    for (let sleep = ms; ; sleep = 0) {
      const sender: [address: string, port: number] = ["", 0];
      const size = this.#addon.receiveFrom(this.#fd, room, sender, sleep);
      if (size === EAGAIN) return undefined;
      if (size < 0) throw systemError(size, "recvmsg");
      const [address, port] = sender;
      const family = isIP(address) === 6 ? "IPv6" : "IPv4";
      if (this.#state.receiveBlockList?.check(address, family === "IPv6" ? "ipv6" : "ipv4")) continue;
      const msg = Buffer.allocUnsafeSlow(size);
      room.copy(msg, 0, 0, size);
      return { msg, rinfo: { address, family, port, size } };
    }
  }

  /**
   * `send`, and how many bytes the system has taken. Null, and nothing has happened, if Node would not send now.
   * @throws as `send`, and what its callback would get
   */
  send(args: unknown[]): number | null {
    const sending = this.#check(args);
    if (sending === null) return null;
    const { parts, address, port, ip } = sending;
    const [first, ...others] = parts as [Uint8Array, ...Uint8Array[]];
    const bytes = others.length > 0 ? Buffer.concat([first, ...others]) : first;
    return poll(Number.POSITIVE_INFINITY, () => {
      const count = this.#addon.sendTo(this.#fd, bytes, ip, port ?? 0, this.#isIPv6);
      if (count === EAGAIN || count === ENOBUFS) return undefined; // libuv would wait, too
      if (count < 0) throw systemError(count, "send", address, port);
      return count;
    });
  }

  get #isIPv6(): boolean {
    return (this.#socket as Socket & SocketOptions).type === "udp6";
  }

  /** Has Node's own `send` look at the arguments, of a socket whose handle only takes down what it is given. */
  #check(args: unknown[]): Sending | null {
    let sending: Sending | null = null;
    const handle = {
      lookup: (address: string, found: (error: null, ip: string) => void) => found(null, this.#resolve(address)),
      send: (...[request, parts, , port, ip]: [Sending, Sending["parts"], number, unknown, unknown]) => {
        const { address } = request;
        // Of a connected one, what follows is whether there is a callback.
        sending = typeof ip === "string" ? { parts, address, port: port as number, ip } : { ...connected, parts };
        return 1;
      },
    };
    const state = { value: { ...this.#state, handle } };
    const like = Object.create(this.#socket, { [stateKeyOf(this.#socket) as symbol]: state });
    like.send(...args);
    return sending;
  }

  #resolve(address: string): string {
    const { sendBlockList } = this.#state;
    const ip = address ? lookup(address, this.#isIPv6 ? 6 : 4) : this.#isIPv6 ? "::1" : "127.0.0.1";
    if (sendBlockList?.check(ip, isIP(ip) === 6 ? "ipv6" : "ipv4")) {
      throw Object.assign(new Error(`IP(${ip}) is blocked by net.BlockList`), { code: "ERR_IP_BLOCKED" });
    }
    return ip;
  }
}

const connected = { address: undefined, port: undefined, ip: undefined };

function lookup(address: string, family: 4 | 6): string {
  if (isIP(address)) return address;
  const { getDefaultResultOrder } = require("node:dns") as typeof import("node:dns");
  return park<{ address: string }>("dns.lookup", getDefaultResultOrder(), [address, { family }]).address;
}

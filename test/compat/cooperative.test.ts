// Each patched or added function, by its own account (docs/patched.md): while one fiber is inside it, others go on; and if
// that fiber is killed, nothing is left behind. Those of fs are in fs-cooperative.test.ts.
import childProcess from "node:child_process";
import nodeCrypto from "node:crypto";
import dgram from "node:dgram";
import dns from "node:dns";
import events, { EventEmitter, once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";
import net, { type AddressInfo } from "node:net";
import readline from "node:readline";
import stream, { Duplex, PassThrough, Writable } from "node:stream";
import timers from "node:timers";
import tls from "node:tls";
import { MessageChannel, Worker } from "node:worker_threads";
import zlib from "node:zlib";
import * as runtime from "runtime";
import { patch, sleep, spawn } from "runtime";
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeFibers, settle, until } from "./support";

void Response; // names are added to what Node has loaded
patch();

type Name = { module: string; name: string; status: "cooperative" | "added" | "node" | "absent" };
const patched = (runtime as unknown as { patchedNames(): Name[] }).patchedNames();

/** Whether Node has a function that is only made to do more: this one blocks nobody. */
function isOwn(module: string, name: string): boolean {
  return patched.some((one) => one.module === module && one.name === name && one.status === "cooperative");
}

/** What a test of one function needs. */
interface Trial {
  /** Blocks until it is released, or for a while by itself. */
  block(): unknown;
  release?(): void;
  /** Takes away what the trial itself has made. */
  end?(): void;
}

/** A server that accepts and says nothing, for those who wait for an answer. */
let silent: net.Server;
const accepted = new Set<net.Socket>();
let port: number;
/** A name server that is silent. */
let nameServer: dgram.Socket;
const nameServers = dns.getServers();

beforeAll(async () => {
  silent = net.createServer({ allowHalfOpen: true }, (socket) => {
    accepted.add(socket);
    socket.on("error", () => {}).on("close", () => accepted.delete(socket));
  });
  silent.listen(0, "127.0.0.1");
  await once(silent, "listening");
  port = (silent.address() as AddressInfo).port;
  nameServer = dgram.createSocket("udp4").unref();
  nameServer.bind(0, "127.0.0.1");
  await once(nameServer, "listening");
  dns.setServers([`127.0.0.1:${nameServer.address().port}`]);
});

afterAll(() => {
  dns.setServers(nameServers);
  nameServer.close();
  dropAll();
  silent.close();
});

const dropAll = () => {
  for (const socket of accepted) socket.destroy();
};

/** For what waits for an answer of the silent server: its connections are cut. */
function untilCut(block: () => unknown, allowed: (error: Error) => boolean): Trial {
  let cutting: NodeJS.Timeout | undefined;
  return {
    block: () => {
      try {
        block();
      } catch (error) {
        if (!allowed(error as Error)) throw error;
      }
    },
    release: () => {
      cutting = setInterval(dropAll, 1);
    },
    end: () => clearInterval(cutting),
  };
}

/** An answer for whoever asks next. */
function answer(): void {
  const text = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
  silent.once("connection", (socket: net.Socket) => socket.once("data", () => socket.end(text)));
  for (const socket of accepted) socket.once("data", () => socket.end(text));
}

const isReset = (error: Error) => (error as NodeJS.ErrnoException).code === "ECONNRESET";
const address = () => ({ port, host: "127.0.0.1" });
const bytes = nodeCrypto.randomBytes(2_000_000);
const { privateKey, publicKey } = nodeCrypto.generateKeyPairSync("ec", { namedCurve: "P-256" });
const slow = new Writable({ write: () => {} }); // never takes its first chunk
slow.write("x");

/** Trials for one stream, made anew each time. */
function withStream<S extends stream.Stream>(make: () => S, block: (one: S) => unknown, release: (one: S) => void) {
  return (): Trial => {
    const one = make();
    return { block: () => block(one), release: () => release(one), end: () => (one as unknown as Duplex).destroy() };
  };
}

const source = () => new PassThrough();
/** Takes a chunk only when it is released. */
const sinkOf = (Kind: typeof Writable | typeof Duplex) => () => {
  const waiting: (() => void)[] = [];
  const one = new Kind({ read() {}, write: (_chunk, _encoding, done) => waiting.push(done) });
  return Object.assign(one, { release: () => waiting.shift()?.() });
};
const sink = sinkOf(Duplex);
const plainSink = sinkOf(Writable);
/** Ended, but for a last chunk that is held back. */
const unfinished = <W extends Writable>(one: W) => {
  one.write("x");
  return one;
};

function withPair(block: (socket: net.Socket) => unknown, release: (other: net.Socket) => void): () => Trial {
  return () => {
    let other: net.Socket | undefined;
    const before = new Set(accepted);
    const socket = net.connect(address());
    silent.once("connection", (one: net.Socket) => {
      if (!before.has(one)) other = one;
    });
    return {
      block: () => {
        if (socket.connecting) events.onceSync(socket, "connect");
        return block(socket);
      },
      release: () => void until(() => other).then(() => release(other as net.Socket)),
      end: () => {
        socket.destroy();
        other?.destroy();
      },
    };
  };
}

function withServer(block: (server: net.Server) => unknown, release: (server: net.Server) => void): () => Trial {
  return () => {
    const server = net.createServer();
    server.listen(0, "127.0.0.1");
    return {
      block: () => {
        if (!server.listening) events.onceSync(server, "listening");
        return block(server);
      },
      release: () => release(server),
      end: () => void (server.listening && server.close()),
    };
  };
}

const query =
  (name: string, ...args: unknown[]) =>
  () => ({
    block: () => (dns as unknown as Record<string, (...args: unknown[]) => unknown>)[name]?.(...args),
  });
/** Every query of the silent name server ends when its fiber is killed; here, after one try of c-ares's. */
const lookups = Object.fromEntries(
  [
    ...["resolveSync", "resolve4Sync", "resolve6Sync", "resolveAnySync", "resolveCaaSync", "resolveCnameSync"],
    ...["resolveMxSync", "resolveNaptrSync", "resolveNsSync", "resolvePtrSync", "resolveSoaSync", "resolveSrvSync"],
    ...["resolveTlsaSync", "resolveTxtSync"],
  ].map((name) => [name, query(name, "silent.test")]),
);

const crypto: Record<string, () => Trial> = {
  pbkdf2Sync: () => ({ block: () => nodeCrypto.pbkdf2Sync("x", "salt", 20_000, 64, "sha512") }),
  scryptSync: () => ({ block: () => nodeCrypto.scryptSync("x", "salt", 64) }),
  hkdfSync: () => ({ block: () => nodeCrypto.hkdfSync("sha512", bytes, "salt", "info", 64) }),
  generateKeyPairSync: () => ({ block: () => nodeCrypto.generateKeyPairSync("rsa", { modulusLength: 1024 }) }),
  generateKeySync: () => ({ block: () => nodeCrypto.generateKeySync("hmac", { length: 4096 }) }),
  generatePrimeSync: () => ({ block: () => nodeCrypto.generatePrimeSync(256) }),
  checkPrimeSync: () => ({ block: () => nodeCrypto.checkPrimeSync(2n ** 521n - 1n) }),
  sign: () => ({ block: () => nodeCrypto.sign("sha256", bytes, privateKey) }),
  verify: () => ({ block: () => nodeCrypto.verify("sha256", bytes, publicKey, Buffer.alloc(64)) }),
};

const child = (script: string) => [process.execPath, ["-e", script]] as const;
const waitsForInput = child("process.stdin.resume()");

const trials: Record<string, Record<string, () => Trial>> = {
  crypto,
  zlib: Object.fromEntries(
    patched
      .filter(({ module, name }) => module === "zlib" && name.endsWith("Sync"))
      .map(({ name }) => {
        const inverse: Record<string, string> = { unzipSync: "gzipSync", gunzipSync: "gzipSync" };
        const forward = inverse[name] ?? name.replace("inflate", "deflate").replace("Decompress", "Compress");
        const call = (by: string, data: Buffer) =>
          (zlib as unknown as Record<string, (data: Buffer) => Buffer>)[by]?.(data) as Buffer;
        const data = forward === name || !(name in zlib) ? bytes : call(forward, bytes);
        return [name, () => ({ block: () => call(name, data) })];
      }),
  ),
  child_process: {
    execSync: () => ({ block: () => childProcess.execSync("sleep 0.1") }),
    execFileSync: () => ({ block: () => childProcess.execFileSync("sleep", ["0.1"]) }),
    spawnSync: () => ({ block: () => childProcess.spawnSync("sleep", ["0.1"]) }),
    "ChildProcess#waitSync": () => {
      const one = childProcess.spawn(...waitsForInput);
      return { block: () => one.waitSync(), release: () => one.stdin.end(), end: () => void one.kill("SIGKILL") };
    },
  },
  timers: { sleepSync: () => ({ block: () => timers.sleepSync(20) }) },
  Atomics: {
    wait: () => {
      const cell = new Int32Array(new SharedArrayBuffer(4));
      return { block: () => Atomics.wait(cell, 0, 0), release: () => Atomics.notify(cell, 0) };
    },
  },
  events: {
    onceSync: () => {
      const emitter = new EventEmitter();
      return { block: () => events.onceSync(emitter, "x"), release: () => emitter.emit("x") };
    },
  },
  stream: {
    "Readable#readSync": withStream(
      source,
      (one) => one.readSync(),
      (one) => one.end("x"),
    ),
    "Readable#chunksSync": withStream(
      source,
      (one) => [...one.chunksSync()],
      (one) => one.end("x"),
    ),
    "Readable#textSync": withStream(
      source,
      (one) => one.textSync(),
      (one) => one.end("x"),
    ),
    "Writable#writeSync": withStream(
      plainSink,
      (one) => one.writeSync("x"),
      (one) => one.release(),
    ),
    "Writable#endSync": withStream(
      () => unfinished(plainSink()),
      (one) => one.endSync(),
      (one) => one.release(),
    ),
    "Duplex#writeSync": withStream(
      sink,
      (one) => one.writeSync("x"),
      (one) => one.release(),
    ),
    "Duplex#endSync": withStream(
      () => unfinished(sink()),
      (one) => one.endSync(),
      (one) => one.release(),
    ),
    "OutgoingMessage#writeSync": message((one) => one.writeSync(bytes)),
    "OutgoingMessage#endSync": message((one) => one.endSync(bytes)),
    pipelineSync: withStream(
      source,
      (one) => stream.pipelineSync(one, plainSinkThatTakes()),
      (one) => one.end("x"),
    ),
  },
  dns: {
    ...lookups,
    lookupSync: query("lookupSync", "localhost"),
    lookupServiceSync: query("lookupServiceSync", "127.0.0.1", 80),
    reverseSync: query("reverseSync", "192.0.2.1"),
  },
  net: {
    connectSync: () => ({ block: () => net.connectSync(address()).destroy() }),
    "Socket#readLineSync": withPair(
      (socket) => socket.readLineSync(),
      (other) => other.write("x\n"),
    ),
    "Server#listenSync": () => {
      const server = net.createServer();
      return { block: () => server.listenSync(0, "127.0.0.1"), end: () => void (server.listening && server.close()) };
    },
    "Server#acceptSync": withServer(
      (server) => server.acceptSync()?.destroy(),
      (server) => net.connect((server.address() as AddressInfo).port, "127.0.0.1").on("error", () => {}),
    ),
    "Server#closeSync": () => {
      const server = net.createServer((one) => one.resume()).listen(0, "127.0.0.1");
      let socket: net.Socket | undefined;
      return {
        block: () => {
          if (!server.listening) events.onceSync(server, "listening");
          socket = net.connect((server.address() as AddressInfo).port, "127.0.0.1");
          events.onceSync(server, "connection");
          server.closeSync();
        },
        release: () => void until(() => socket && !server.listening).then(() => socket?.destroy()),
        end: () => {
          socket?.destroy();
          if (server.listening) server.close();
        },
      };
    },
  },
  tls: {
    connectSync: () => untilCut(() => tls.connectSync(address()), isReset),
  },
  dgram: {
    "Socket#bindSync": () => {
      const socket = dgram.createSocket({
        type: "udp4",
        lookup: (host, _options, done) => setImmediate(done, null, host, 4),
      });
      return { block: () => socket.bindSync({ port: 0, address: "127.0.0.1" }), end: () => closeDatagrams(socket) };
    },
    "Socket#sendSync": () => {
      const socket = dgram.createSocket({
        type: "udp4",
        lookup: (_host, _options, done) => setTimeout(done, 5, null, "127.0.0.1", 4),
      });
      return {
        block: () => socket.sendSync("x", nameServer.address().port, "some.test"),
        end: () => closeDatagrams(socket),
      };
    },
    "Socket#recvSync": () => {
      const socket = dgram.createSocket("udp4").bind(0, "127.0.0.1");
      return {
        block: () => socket.recvSync(),
        release: () => nameServer.send("x", socket.address().port, "127.0.0.1"),
        end: () => closeDatagrams(socket),
      };
    },
  },
  http: requests(http as unknown as Requests),
  https: requests(https as unknown as Requests),
  http2: {
    "Http2ServerResponse#writeSync": http2Response((res) => res.writeSync(bytes)),
    "Http2ServerResponse#endSync": http2Response((res) => res.endSync(bytes)),
  },
  fetch: {
    fetchSync: () => ({ block: () => fetchSync(`http://127.0.0.1:${port}/`), release: answer }),
    ...Object.fromEntries(
      ["text", "json", "arrayBuffer", "blob", "formData", "bytes"].map((name) => [
        `Response#${name}Sync`,
        body(`${name}Sync` as "textSync"),
      ]),
    ),
  },
  readline: {
    "Interface#questionSync": withInterface((rl) => rl.questionSync("?")),
    "Interface#linesSync": withInterface((rl) => [...rl.linesSync()]),
  },
  worker_threads: {
    "MessagePort#receiveSync": () => {
      const { port1, port2 } = new MessageChannel();
      return { block: () => port1.receiveSync(), release: () => port2.postMessage(1), end: () => port1.close() };
    },
    "Worker#receiveSync": () => {
      const text =
        "const { parentPort } = require('worker_threads'); parentPort.once('message', (it) => parentPort.postMessage(it))";
      const worker = new Worker(text, { eval: true });
      return {
        block: () => worker.receiveSync(),
        release: () => worker.postMessage(1),
        end: () => void worker.terminate(),
      };
    },
  },
};

/** Those that block nobody: their callbacks, or what is listened to, start in fibers (listeners.test.ts). */
const startFibers =
  /#emit$|^emit$|EventListener$|set(Timeout|Interval|Immediate)$|^execFile$|#postMessage$|^createInterface$/;
const callbacks: Record<string, RegExp> = {
  ...(isOwn("dgram", "Socket#bindSync") && { dgram: /^Socket#bindSync$/ }),
  dns: /^(?!.*Sync$)/,
  crypto: /^(?!.*Sync$|sign$|verify$)/,
  zlib: /^(?!.*Sync$)/,
};

function plainSinkThatTakes(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => done() });
}

function closeDatagrams(socket: dgram.Socket): void {
  try {
    socket.close();
  } catch {
    // closed by the fiber's end
  }
}

/** A request whose other side reads nothing until it is let. */
function message(block: (one: http.ClientRequest) => void): () => Trial {
  return () => {
    let other: net.Socket | undefined;
    const one = http.request({ ...address(), method: "POST", agent: false }).on("error", () => {});
    const slowly = (socket: net.Socket) => {
      other = socket.pause();
    };
    silent.once("connection", slowly);
    return {
      block: () => {
        block(one);
        block(one); // more than a socket's buffers hold
        block(one);
      },
      release: () => void until(() => other).then(() => other?.resume()),
      end: () => {
        one.destroy();
        other?.destroy();
      },
    };
  };
}

interface Requests {
  getSync(options: object): unknown;
  requestSync(options: object, body: string): unknown;
}

function requests({ getSync, requestSync }: Requests): Record<string, () => Trial> {
  const cut = (call: () => unknown) => () => untilCut(call, isReset);
  return {
    getSync: cut(() => getSync({ ...address(), agent: false })),
    requestSync: cut(() => requestSync({ ...address(), agent: false, method: "POST" }, "body")),
  };
}

function http2Response(block: (res: http2.Http2ServerResponse) => void): () => Trial {
  return () => {
    let response: http2.Http2ServerResponse | undefined;
    const server = http2.createServer((_req, res) => {
      response = res;
    });
    let client: http2.ClientHttp2Session | undefined;
    let req: http2.ClientHttp2Stream | undefined;
    server.listen(0, "127.0.0.1", () => {
      client = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`).on("error", () => {});
      req = client.request().on("error", () => {}); // nobody reads it, so its window fills
    });
    return {
      block: () => {
        while (!response) sleep(1);
        block(response);
      },
      release: () => void req?.resume(),
      end: () => {
        client?.destroy();
        server.close();
      },
    };
  };
}

function body(name: "textSync"): () => Trial {
  return () => {
    let finish = () => {};
    const half = new ReadableStream({
      start(controller) {
        controller.enqueue(Buffer.from(name.startsWith("form") ? "a=" : "1"));
        finish = () => controller.close();
      },
    });
    const headers = { "content-type": "application/x-www-form-urlencoded" };
    return {
      block: () => new Response(half, { headers })[name](),
      release: () => finish(),
    };
  };
}

function withInterface(block: (rl: readline.Interface) => unknown): () => Trial {
  return () => {
    const input = new PassThrough();
    const rl = readline.createInterface({ input });
    return { block: () => block(rl), release: () => input.end("x\n"), end: () => rl.close() };
  };
}

/** What keeps the process busy, but for timers, which the test runner has too. */
function busy(): string {
  const resources = process.getActiveResourcesInfo().filter((name) => !/Timeout|Immediate|Pipe|TTY/.test(name));
  return `${resources.sort()} ${fs.readdirSync("/proc/self/fd").length}`;
}

/** The same, once it no longer changes: what others have left behind has gone, and so has what they had yet to connect. */
async function atRest(): Promise<string> {
  let now = busy();
  for (let same = 0; same < 5; ) {
    dropAll();
    await settle();
    const next = busy();
    same = next === now ? same + 1 : 0;
    now = next;
  }
  return now;
}

describeFibers("while a fiber is inside", () => {
  const names = patched.filter(
    ({ module, name, status }) =>
      module !== "fs" &&
      (status === "added" || status === "cooperative") &&
      !startFibers.test(name) &&
      !callbacks[module]?.test(name),
  );

  it.each(names)("$module: $name, others go on", async ({ module, name }) => {
    const make = trials[module]?.[name];
    if (make === undefined) throw new Error(`there is no trial of ${module}: ${name}`);
    const trial = make();
    let turns = 0;
    try {
      const first = spawn(() => trial.block());
      const second = spawn(() => {
        while (!first.dead && turns < 100_000) {
          if (++turns === 5) trial.release?.();
          sleep(turns < 10 ? 0 : 1);
          if (module === "dns" && turns === 50) first.kill(undefined, { block: false }); // nobody will answer
        }
      });
      await second;
      await first;
    } finally {
      trial.end?.();
    }
    expect(turns).toBeGreaterThan(0);
  });

  it.each(names)("$module: $name, it can be killed, and nothing is left", async ({ module, name }) => {
    const make = trials[module]?.[name] as () => Trial;
    const before = await atRest();
    const trial = make();
    const fiber = spawn(() => trial.block());
    await new Promise(process.nextTick);
    await spawn(() => {
      sleep(0);
      fiber.kill();
    });
    expect(fiber.dead).toBe(true);
    trial.end?.();
    await fiber;
    await until(() => {
      dropAll();
      return busy() === before;
    });
  });
});

import "runtime/patch";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import https from "node:https";
import net from "node:net";
import tls from "node:tls";
import { sleep, spawn, withTimeout } from "runtime";
import { beforeEach, describe, expect, test } from "vitest";
import { type Certificate, makeCertificate } from "./certificate";
import { active, describeFibers, inFiber, progress, settle, thrown, until } from "./support";

const made = makeCertificate();
const missing = typeof made === "string" ? made : "";
const certificate = made as Certificate;

/** Tests that need a certificate. */
function describeSecure(name: string, tests: () => void): void {
  describe.skipIf(missing)(missing ? `(skipped, ${missing})` : "with a certificate", () => describeFibers(name, tests));
}

/** A server that listens. Called in a fiber. */
function listening(options: tls.TlsOptions = {}): { server: tls.Server; port: number } {
  const server = tls.createServer({ ...certificate, ...options }).listenSync(0, "127.0.0.1");
  return { server, port: (server.address() as net.AddressInfo).port };
}

/** What a client that trusts the certificate connects with. */
function trusting(port: number): tls.ConnectionOptions {
  return { port, host: "127.0.0.1", servername: "localhost", ca: certificate.cert };
}

/** Both ends of a connection. Called in a fiber. */
function pair({ server, port }: { server: tls.Server; port: number }): [client: tls.TLSSocket, socket: tls.TLSSocket] {
  const client = tls.connectSync(trusting(port));
  return [client, server.acceptSync() as tls.TLSSocket];
}

/** How many sockets this process has, beside those that Node itself leaves when `tls.connect` throws. */
let idle = 0;
const sockets = () => active("TCPSocketWrap") - idle;

beforeEach(() => {
  idle = active("TCPSocketWrap");
});

function listeners(emitter: NodeJS.EventEmitter): number {
  return emitter.eventNames().reduce((sum, name) => sum + emitter.listenerCount(name), 0);
}

describeSecure("tls", () => {
  test("connects after the handshake, and lets others go on meanwhile", async () => {
    const { server, port } = await inFiber(() => listening());
    let client: tls.TLSSocket | undefined;
    const turns = await progress(() => {
      client = tls.connectSync(trusting(port));
    });
    expect(turns).toBeGreaterThan(1);
    expect(client).toBeInstanceOf(tls.TLSSocket);
    expect(client).toMatchObject({ authorized: true, encrypted: true, connecting: false });
    expect(client?.getPeerCertificate().subject.CN).toBe("localhost");
    await inFiber(() => {
      client?.destroy();
      server.closeSync();
    });
  });

  test("both ends read, write and end in blocking style", async () => {
    await inFiber(() => {
      const ends = listening();
      const [client, socket] = pair(ends);
      expect(socket).toBeInstanceOf(tls.TLSSocket);
      const echo = spawn(() => {
        for (let line = socket.readLineSync(); line !== "quit"; line = socket.readLineSync()) {
          socket.writeSync(`${line?.toUpperCase()}\n`);
        }
        socket.endSync("bye");
      });
      client.writeSync("one\ntwo\n");
      expect([client.readLineSync(), client.readLineSync()]).toEqual(["ONE", "TWO"]);
      client.writeSync(`${"x".repeat(500_000)}\nquit\n`);
      expect(client.readLineSync()).toBe("X".repeat(500_000));
      expect([client.readSync(2), client.textSync(), client.readSync()].map(String)).toEqual(["by", "e", "null"]);
      echo.get();
      ends.server.closeSync();
      expect(ends.server.acceptSync()).toBe(null);
    });
    await until(() => sockets() <= 0);
  });

  test("the arguments are those of tls.connect", async () => {
    await inFiber(() => {
      const { server, port } = listening();
      const options = { ca: certificate.cert, servername: "localhost" };
      for (const client of [tls.connectSync(port, "127.0.0.1", options), tls.connectSync(port, options)]) {
        expect(client.authorized).toBe(true);
        server.acceptSync()?.destroy();
        client.destroy();
      }
      server.closeSync();
      expect(thrown(() => tls.connectSync(port, options, (() => {}) as never))).toMatchObject({
        code: "ERR_INVALID_ARG_TYPE",
        message: expect.stringContaining('"options"'),
      });
      for (const args of [[{ port: "x" }], [{ port: 70_000 }], [{ port, minVersion: "x" }]]) {
        const expected = thrown(() => tls.connect(...(args as [never])).destroy());
        expect(thrown(() => tls.connectSync(...(args as [never])))).toMatchObject({ code: expected.code });
      }
    });
  });

  test("a certificate that is not trusted, or of another name, is an error, with the fiber's frames", async () => {
    const { server, port } = await inFiber(() => listening());
    const failed: unknown[] = [];
    server.on("tlsClientError", (error) => failed.push(error));
    const error = await inFiber(function connector() {
      return thrown(() => tls.connectSync(port, "127.0.0.1"));
    });
    expect(error).toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    expect(error.stack).toContain("connector");
    await inFiber(() => {
      const other = thrown(() => tls.connectSync({ ...trusting(port), servername: "example.com" }));
      expect(other).toMatchObject({ code: "ERR_TLS_CERT_ALTNAME_INVALID" });
      const careless = tls.connectSync({ port, host: "127.0.0.1", rejectUnauthorized: false });
      expect(careless.authorized).toBe(false);
      careless.destroy();
      server.closeSync();
    });
    await until(() => sockets() <= 0);
  });

  test("nobody there, and somebody who does not speak TLS", async () => {
    await inFiber(() => {
      const plain = net.createServer().listenSync(0, "127.0.0.1");
      const { port } = plain.address() as net.AddressInfo;
      const fiber = spawn(() => {
        const socket = plain.acceptSync();
        socket?.writeSync("220 hello\r\n");
        socket?.destroy();
      });
      expect(thrown(() => tls.connectSync(trusting(port))).code).toMatch(/^(ERR_SSL_|EPROTO|ECONNRESET)/);
      fiber.join();
      plain.closeSync();
      expect(thrown(() => tls.connectSync(trusting(port)))).toMatchObject({ code: "ECONNREFUSED", port });
    });
  });

  test("a failed handshake does not disturb who accepts: the next connection is accepted", async () => {
    const { server, port } = await inFiber(() => listening());
    const failures: Error[] = [];
    server.on("tlsClientError", (error) => failures.push(error));
    const accepting = spawn(() => server.acceptSync());
    await inFiber(() => {
      const plain = net.connectSync(port, "127.0.0.1");
      plain.writeSync("no TLS at all\n");
      plain.destroy();
    });
    await until(() => failures.length === 1);
    expect(accepting.dead).toBe(false);
    const client = await inFiber(() => tls.connectSync(trusting(port)));
    const socket = await accepting;
    expect(socket?.remotePort).toBe(client.localPort);
    for (const one of [client, socket]) one?.destroy();
    await inFiber(() => server.closeSync());
  });

  test("several fibers accept, first come first served, and connections are kept for them", async () => {
    await inFiber(() => {
      const ends = listening();
      const clients = [1, 2].map(() => tls.connectSync(trusting(ends.port)));
      const accepted = [1, 2].map(() => ends.server.acceptSync());
      expect(accepted.map((socket) => socket?.remotePort)).toEqual(clients.map((client) => client.localPort));
      const [first, second, third] = [1, 2, 3].map(() => spawn(() => ends.server.acceptSync()));
      sleep(0);
      first?.kill();
      const client = tls.connectSync(trusting(ends.port));
      const socket = second?.get();
      expect(socket?.remotePort).toBe(client.localPort);
      for (const one of [...clients, ...accepted, client, socket]) one?.destroy();
      ends.server.closeSync();
      expect(third?.get()).toBe(null);
    });
    await until(() => sockets() <= 0);
  });

  test("killed, or too late, in the handshake: the socket is destroyed", async () => {
    const silent = net.createServer((socket) => socket.on("error", () => {}).resume());
    const { port } = await inFiber(() => silent.listenSync(0, "127.0.0.1").address() as net.AddressInfo);
    const fiber = spawn(() => tls.connectSync(trusting(port)));
    await settle();
    await inFiber(() => {
      fiber.kill();
      expect(withTimeout(20, () => tls.connectSync(trusting(port)), "late")).toBe("late");
      const error = thrown(() => tls.connectSync({ ...trusting(port), timeout: 20 }));
      expect(error).toMatchObject({ code: "ETIMEDOUT", syscall: "connect" });
    });
    await until(() => sockets() <= 0);
    silent.close();
  });

  test("reading that is broken off leaves no listener; the other side's end is the end", async () => {
    await inFiber(() => {
      const ends = listening();
      const [client, socket] = pair(ends);
      client.writeSync("x");
      socket.readSync();
      sleep(0); // or those of the last reading are still there, for a next one that follows at once
      const before = listeners(socket);
      expect(thrown(() => withTimeout(5, () => socket.readSync()))).toMatchObject({ code: "ERR_TIMEOUT" });
      expect(listeners(socket)).toBe(before);
      client.endSync();
      expect(socket.readSync()).toBe(null);
      expect(client.readSync()).toBe(null);
      ends.server.closeSync();
    });
  });

  test("a server with listeners of its own gives a connection to who waits for it, too; https servers have them", async () => {
    const accepted: tls.TLSSocket[] = [];
    await inFiber(() => {
      const ends = listening();
      ends.server.on("secureConnection", (socket) => accepted.push(socket));
      const acceptor = spawn(() => ends.server.acceptSync());
      sleep(1);
      const client = tls.connectSync(trusting(ends.port));
      expect(acceptor.get()).toBe(accepted[0]);
      for (const one of [client, ...accepted]) one.destroy();
      ends.server.closeSync();
      const web = https.createServer({ ...certificate }, (_, res) => res.end("page"));
      web.listenSync(0, "127.0.0.1");
      const { port } = web.address() as net.AddressInfo;
      const options = { ...trusting(port), agent: false as const };
      expect(https.getSync(options).textSync()).toBe("page");
      web.closeSync();
    });
    expect(accepted).toHaveLength(1);
  });

  test("contexts may be made in the hub and in several fibers", async () => {
    const contexts = [tls.createSecureContext()];
    for (let i = 0; i < 3; i++) contexts.push(await inFiber(() => tls.createSecureContext()));
    expect(contexts).toHaveLength(4);
    const error = await inFiber(() => thrown(() => tls.createSecureContext({ cert: "none" })));
    expect(error.code).toMatch(/^ERR_/);
  });

  test("what a handshake calls in the middle of a fiber changes keys; a context that it cannot make says why", async () => {
    const server = tls.createServer(certificate, (socket) => socket.end("x")).listen(0, "127.0.0.1");
    await once(server, "listening");
    const client = tls.connect(trusting((server.address() as net.AddressInfo).port));
    const keys = randomBytes(48);
    const outcomes: unknown[] = [];
    client.on("session", () => {
      server.setTicketKeys(keys);
      outcomes.push(server.getTicketKeys().equals(keys));
      try {
        outcomes.push(typeof tls.createSecureContext().context);
      } catch (error) {
        outcomes.push((error as NodeJS.ErrnoException).code);
      }
    });
    client.on("data", () => client.end()); // by which, up to Node 24, it hears of its session: in this listener's fiber
    await once(client, "close");
    server.close();
    expect(outcomes.length).toBeGreaterThan(0);
    for (let i = 0; i < outcomes.length; i += 2) {
      expect(outcomes.slice(i, i + 2)).toEqual([true, expect.stringMatching(/^(object|ERR_CANNOT_SUSPEND)$/)]);
    }
  });
});

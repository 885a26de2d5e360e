import "runtime/patch";
import { type ChildProcess, spawn as spawnProcess } from "node:child_process";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import tls from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { thrown } from "../support";
import { certificate, noCertificate, Web } from "./web";

let web: Web;

beforeAll(async () => {
  web = await Web.start();
});

afterAll(() => web.stop());

const options = (): tls.ConnectionOptions => ({
  host: "127.0.0.1",
  port: web.ports.https,
  servername: "localhost",
  ca: certificate.cert,
});

/** Connects to a port from another process, says hello, and prints what comes. */
function client(port: number): ChildProcess {
  const program = `
    const socket = require("node:tls").connect({ port: ${port}, host: "127.0.0.1", rejectUnauthorized: false }, () => socket.write("hello\\n"));
    socket.on("error", (error) => console.log(error.code)).pipe(process.stdout);`;
  return spawnProcess(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit"], env: {} });
}

describe.skipIf(noCertificate)(`tls out of a fiber${noCertificate && ` (skipped, ${noCertificate})`}`, () => {
  test("connects after the handshake, and both reads and writes", () => {
    const socket = tls.connectSync(options());
    expect(socket).toBeInstanceOf(tls.TLSSocket);
    expect(socket).toMatchObject({ authorized: true, encrypted: true, remotePort: web.ports.https });
    socket.writeSync("GET /bytes?count=3 HTTP/1.0\r\n\r\n");
    expect(socket.readLineSync()).toBe("HTTP/1.1 200 OK");
    expect(socket.textSync().endsWith("\x07\x07\x07")).toBe(true);
    expect([socket.readSync(), socket.destroyed]).toEqual([null, true]);
  });

  test("tells of certificate, cipher and protocol", () => {
    const socket = tls.connectSync(web.ports.https, "127.0.0.1", options());
    expect(socket.getPeerCertificate(true).subject.CN).toBe("localhost");
    expect(Buffer.isBuffer(socket.getPeerCertificate().raw)).toBe(true);
    expect(socket.getProtocol()).toMatch(/^TLSv1\.[23]$/);
    expect(socket.getCipher().name).toMatch(/^TLS_|^ECDHE/);
    expect(socket.isSessionReused()).toBe(false);
    expect(socket.exportKeyingMaterial(16, "label", Buffer.alloc(0)).length).toBe(16);
    socket.destroy();
    expect(socket.getCipher()).toBe(null);
    expect(thrown(() => socket.renegotiate({}, () => {}))).toMatchObject({ code: "ERR_PARKED_SOCKET" });
  });

  test("errors are the socket's own, and show who called", () => {
    const error = thrown(function caller() {
      tls.connectSync({ ...options(), ca: undefined });
    });
    expect(error).toMatchObject({ code: "DEPTH_ZERO_SELF_SIGNED_CERT" });
    expect(error.stack).toMatch(/caller/);
    expect(error.stack).not.toMatch(/park-worker|synckit/);
    expect(thrown(() => tls.connectSync(1, "127.0.0.1"))).toMatchObject({ code: "ECONNREFUSED" });
    const elsewhere = { ...options(), servername: "elsewhere" };
    expect(thrown(() => tls.connectSync(elsewhere))).toMatchObject({ code: "ERR_TLS_CERT_ALTNAME_INVALID" });
    expect(thrown(() => tls.connectSync({ ...options(), minVersion: "none" as never }))).toMatchObject({
      name: "TypeError",
      code: "ERR_TLS_INVALID_PROTOCOL_VERSION",
    });
  });

  test("what only this thread can use is refused by name", () => {
    const refused: [tls.ConnectionOptions, string][] = [
      [{ checkServerIdentity: () => undefined }, "options.checkServerIdentity"],
      [{ secureContext: tls.createSecureContext() }, "options.secureContext"],
      [{ lookup: () => {} } as never, "options.lookup"],
    ];
    for (const [more, name] of refused) {
      const error = thrown(() => tls.connectSync({ ...options(), ...more }));
      expect(error).toMatchObject({ code: "ERR_NOT_IN_FIBER", message: expect.stringContaining(name) });
    }
    const server = tls.createServer({ ...certificate, SNICallback: () => {} });
    expect(thrown(() => server.listenSync(0))).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    const busy = tls.createServer({ ...certificate }, () => {});
    expect(thrown(() => busy.listenSync(0))).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    expect([server.listening, busy.listening]).toEqual([false, false]);
  });

  test("a server accepts, with its own options", async () => {
    const server = tls.createServer({ ...certificate, maxVersion: "TLSv1.2" }).listenSync(0, "127.0.0.1");
    const { port } = server.address() as AddressInfo;
    const child = client(port);
    const socket = server.acceptSync() as tls.TLSSocket;
    expect(socket).toBeInstanceOf(tls.TLSSocket);
    expect([socket.readLineSync(), socket.getProtocol(), socket.authorized]).toEqual(["hello", "TLSv1.2", false]);
    socket.endSync("welcome");
    const [printed] = await once(child.stdout as NodeJS.EventEmitter, "data");
    expect(String(printed)).toBe("welcome");
    server.closeSync();
    expect([server.listening, server.acceptSync()]).toEqual([false, null]);
    await once(child, "close");
  });
});

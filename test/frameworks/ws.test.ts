import "runtime/patch";
import { once, onceSync } from "node:events";
import fs from "node:fs";
import http, { type Server } from "node:http";
import { sleepSync } from "node:timers";
import { Event, Fiber, spawn, wait } from "runtime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import WebSocket, { createWebSocketStream, WebSocketServer } from "ws";
import { describeFibers } from "../support/fibers";
import { turn, until } from "../support/turns";
import { atOnce, close, Gathering, originOf } from "../support/web";

const CLIENTS = 20;
const MESSAGES = 10;

describeFibers("ws", () => {
  let server: Server;
  let sockets: WebSocketServer;
  let url: string;

  beforeEach(async () => {
    server = http.createServer();
    sockets = new WebSocketServer({ server, perMessageDeflate: { threshold: 0 } });
    url = await originOf(server, "ws");
  });

  afterEach(async () => {
    for (const client of sockets.clients) client.terminate();
    sockets.close();
    await close(server);
  });

  const connect = async (options: WebSocket.ClientOptions = {}) => {
    const client = new WebSocket(url, { perMessageDeflate: false, ...options });
    await once(client, "open");
    return client;
  };

  describe.each([
    ["plain", false],
    ["compressed", true],
  ])("with %s messages", (_name, perMessageDeflate) => {
    it("handles those of one connection one after the other, and connections at the same time", async () => {
      const all = new Gathering(CLIENTS);
      let most = 0;
      sockets.on("connection", (socket) => {
        let inside = 0;
        socket.on("message", (message) => {
          most = Math.max(most, ++inside);
          if (`${message}` === "0") all.arrive();
          sleepSync(1);
          socket.send(`${message} ${fs.readFileSync(__filename).length > 0}`);
          inside--;
        });
      });
      const answers = await atOnce(CLIENTS, async () => {
        const client = await connect({ perMessageDeflate });
        const received: string[] = [];
        client.on("message", (message) => {
          sleepSync(1);
          received.push(`${message}`);
        });
        for (let i = 0; i < MESSAGES; i++) client.send(`${i}`);
        await until(() => received.length === MESSAGES);
        client.close();
        return received;
      });
      expect(answers).toEqual(Array(CLIENTS).fill(Array.from({ length: MESSAGES }, (_, i) => `${i} true`)));
      expect(most).toBe(1);
    });

    it("misses none in a loop that waits for them, at either end", async () => {
      sockets.on("connection", (socket) => {
        for (let i = 0; i < MESSAGES; i++) socket.send(`${onceSync(socket, "message")[0]}!`);
        socket.close(4000, "enough");
      });
      const talk = () => {
        const client = new WebSocket(url, { perMessageDeflate });
        onceSync(client, "open");
        for (let i = 0; i < MESSAGES; i++) client.send(i);
        const received = Array.from({ length: MESSAGES }, () => `${onceSync(client, "message")[0]}`);
        const [code, reason] = onceSync(client, "close");
        return [...received, code, `${reason}`];
      };
      const expected = [...Array.from({ length: MESSAGES }, (_, i) => `${i}!`), 4000, "enough"];
      expect(await atOnce(CLIENTS, async () => spawn(talk))).toEqual(Array(CLIENTS).fill(expected));
    });

    it("sends big ones, and waits until they are written", async () => {
      sockets.on("connection", (socket) => {
        socket.on("message", (message: Buffer) => {
          sleepSync(1);
          wait(new Promise<void>((resolve) => socket.send(message, () => resolve())));
          socket.send(`${Fiber.current !== null}`);
        });
      });
      const client = await connect({ perMessageDeflate });
      const sent = Buffer.alloc(5_000_000, "0123456789");
      const received = spawn(() => {
        client.send(sent);
        return [onceSync(client, "message")[0].equals(sent), `${onceSync(client, "message")[0]}`];
      });
      expect(await received).toEqual([true, "true"]);
    });
  });

  it("holds up the client of a handler that blocks", async () => {
    const release = new Event();
    let [handled, bytesRead] = [0, 0];
    sockets.on("connection", (socket, request) => {
      socket.on("message", () => {
        release.wait();
        if (handled++ === 0) ({ bytesRead } = request.socket);
      });
    });
    const client = await connect();
    const message = Buffer.alloc(64 * 1024);
    for (let i = 0; i < 500; i++) client.send(message);
    for (let turns = 0; turns < 500; turns++) await turn();
    release.set();
    await until(() => handled === 500);
    expect(bytesRead).toBeLessThan(100 * message.length);
  });

  it("lets listeners of close, ping, pong and error block", async () => {
    const seen: string[] = [];
    const note = (what: string) => {
      sleepSync(1);
      seen.push(`${what}, ${Fiber.current !== null}`);
    };
    sockets.on("connection", (socket) => {
      socket.on("ping", (data) => note(`ping ${data}`));
      socket.on("pong", (data) => note(`pong ${data}`));
      socket.on("error", (error: NodeJS.ErrnoException) => note(`error ${error.code}`));
      socket.on("close", (code) => note(`close ${code}`));
      note("connection");
      socket.ping("from the server");
    });
    const client = await connect();
    client.ping("from the client");
    await until(() => seen.length === 3);
    expect(seen[0]).toBe("connection, true");
    expect(seen.slice(1).sort()).toEqual(["ping from the client, true", "pong from the server, true"]);
    const closed = once(client, "close");
    (client as unknown as { _socket: NodeJS.WritableStream })._socket.write(Buffer.from([0xff, 0xff])); // no frame
    expect((await closed)[0]).toBe(1002);
    await until(() => seen.length === 5);
    expect(seen.slice(3).sort()).toEqual(["close 1006, true", "error WS_ERR_UNEXPECTED_RSV_2_3, true"]);
  });

  it("throws in the fiber that waits for a connection why there is none", async () => {
    await close(server);
    const connecting = spawn(() => onceSync(new WebSocket(url), "open"));
    await expect(connecting).rejects.toMatchObject({ code: "ECONNREFUSED" });
    await originOf(server); // for the hook that closes it
  });

  it("upgrades connections of an http server after an authentication that blocks", async () => {
    const all = new Gathering(CLIENTS);
    const own = http.createServer((_request, response) => {
      sleepSync(1);
      response.end("no upgrade");
    });
    const upgraded = new WebSocketServer({ noServer: true });
    own.on("upgrade", (request, socket, head) => {
      all.arrive();
      if (request.url === "/secret") {
        socket.endSync("HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        return;
      }
      upgraded.handleUpgrade(request, socket, head, (client) => {
        sleepSync(1);
        upgraded.emit("connection", client, request);
      });
    });
    upgraded.on("connection", (socket, request) => {
      sleepSync(1);
      socket.send(`hello ${request.url}`);
    });
    const origin = await originOf(own, "ws");
    const answer = (i: number) => {
      const client = new WebSocket(`${origin}${i % 2 ? "/secret" : "/open"}`);
      try {
        const [message] = onceSync(client, "message");
        client.close();
        onceSync(client, "close");
        return `${message}`;
      } catch (error) {
        return (error as Error).message;
      }
    };
    const answers = await atOnce(CLIENTS, async (i) => spawn(answer, i));
    const expected = ["hello /open", "Unexpected server response: 401"];
    expect(answers).toEqual(Array.from({ length: CLIENTS }, (_, i) => expected[i % 2]));
    expect(await (await fetch(origin.replace("ws", "http"))).text()).toBe("no upgrade");
    await close(own);
  });

  it("as a stream is read and written in blocking style", async () => {
    sockets.on("connection", (socket) => {
      const duplex = createWebSocketStream(socket, { encoding: "utf8" });
      for (const chunk of duplex.chunksSync()) duplex.writeSync(chunk.toUpperCase());
      duplex.endSync();
    });
    const talk = () => {
      const duplex = createWebSocketStream(new WebSocket(url), { encoding: "utf8" });
      const answers = ["a", "b", "c"].map((text) => {
        duplex.writeSync(text);
        return duplex.readSync();
      });
      duplex.endSync();
      return answers.join("");
    };
    expect(await atOnce(CLIENTS, async () => spawn(talk))).toEqual(Array(CLIENTS).fill("ABC"));
  });
});

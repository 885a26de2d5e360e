// axios, got and Node's own fetch: the same requests in blocking style, by each.
import "runtime/patch";
import http, { type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import { sleepSync } from "node:timers";
import axios from "axios";
import got from "got";
import { blocking, FiberExit, spawn, wait, withTimeout } from "runtime";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { until } from "../support/turns";
import { atOnce, close, Gathering, originOf } from "../support/web";

const MANY = 200;

interface Client {
  /** The body of a page, an object, by a function that blocks. */
  get(url: string): unknown;
  /** What is sent back of an object. */
  post(url: string, body: object): unknown;
  /** The pieces of a page, one after the other. */
  pieces(url: string): Iterable<Uint8Array>;
  /** Where an error tells the status, if the server has answered. */
  status(error: unknown): unknown;
  /** Begins a request that `signal` aborts. */
  abortable(url: string, signal: AbortSignal): unknown;
}

const request = blocking(axios);

const clients: Record<string, Client> = {
  axios: {
    get: (url) => request.get(url).data,
    post: (url, body) => request.post(url, body).data,
    pieces: (url) => (request.get(url, { responseType: "stream" }).data as Readable).chunksSync(),
    status: (error) => (error as { response: { status: number } }).response.status,
    abortable: (url, signal) => request.get(url, { signal }),
  },
  got: {
    get: (url) => wait(got(url, { retry: { limit: 0 } }).json()),
    post: (url, json) => wait(got.post(url, { json }).json()),
    pieces: (url) => got.stream(url).chunksSync(),
    status: (error) => (error as { response: { statusCode: number } }).response.statusCode,
    abortable: (url, signal) => wait(got(url, { signal })),
  },
  fetch: {
    get(url) {
      const response = wait(fetch(url));
      if (!response.ok) throw Object.assign(new Error("not found"), { status: response.status });
      return wait(response.json());
    },
    post: (url, body) => wait(wait(fetch(url, { method: "POST", body: JSON.stringify(body) })).json()),
    pieces: (url) => blocking(wait(fetch(url)).body as ReadableStream<Uint8Array>) as never,
    status: (error) => (error as { status: number }).status,
    abortable: (url, signal) => wait(fetch(url, { signal })),
  },
};

describeFibers("HTTP clients in blocking style", () => {
  let server: Server;
  let origin: string;
  let handle: (req: IncomingMessage, res: ServerResponse) => void;

  beforeEach(async () => {
    server = http.createServer((req, res) => handle(req, res));
    origin = await originOf(server);
  });

  afterEach(() => close(server));

  describe.each(Object.entries(clients))("%s", (_name, client) => {
    it(`has ${MANY} requests under way at once, to handlers that block`, async () => {
      const all = new Gathering(MANY);
      handle = (req, res) => {
        all.arrive();
        sleepSync(1);
        res.end(JSON.stringify({ path: req.url }));
      };
      const answers = await atOnce(MANY, async (i) => spawn(() => client.get(`${origin}/${i}`)));
      expect(answers).toEqual(Array.from({ length: MANY }, (_, i) => ({ path: `/${i}` })));
    });

    it("sends a body, which the server reads in blocking style", async () => {
      handle = (req, res) => res.end(JSON.stringify({ received: JSON.parse(req.textSync()) }));
      const body = { text: "x".repeat(100_000) };
      expect(await spawn(() => client.post(origin, body))).toEqual({ received: body });
    });

    it("reads a body that comes in pieces", async () => {
      handle = (_req, res) => {
        for (const piece of ["a", "b", "c"]) {
          res.writeSync(piece);
          sleepSync(1);
        }
        res.endSync();
      };
      const read = () => Array.from(client.pieces(origin), (piece) => `${Buffer.from(piece)}`).join("");
      expect(await spawn(read)).toBe("abc");
    });

    it("throws errors where the request was made", async () => {
      handle = (_req, res) => {
        sleepSync(1);
        res.writeHead(404).end("{}");
      };
      const caught = await spawn(function theCaller() {
        try {
          return client.get(origin);
        } catch (error) {
          return error;
        }
      });
      expect(client.status(caught)).toBe(404);
      expect((caught as Error).stack).toContain("theCaller");
      const other = http.createServer();
      const nobody = await originOf(other);
      await close(other);
      const refused = spawn(() => client.get(nobody));
      await expect(refused).rejects.toSatisfy((error: Error) =>
        [error, error.cause].some((one) => (one as NodeJS.ErrnoException)?.code === "ECONNREFUSED"),
      );
    });

    it("killed in a request can abort it, and a time limit leaves it", async () => {
      let gone = 0;
      handle = (_req, res) => {
        res.on("close", () => {
          sleepSync(1);
          gone++;
        });
      };
      const abortable = () => {
        const abort = new AbortController();
        try {
          client.abortable(origin, abort.signal);
        } finally {
          abort.abort();
        }
      };
      const received = new Promise((resolve) => server.once("request", resolve));
      const fiber = spawn(abortable);
      await received;
      fiber.kill();
      expect(await fiber).toBeInstanceOf(FiberExit);
      expect(await spawn(() => withTimeout(50, abortable, "too late"))).toBe("too late");
      await until(() => gone >= 1);
    });
  });
});

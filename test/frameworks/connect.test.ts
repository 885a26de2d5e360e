import "runtime/patch";
import fs from "node:fs";
import http, { type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { sleepSync } from "node:timers";
import connect from "connect";
import { sleep } from "runtime";
import serveStatic from "serve-static";
import { afterEach, beforeEach, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { atOnce, close, Gathering, originOf, text } from "../support/web";

describeFibers("Connect", () => {
  let app: connect.Server;
  let server: Server;
  let origin: string;

  beforeEach(async () => {
    app = connect();
    server = http.createServer(app);
    origin = await originOf(server);
  });

  afterEach(() => close(server));

  it("has 200 blocking handlers at work at once, each after middleware that blocks", async () => {
    const all = new Gathering(200);
    app.use((_req, res, next) => {
      res.setHeader("x-size", fs.readFileSync(__filename).length);
      sleepSync(1);
      next();
    });
    app.use("/at", (req: IncomingMessage, res: ServerResponse) => {
      all.arrive();
      res.end(req.url);
    });
    const answers = await atOnce(200, (i) => text(`${origin}/at/${i}`));
    expect(answers).toEqual(Array.from({ length: 200 }, (_, i) => `/${i}`));
  });

  it("gives error middleware what is thrown, before a suspension and after it", async () => {
    app.use((req, _res, next) => {
      if (req.url === "/later") sleepSync(1);
      if (req.url !== "/") throw new Error(`failed at ${req.url}`);
      next(new Error("passed on"));
    });
    app.use((error: Error, _req: IncomingMessage, res: ServerResponse, _next: () => void) => {
      sleepSync(1);
      res.statusCode = 500;
      res.end(error.message);
    });
    for (const [url, message] of [
      ["/", "passed on"],
      ["/now", "failed at /now"],
      ["/later", "failed at /later"],
    ]) {
      const response = await fetch(origin + url);
      expect([response.status, await response.text()]).toEqual([500, message]);
    }
  });

  it("serves files after middleware that blocks, and lets blocking handlers follow", async () => {
    const directory = fs.mkdtempSync(path.join(tmpdir(), "runtime-connect-"));
    fs.writeFileSync(path.join(directory, "file.txt"), "the file");
    const before = new Gathering(20);
    const after = new Gathering(10);
    app.use((_req, _res, next) => {
      before.arrive();
      next();
    });
    app.use(serveStatic(directory));
    app.use((_req, res) => {
      after.arrive();
      sleep(1);
      res.end("no file");
    });
    const answers = await atOnce(20, (i) => text(`${origin}/${i % 2 ? "file.txt" : "page"}`));
    expect(answers).toEqual(Array.from({ length: 20 }, (_, i) => (i % 2 ? "the file" : "no file")));
    fs.rmSync(directory, { recursive: true });
  });
});

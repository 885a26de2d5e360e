// Handlers in blocking style.
"use strict";
const fs = require("node:fs");
const net = require("node:net");
const { sleepSync } = require("node:timers");
const { threadId } = require("node:worker_threads");
const { spawn, wait } = require("runtime");

const query = (req, name) => new URL(req.url, "http://x").searchParams.get(name);
const codeOf = (call) => {
  try {
    call();
    return "none";
  } catch (error) {
    return error.code;
  }
};

const routes = {
  "/thread": (_req, res) => res.end(String(threadId)),
  "/text": (req, res) => res.end(`<${req.textSync()}>`),
  "/sizes": (req, res) => {
    const sizes = [];
    for (let chunk = req.readSync(7); chunk !== null; chunk = req.readSync(7)) sizes.push(chunk.length);
    res.end(sizes.join());
  },
  "/lines": (req, res) => {
    req.setEncoding("utf8");
    for (const chunk of req.chunksSync()) res.writeSync(`[${chunk}]`);
    res.endSync(`${req.readSync()} ${req.complete}`);
  },
  "/trailers": (req, res) => {
    req.textSync();
    res.end(JSON.stringify(req.trailers));
  },
  // Tells that it is there, and goes on when the request's body ends.
  "/hold": (req, res) => {
    res.writeSync(`${threadId}\n`);
    res.endSync(req.textSync());
  },
  "/sleep": (req, res) => {
    sleepSync(Number(query(req, "ms")));
    res.end("slept");
  },
  "/large": (req, res) => {
    const chunk = Buffer.alloc(64 * 1024, "x");
    for (let left = Number(query(req, "bytes")); left > 0; left -= chunk.length) res.writeSync(chunk);
    res.endSync();
    fs.writeFileSync(query(req, "file"), "done");
  },
  "/ended": (req, res) => res.end(Buffer.alloc(Number(query(req, "bytes")))),
  // Writes until the client goes away.
  "/endless": (req, res) => {
    try {
      for (;;) res.writeSync(Buffer.alloc(1000));
    } catch (error) {
      const { destroyed } = res;
      fs.writeFileSync(
        query(req, "file"),
        `${error.code} ${destroyed} ${req.destroyed} ${codeOf(() => res.endSync("x"))}`,
      );
    }
  },
  // Reads what never comes to its end.
  "/unread": (req, res) => {
    res.writeSync("reading");
    try {
      req.textSync();
    } catch (error) {
      fs.writeFileSync(query(req, "file"), `${error.code} ${error.message} ${codeOf(() => req.readSync())}`);
    }
  },
  "/close-event": (req, res) => {
    res.write("waiting");
    res.on("close", () => fs.writeFileSync(query(req, "file"), `${res.writableFinished} ${req.aborted}`));
  },
  "/throw": () => {
    throw Object.assign(new TypeError("thrown in the handler"), { code: "OWN" });
  },
  "/throw-late": (_req, res) => {
    res.writeSync("begun");
    throw new Error("thrown after the head");
  },
  "/reject": async (_req, _res) => {
    await new Promise(setImmediate);
    throw new Error("rejected in the handler");
  },
  "/exit": () => process.exit(3),
  "/exit-after": (_req, res) => {
    res.end("said before");
    process.exit(3);
  },
  "/crash": (_req, _res) => {
    setImmediate(() => {
      throw new Error("uncaught in the thread");
    });
  },
  "/memory": () => {
    const all = [];
    for (;;) all.push(new Array(100_000).fill(all.length));
  },
  "/hang": () => sleepSync(1e9),
  "/hang-late": (_req, res) => {
    res.writeSync("begun");
    sleepSync(1e9);
  },
  "/wait": (_req, res) => {
    const codes = [() => wait(new Promise(() => {})), () => spawn(() => {}), () => wait(5)].map(codeOf);
    res.end(`${codes} ${process.env.RUNTIME_SWITCH}`);
  },
  "/socket": (req) => {
    req.socket.write("HTTP/1.1 101 Switching Protocols\r\n\r\n");
  },
  "/tls": ({ socket }, res) => {
    res.end(`${socket.encrypted} ${socket.authorized} ${socket.servername} ${socket.remoteAddress}`);
  },
  "/connect": (req, res) => {
    const socket = net.connectSync(Number(query(req, "port")), "127.0.0.1");
    socket.writeSync("echo parked\n");
    res.writeSync(socket.readLineSync());
    socket.destroy();
    res.endSync();
  },
  // Blocks in a listener for "data", while more comes.
  "/listener": (req, res) => {
    let inside = 0;
    req.on("data", (chunk) => {
      inside++;
      for (const byte of chunk) res.writeSync(String.fromCharCode(byte));
      if (--inside > 0) res.writeSync("nested");
    });
    req.on("end", () => res.endSync("."));
  },
  "/destroy": (_req, res) => {
    res.write("cut");
    res.destroy();
  },
  "/after": (_req, res) => {
    res.end("ended");
    try {
      res.writeSync("more");
    } catch (error) {
      afterwards = error.code;
    }
  },
  "/afterwards": (_req, res) => res.end(afterwards),
  "/late-work": (req, res) => {
    const file = query(req, "file");
    setImmediate(() => fs.writeFileSync(file, "done"));
    res.end("answered");
  },
};

let afterwards = "";

if (process.env.EXIT_FILE) process.on("exit", () => fs.writeFileSync(process.env.EXIT_FILE, "exit listeners ran"));

module.exports = (req, res) => routes[new URL(req.url, "http://x").pathname](req, res);

// Handlers in Node's style that do not block: plain Node answers them, too, byte for byte.
"use strict";
const { Readable } = require("node:stream");

const routes = {
  "/end": (_req, res) => res.end("hello"),
  "/nothing": (_req, res) => res.end(),
  "/bytes": (_req, res) => res.end(Buffer.from([0, 1, 2, 255])),
  "/chunks": (_req, res) => {
    res.write("one");
    res.write(Buffer.from("two"));
    res.write(new Uint8Array([51]));
    res.end("four");
  },
  "/empty-chunk": (_req, res) => {
    res.write("");
    res.end("after");
  },
  "/length": (_req, res) => {
    res.setHeader("Content-Length", 6);
    res.write("abc");
    res.end("def");
  },
  "/status": (_req, res) => {
    res.statusCode = 418;
    res.statusMessage = "Short And Stout";
    res.end("tea");
  },
  "/head": (_req, res) => {
    res.setHeader("X-Set", "a");
    res.writeHead(201, "Made", { "X-Given": ["b", "c"], "x-set": "d" });
    res.end("e");
  },
  "/pairs": (_req, res) => res.writeHead(200, ["X-A", "1", "X-A", "2", "x-b", "3"]).end("pairs"),
  "/cookies": (_req, res) => {
    res.setHeader("Set-Cookie", ["a=1", "b=2; Path=/"]);
    res.appendHeader("Set-Cookie", "c=3");
    res.end();
  },
  "/204": (_req, res) => res.writeHead(204).end("not sent"),
  "/304": (_req, res) => res.writeHead(304, { etag: '"x"' }).end("not sent"),
  "/chunked": (_req, res) => {
    res.setHeader("Transfer-Encoding", "chunked");
    res.end("chunk");
  },
  "/trailers": (req, res) => {
    if (req.method === "HEAD" || req.httpVersion === "1.0") return res.end("none");
    res.writeHead(200, { Trailer: "X-Sum, X-More" });
    res.write("body");
    res.addTrailers({ "X-Sum": "12", "X-More": "a: b" });
    res.end();
  },
  "/hints": (_req, res) => {
    res.writeProcessing();
    res.writeEarlyHints({ link: "</style.css>; rel=preload" });
    res.end("hinted");
  },
  "/no-date": (_req, res) => {
    res.sendDate = false;
    res.end("no date");
  },
  "/own-date": (_req, res) => res.setHeader("Date", "Thu, 01 Jan 1970 00:00:00 GMT").end(),
  "/close": (_req, res) => res.setHeader("Connection", "close").end("closed"),
  "/keep-alive": (_req, res) => res.setHeader("Connection", "keep-alive").end("kept"),
  "/not-kept": (_req, res) => {
    res.shouldKeepAlive = false;
    res.end("not kept");
  },
  "/no-connection": (_req, res) => {
    res.removeHeader("Connection");
    res.end("no such header");
  },
  "/no-encoding": (_req, res) => {
    res.removeHeader("Transfer-Encoding");
    res.write("up to ");
    res.end("the end");
  },
  "/latin1": (_req, res) => res.setHeader("X-Name", "M\u00fcller").end("\u00fc\u20ac\ud83d\ude00"),
  "/encodings": (_req, res) => {
    res.write("e4", "latin1");
    res.write("ff00", "hex");
    res.write("aGk=", "base64");
    res.end("\u00e4", "utf16le");
  },
  "/long-text": (_req, res) => res.end("\u00e4".repeat(200_000)),
  "/cork": (_req, res) => {
    res.cork();
    res.write("a");
    res.write("b");
    process.nextTick(() => {
      res.uncork();
      res.end("c");
    });
  },
  "/flush": (_req, res) => {
    res.flushHeaders();
    setImmediate(() => res.end("later"));
  },
  "/async": async (_req, res) => {
    await new Promise(setImmediate);
    res.end(await Promise.resolve("asynchronous"));
  },
  "/pipe": (_req, res) => Readable.from(["a", Buffer.alloc(100_000, "b"), "c"], { objectMode: false }).pipe(res),
  "/request": (req, res) => {
    const { method, url, httpVersion, httpVersionMajor, httpVersionMinor, rawHeaders, headers, headersDistinct } = req;
    const own = { method, url, httpVersion, httpVersionMajor, httpVersionMinor, rawHeaders, headers, headersDistinct };
    res.end(JSON.stringify(own));
  },
  "/kinds": (req, res) => {
    const http = require("node:http");
    const net = require("node:net");
    const facts = [
      req instanceof http.IncomingMessage && res instanceof http.ServerResponse && req.socket instanceof net.Socket,
      req.constructor === http.IncomingMessage && res.constructor === http.ServerResponse,
      req.socket === res.socket && req.connection === req.socket && res.req === req,
      [req.socket.remoteAddress, req.socket.localAddress, req.socket.remoteFamily, typeof req.socket.remotePort],
      [req.socket.destroyed, req.destroyed, req.aborted, req.readable, res.writable, res.headersSent, res.finished],
      [res.writableHighWaterMark, res.writableLength, res.writableEnded, res.writableFinished, res.sendDate],
    ];
    res.end(JSON.stringify(facts));
  },
  "/body": (req, res) => {
    let body = "";
    req.setEncoding("utf8");
    req.on("data", (text) => {
      body += text;
    });
    req.on("end", () => res.end(JSON.stringify([body, req.complete, req.trailers, req.rawTrailers])));
  },
  "/iterate": async (req, res) => {
    let bytes = 0;
    for await (const chunk of req) bytes += chunk.length;
    res.end(String(bytes));
  },
  "/echo": (req, res) => req.pipe(res),
  "/ignored-body": (_req, res) => res.end("not read"),
  "/misuse": (_req, res) => {
    const errors = [];
    const attempt = (call) => {
      try {
        call();
        errors.push("none");
      } catch (error) {
        errors.push(`${error.name} ${error.code} ${error.message}`);
      }
    };
    attempt(() => res.write(5));
    attempt(() => res.write(null));
    attempt(() => res.end({}));
    attempt(() => res.setHeader("a b", "c"));
    attempt(() => res.setHeader("a", undefined));
    attempt(() => res.writeHead(99));
    res.write("begun");
    attempt(() => res.setHeader("late", "x"));
    attempt(() => res.writeHead(200));
    res.end(errors.join("\n"));
  },
  "/events": (req, res) => {
    const seen = [];
    for (const event of ["data", "end", "close", "error", "aborted"]) {
      req.on(event, () => seen.push(`req ${event}`));
    }
    for (const event of ["prefinish", "finish", "close", "error"]) res.on(event, () => seen.push(`res ${event}`));
    res.on("finish", () => seen.push(`${res.writableFinished} ${res.destroyed} ${res.socket === null}`));
    res.on("close", () => {
      setImmediate(() => {
        events.set(req.url.split("?")[1], seen.join());
      });
    });
    req.on("end", () => res.end("listened"));
  },
  "/events-of": (req, res) => res.end(events.get(req.url.split("?")[1])),
};

/** What "/events?NAME" has seen, by name. */
const events = new Map();

module.exports = (req, res) => {
  const route = routes[req.url.split("?")[0]];
  if (!route) res.writeHead(404).end("no such route");
  else return route(req, res);
};

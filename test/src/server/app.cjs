// What behaviours.ts asks for, each at a path of its own. It uses Node alone, as the patch leaves it, so that it runs in fibers
// and in threads; what is to be seen from outside it notes in a file.
"use strict";
const fs = require("node:fs");
const path = require("node:path");
const { createHash } = require("node:crypto");
const { sleepSync } = require("node:timers");

const directory = process.env.NOTES;
const note = (name, text) => fs.appendFileSync(path.join(directory, name), `${text}\n`);

/** Blocks until the test, or another request, makes the file. */
function waitFor(name) {
  while (!fs.existsSync(path.join(directory, name))) sleepSync(2);
}

function* countdown(from) {
  for (let i = from; i > 0; i--) {
    sleepSync(1);
    yield `${i} `;
  }
}

/** Handlers in WSGI style. */
const returning = {
  text: () => ({ status: 201, headers: { "Content-Type": "text/plain", "X-One": 1 }, body: "hëllo" }),
  empty: () => ({ status: 200 }),
  bytes: () => ({ body: new Uint8Array([104, 105]) }),
  buffer: () => ({ body: new TextEncoder().encode("hi").buffer }),
  view: () => ({ body: new DataView(new TextEncoder().encode("<hi>").buffer, 1, 2) }),
  array: () => ({ body: ["a", Buffer.from("b"), "ü"] }),
  generator: () => ({ body: countdown(3) }),
  reason: () => ({ status: 299, statusText: "Fine So Far", body: "x" }),
  nothing: () => ({ status: 204, headers: { "x-a": "b" }, body: "not sent" }),
  "nothing-in-list": () => ({ status: 204, body: ["not sent"] }),
  unchanged: () => ({ status: 304, headers: { etag: '"1"' }, body: countdown(3) }),
  pairs: () => ({
    headers: [
      ["set-cookie", "a=1"],
      ["Set-Cookie", "b=2"],
      ["x-c", "3"],
    ],
    body: "",
  }),
  arrays: () => ({ headers: { "set-cookie": ["a=1", "b=2"], "x-none": undefined }, body: "" }),
  fetched: () => ({
    headers: new Headers([
      ["set-cookie", "a=1"],
      ["set-cookie", "b=2"],
    ]),
    body: "",
  }),
  response: () => new Response("hi", { status: 202, headers: { "x-kind": "Response" } }),
  json: () => Response.json({ hello: ["world"] }),
  "response-without-body": () => new Response(null, { status: 204 }),
  stream: () => ({ body: ReadableStream.from(["one ", Buffer.from("two")]) }),
  readable: () => ({ body: fs.createReadStream(__filename, { start: 0, end: 15 }) }),
  "async-generator": () => ({
    body: (async function* () {
      for (const item of ["x", "y", "z"]) yield await Promise.resolve(item);
    })(),
  }),
  async: async (req) => ({ body: (await Promise.resolve(req.method)).toLowerCase() }),
  "async-array": async () => ({ body: ["a", "b"] }),
  large: () => ({ body: Buffer.alloc(5_000_000, "x") }),
  "large-text": () => ({ body: "é".repeat(1_000_000) }),
  "large-items": () => ({ body: Array.from({ length: 100 }, (_, i) => Buffer.alloc(50_000, i)) }),
  method: (req) => ({ body: `${req.method} ${req.url} ${req.headers["x-name"]}` }),
  own: () => ({ headers: { "content-length": "2" }, body: ["h", "i"] }),

  upload: (req) => ({ body: `${req.textSync().length}` }),
  hash(req) {
    const hash = createHash("sha256");
    for (const chunk of req.chunksSync()) hash.update(chunk);
    return { body: hash.digest("hex") };
  },
  echo: (req) => ({ body: req.chunksSync() }),
  pieces(req) {
    const pieces = [];
    for (let piece = req.readSync(4); piece !== null; piece = req.readSync(4)) pieces.push(String(piece));
    return { body: pieces.join("|") };
  },
  unread: () => ({ body: "I do not read" }),

  flush: () => ({
    body: (function* () {
      yield "first";
      waitFor("flushed");
      yield "second";
    })(),
  }),
  flood: () => ({
    body: (function* () {
      for (let i = 0; i < 1000; i++) {
        note("flood", i);
        yield Buffer.alloc(65_536, "f");
      }
    })(),
  }),
  left: () => ({
    body: (function* () {
      try {
        for (;;) {
          sleepSync(1);
          yield "more ";
        }
      } finally {
        sleepSync(1);
        note("left", "cleaned up");
      }
    })(),
  }),
  "left-async": () => ({
    body: (async function* () {
      try {
        for (;;) yield await new Promise((resolve) => setTimeout(resolve, 1, "more "));
      } finally {
        note("left-async", "cleaned up");
      }
    })(),
  }),
  "head-of-left": () => ({
    body: {
      [Symbol.iterator]: () => ({
        next: () => ({ done: true }),
      }),
      return: () => note("head", "left"),
    },
  }),
  held(req) {
    note("held", "waits");
    waitFor("release");
    return { body: req.url };
  },
  release() {
    note("release", "now");
    return { body: "released" };
  },

  throws: () => {
    sleepSync(1);
    throw new Error("thrown by the test's app");
  },
  "throws-undefined": () => {
    throw undefined;
  },
  rejects: async () => {
    throw new Error("rejected by the test's app");
  },
  "throws-first": () => ({
    headers: { "x-secret": "1" },
    // biome-ignore lint/correctness/useYield: that is the case
    body: (function* () {
      throw new Error("thrown by the test's app");
    })(),
  }),
  "throws-later": () => ({
    body: (function* () {
      yield "some";
      throw new Error("thrown by the test's app");
    })(),
  }),
  "throws-later-async": () => ({
    body: (async function* () {
      yield "some";
      throw new Error("thrown by the test's app");
    })(),
  }),
  "returns-undefined": () => undefined,
  "returns-text": () => "text",
  "bad-status": () => ({ status: 99 }),
  "bad-header": () => ({ headers: { "bad name": "x" } }),
  "bad-body": () => ({ body: 7 }),
  "bad-item": () => ({ body: [7] }),
  "read-twice": () => {
    const response = new Response("x");
    response.text();
    return response;
  },

  hangs: () => {
    note("hangs", "now");
    sleepSync(3_600_000);
  },
  "hangs-later": () => ({
    body: (function* () {
      yield "some";
      sleepSync(3_600_000);
    })(),
  }),
};

/** Handlers in Node's style. */
const answering = {
  node(req, res) {
    res.setHeader("x-style", "node");
    res.writeHead(202, { "content-type": "text/plain" });
    res.end(`${req.method} ${req.url}`);
  },
  "node-later"(_, res) {
    setTimeout(() => res.end("later"), 1);
  },
  "node-blocking"(req, res) {
    const body = req.textSync();
    sleepSync(1);
    res.writeSync(`<${body}`);
    res.endSync(">");
  },
  "node-events"(req, res) {
    let length = 0;
    req.on("data", (chunk) => {
      length += chunk.length;
    });
    req.on("end", () => res.end(`${length}`));
  },
  "node-reads-all"(req, res) {
    note("reading", "begun");
    try {
      res.end(req.textSync());
    } catch (error) {
      note("reading", error.constructor.name);
      throw error;
    }
  },
  async "node-async"(_, res) {
    await new Promise((resolve) => setImmediate(resolve));
    res.end("async");
  },
  async "node-rejects"() {
    await null;
    throw new Error("rejected by the test's app");
  },
  "node-throws"(_, res) {
    res.setHeader("x-secret", "1");
    sleepSync(1);
    throw new Error("thrown by the test's app");
  },
  "node-throws-later"(_, res) {
    res.writeHead(200, { "content-length": 100 });
    res.writeSync("some");
    throw new Error("thrown by the test's app");
  },
  "node-throws-after"(_, res) {
    res.end("all");
    throw new Error("thrown by the test's app");
  },
  "node-after"(_, res) {
    res.endSync("done");
    sleepSync(1);
    note("after", "went on");
  },
  "node-informs"(_, res) {
    res.writeHead(200, { "set-cookie": ["a=1", "b=2"] });
    res.end();
  },
};

// Of two styles, so by the number of parameters it is neither: it answers, or returns.
module.exports = (...args) => {
  const [req] = args;
  const name = new URL(req.url, "http://x").pathname.slice(1);
  if (name in answering) return answering[name](...args);
  if (!(name in returning)) return { status: 404, body: `no ${name}` };
  const result = returning[name](req);
  // With rest parameters nothing returned is no mistake.
  return result === undefined ? 0 : result;
};

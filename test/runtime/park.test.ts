import { execFile } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { build } from "esbuild";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeFibers, Peer, until } from "../compat/support";

const root = path.join(__dirname, "../..");
const directory = fs.mkdtempSync(path.join(os.tmpdir(), "park-"));
let peer: Peer;

beforeAll(async () => {
  peer = await Peer.start();
});

afterAll(async () => {
  fs.rmSync(directory, { recursive: true });
  await peer.stop();
});

let programs = 0;

/** Runs a program in a process of its own; what it prints, as JSON. Fails if it does not end by itself. */
async function run(program: string, { args = [] as string[], env = {} as NodeJS.ProcessEnv } = {}): Promise<unknown> {
  const file = path.join(directory, `program-${++programs}.cjs`);
  fs.writeFileSync(file, program);
  return new Promise((resolve, reject) => {
    const options = {
      env: { ...process.env, NODE_PATH: path.join(root, "node_modules"), ROOT: root, PORT: `${peer.port}`, ...env },
      timeout: 60_000,
    };
    execFile(process.execPath, [...args, file], options, (error, stdout, stderr) => {
      if (error) reject(new Error(`${error.message}\n${stdout}${stderr}`));
      else resolve(JSON.parse(stdout));
    });
  });
}

const start = `
const fs = require("node:fs"), dns = require("node:dns"), net = require("node:net"), worker_threads = require("node:worker_threads");
const { ROOT, PORT } = process.env;
let workers = 0;
worker_threads.Worker = class extends worker_threads.Worker { constructor(...args) { super(...args); workers++; } };
const runtime = require(ROOT);
runtime.patch();
const print = (value) => fs.writeSync(1, JSON.stringify(value));
const thrown = (fn) => { try { fn(); } catch (error) { return error; } };
`;

describe("the park worker", () => {
  test("is started by the first call that needs it, once, and does not keep the process alive", async () => {
    const counts = await run(`${start}
      const counts = [workers];
      dns.lookupSync("127.0.0.1"); counts.push(workers);
      const socket = net.connectSync(PORT, "127.0.0.1"); counts.push(workers);
      socket.writeSync("echo x\\n"); socket.readLineSync();
      thrown(() => dns.lookupSync("nothing.invalid")); counts.push(workers);
      print(counts); // and the socket stays open
    `);
    expect(counts).toEqual([0, 1, 1, 1]);
    await until(async () => (await peer.open()) === 0);
  });

  test("each thread has its own; all can be parked at once", async () => {
    const answers = await run(`${start}
      const program = ${JSON.stringify(`${start}
        const socket = net.connectSync(PORT, "127.0.0.1");
        socket.writeSync("later 50 " + worker_threads.workerData + "\\n");
        worker_threads.parentPort.postMessage([socket.readLineSync(), workers]);
        socket.destroy();`)};
      const own = net.connectSync(PORT, "127.0.0.1");
      Promise.all([1, 2, 3, 4].map((number) => new Promise((resolve, reject) => {
        new worker_threads.Worker(program, { eval: true, workerData: number }).once("message", resolve).once("error", reject);
      }))).then((answers) => {
        own.writeSync("echo own\\n");
        print([...answers, [own.readLineSync(), workers - 4]]);
      });
    `);
    expect(answers).toEqual([
      ["1", 1],
      ["2", 1],
      ["3", 1],
      ["4", 1],
      ["own", 1],
    ]);
  });

  test("does not load what NODE_OPTIONS preloads, and leaves the environment alone", async () => {
    const preload = path.join(directory, "preload.cjs");
    const log = path.join(directory, "log");
    fs.writeFileSync(preload, `require("node:fs").appendFileSync(process.env.LOG, "loaded ");`);
    const options = `-r ${preload} -r ${path.join(root, "dist/patch.js")}`;
    const result = await run(
      `${start}
      const { env } = process;
      dns.lookupSync("127.0.0.1");
      print([process.env.NODE_OPTIONS, process.env === env]);
    `,
      { env: { NODE_OPTIONS: options, LOG: log } },
    );
    expect(result).toEqual([options, true]);
    expect(fs.readFileSync(log, "utf8")).toBe("loaded ");
  });

  test("does not load the addon, or the rest of the package", () => {
    const bundle = fs.readFileSync(path.join(root, "dist/park-worker.js"), "utf8");
    expect(bundle).not.toMatch(/prebuilds|main\.js"|index\.js"/);
    const required = new Set([...bundle.matchAll(/require\("([^"]+)"\)/g)].map(([, name]) => name));
    expect([...required].filter((name) => !name?.startsWith("node:"))).toEqual(["synckit"]);
  });

  test("is not disturbed by settings meant for other users of synckit", async () => {
    const env = { SYNCKIT_TIMEOUT: "5", SYNCKIT_EXEC_ARGV: "--no-such-flag", SYNCKIT_GLOBAL_SHIMS: "1" };
    const line = await run(
      `${start}
      const socket = net.connectSync(PORT, "127.0.0.1");
      socket.writeSync("later 50 late\\n");
      print(socket.readLineSync());
    `,
      { env },
    );
    expect(line).toBe("late");
  });

  test("lets go of sockets that became garbage", async () => {
    await until(async () => (await peer.open()) === 0); // the sockets of the tests before this one
    await run(
      `${start}
      const keep = net.connectSync(PORT, "127.0.0.1");
      for (let count = 0; count < 20; count++) net.connectSync(PORT, "127.0.0.1").writeSync("echo x\\n");
      let turns = 0;
      const timer = setInterval(() => {
        gc();
        keep.writeSync("sockets\\n");
        const left = +keep.readLineSync();
        if (left > 1 && turns++ < 500) return;
        clearInterval(timer);
        print(left);
      }, 10);
    `,
      { args: ["--expose-gc"] },
    ).then((left) => expect(left).toBe(1));
  });

  test("bytes arrive as they are, and as Buffers", async () => {
    const result = await run(`${start}
      const socket = net.connectSync(PORT, "127.0.0.1");
      const large = Buffer.alloc(1000, "x");
      socket.writeSync(large.subarray(0, 1)); // of which the rest is not sent along
      socket.writeSync("\\nbytes 300000\\n");
      const bytes = socket.readSync(300000);
      print([Buffer.isBuffer(bytes), bytes.length, bytes.every((byte) => byte === 7)]);
    `);
    expect(result).toEqual([true, 300_000, true]);
  });
});

describe("errors", () => {
  test("keep class, code and all, and show who called", async () => {
    const errors = (await run(`${start}
      const show = (error) => ({ class: error.constructor.name, ...error, message: error.message, stack: error.stack });
      function caller(fn) { return show(thrown(fn)); }
      print([
        caller(() => dns.lookupSync("nothing.invalid")),
        caller(() => dns.lookupSync(5)),
        caller(() => net.connectSync(65536)),
      ]);
    `)) as Record<string, unknown>[];
    expect(errors).toMatchObject([
      { class: "Error", code: "ENOTFOUND", errno: -3008, syscall: "getaddrinfo", hostname: "nothing.invalid" },
      { class: "TypeError", code: "ERR_INVALID_ARG_TYPE" },
      { class: "RangeError", code: "ERR_SOCKET_BAD_PORT" },
    ]);
    for (const { stack } of errors) {
      expect(stack).toMatch(/ caller /);
      expect(stack).not.toMatch(/park-worker|synckit/);
    }
  });
});

/** park.ts by itself, with a worker that can do more: the files' directory is this one. */
async function buildPark(): Promise<string> {
  const common = { absWorkingDir: root, bundle: true, packages: "external", platform: "node", format: "cjs" } as const;
  const park = path.join(directory, "park.js");
  await build({ ...common, entryPoints: ["runtime/park/park.ts"], outfile: park });
  const contents = `
    import { operations } from "./operations";
    import "./worker";
    Object.assign(operations, {
      "test.exit": () => process.exit(3),
      "test.throw": () => { setImmediate(() => { throw new RangeError("stray"); }); return new Promise(() => {}); },
      "test.exhaust": () => void setImmediate(() => { let chain = null; for (;;) chain = { chain, more: [chain] }; }),
      "test.never": () => new Promise(() => {}),
      "test.bytes": (patience, length) => Buffer.alloc(length, 7),
      "test.sum": (patience, ...all) => all.map((bytes) => bytes.reduce((sum, byte) => sum + byte, 0)),
    });`;
  const stdin = { contents, resolveDir: path.join(root, "runtime/park"), loader: "ts" } as const;
  await build({ ...common, stdin, outfile: path.join(directory, "park-worker.js") });
  return park;
}

describe("the end of the worker", () => {
  const failing = async (operation: string, args: string[] = []) =>
    run(
      `
      const { park } = require(${JSON.stringify(await buildPark())});
      const errors = [];
      for (let turn = 0; turn < 2; turn++) {
        try {
          (function caller() { park(${JSON.stringify(operation)}); park("test.never"); })();
        } catch (error) {
          errors.push([error.code, String(error.cause), / caller /.test(error.stack)]);
        }
        errors.push(park("test.sum", Buffer.from([1, 2])));
      }
      console.log(JSON.stringify(errors));
    `,
      { args },
    );
  const lost = (cause: string) => [["ERR_PARK_WORKER_LOST", cause, true], [3]];

  test("by process.exit fails the call under way, and the next one has another worker", async () => {
    const cause = "Error: Worker exited with code 3";
    expect(await failing("test.exit")).toEqual([...lost(cause), ...lost(cause)]);
  });

  test("by an error that nobody catches, too", async () => {
    const cause = "RangeError: stray";
    expect(await failing("test.throw")).toEqual([...lost(cause), ...lost(cause)]);
  });

  // Node 24 itself ends the process when a worker has no memory left.
  test.skipIf(process.versions.node.startsWith("24."))("for want of memory, too", async () => {
    const cause = "Error: The worker has ended";
    expect(await failing("test.exhaust", ["--max-old-space-size=48"])).toEqual([...lost(cause), ...lost(cause)]);
  });
});

describe("large bytes", () => {
  test("are handed over, not copied, and the program keeps its own", async () => {
    const result = await run(`
      const { park } = require(${JSON.stringify(await buildPark())});
      const { MessagePort } = require("node:worker_threads");
      const post = MessagePort.prototype.postMessage;
      const handedOver = [];
      MessagePort.prototype.postMessage = function (message, transfer) {
        if (transfer?.[0] instanceof ArrayBuffer) handedOver.push(transfer.map(({ byteLength }) => byteLength));
        return post.call(this, message, transfer);
      };
      const own = [Buffer.alloc(20_000, 1), Buffer.from([1, 2]), new Uint8Array(30_000).fill(2)];
      const sums = park("test.sum", ...own);
      const bytes = park("test.bytes", 40_000_000);
      console.log(JSON.stringify([
        sums, handedOver, own.map(({ length }) => length),
        Buffer.isBuffer(bytes), bytes.length, bytes.buffer.byteLength, bytes.at(-1),
      ]));
    `);
    expect(result).toEqual([
      [20_000, 3, 60_000],
      [[20_000, 30_000]],
      [20_000, 2, 30_000],
      ...[true, 40_000_000, 40_000_000, 7],
    ]);
  });
});

describe("a time limit", () => {
  test("ends a call, and leaves the next one working", async () => {
    const park = await buildPark();
    const result = await run(`
      const { park, parkWithin } = require(${JSON.stringify(park)});
      const { PORT } = process.env;
      const settings = { order: "verbatim", autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 250 };
      park("net.connect", 1, settings, [+PORT, "127.0.0.1"]);
      const results = [];
      function limited(ms, ...args) {
        const before = Date.now();
        try { return parkWithin(ms, ...args); }
        catch (error) {
          results.push([error.name, error.code, error.message, Date.now() - before < 5000, / limited /.test(error.stack)]);
        }
      }
      limited(30, "stream.readLine", 1, "utf8");
      park("stream.write", 1, "echo one\\necho two\\n");
      results.push(limited(5000, "stream.readLine", 1, "utf8"));
      limited(30, "stream.read", 1, 1000);
      results.push(park("stream.readLine", 1, "utf8"));
      limited(-1, "stream.read", 1);
      try { park("stream.write", 1, () => {}); } catch (error) { results.push(error.name); }
      results.push(park("dns.lookup", "verbatim", ["127.0.0.1"]));
      console.log(JSON.stringify(results));
    `);
    expect(result).toEqual([
      ["Timeout", "ERR_TIMEOUT", "timed out after 30 ms", true, true],
      "one",
      ["Timeout", "ERR_TIMEOUT", "timed out after 30 ms", true, true],
      "two",
      ["RangeError", "ERR_OUT_OF_RANGE", expect.any(String), true, true],
      "DataCloneError",
      { address: "127.0.0.1", family: 4 },
    ]);
  });
});

describeFibers("in a fiber, a module that connects as it is loaded", () => {
  const turnsDuring = (how: string) =>
    run(`${start}
      let turns = 0;
      globalThis.load = () => require("./connecting.cjs").line;
      const fiber = runtime.spawn(() => {
        const before = turns;
        return [${how}, turns > before];
      });
      runtime.spawn(() => { while (!fiber.dead) { turns++; runtime.sleep(0); } });
      fiber.then(print);
    `);

  beforeAll(() => {
    fs.writeFileSync(
      path.join(directory, "connecting.cjs"),
      `const net = require("node:net");
      const socket = net.connectSync(process.env.PORT, "127.0.0.1");
      socket.writeSync("later 20 loaded\\n");
      exports.line = socket.readLineSync();
      socket.destroy();`,
    );
  });

  test("parks the thread where the fiber cannot suspend", async () => {
    const how = `require("node:vm").runInThisContext("load()", { timeout: 60_000 })`;
    expect(await turnsDuring(how)).toEqual(["loaded", false]);
  });

  test("else suspends the fiber", async () => {
    expect(await turnsDuring("load()")).toEqual(["loaded", true]);
  });
});

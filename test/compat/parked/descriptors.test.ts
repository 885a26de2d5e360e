import { spawn as spawnProcess } from "node:child_process";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";
import { PassThrough, Readable, Writable } from "node:stream";
import "runtime/patch";
import { afterAll, describe, expect, test } from "vitest";
import { hasFibers } from "../../support/fibers";
import { printing, run, start } from "../../support/run";
import { settle, thrown } from "../support";

const directory = fs.mkdtempSync(path.join(os.tmpdir(), "descriptors-"));
const file = path.join(directory, "file");
fs.writeFileSync(file, "one\ntwo\nthree");

afterAll(() => fs.rmSync(directory, { recursive: true }));

const posix = process.platform !== "win32";

describe("out of a fiber, a file's stream", () => {
  test("is read without the event loop", () => {
    expect(fs.createReadStream(file).textSync()).toBe("one\ntwo\nthree");
    expect([...fs.createReadStream(file, "utf8").chunksSync()]).toEqual(["one\ntwo\nthree"]);
    const part = fs.createReadStream(file, { start: 1, end: 5 });
    expect([part.readSync(3), part.readSync(3), part.readSync()].map(String)).toEqual(["ne\n", "tw", "null"]);
    expect(part.bytesRead).toBe(5);
  });

  test("large ones, too", () => {
    const large = path.join(directory, "large");
    fs.writeFileSync(large, Buffer.alloc(10_000_000, "x"));
    expect(fs.createReadStream(large).textSync().length).toBe(10_000_000);
  });

  test("goes on by itself afterwards, from there", async () => {
    const stream = fs.createReadStream(file, "utf8");
    expect(stream.readSync(4)).toBe("one\n");
    let rest = "";
    for await (const chunk of stream) rest += chunk;
    expect([rest, stream.closed]).toEqual(["two\nthree", true]);
  });

  test("which Node has opened, or is opening, is no matter", async () => {
    const before = fs.readdirSync("/proc/self/fd").length;
    const opening = fs.createReadStream(file);
    await new Promise<void>((resolve) => process.nextTick(resolve));
    const opened = fs.createReadStream(file);
    await new Promise((resolve) => opened.once("open", resolve));
    expect([opening.textSync(), opened.textSync()]).toEqual(["one\ntwo\nthree", "one\ntwo\nthree"]);
    for (const stream of [opening, opened]) {
      if (!stream.closed) await new Promise((resolve) => stream.once("close", resolve));
    }
    expect(fs.readdirSync("/proc/self/fd").length).toBe(before);
  });

  test("that is not there is told once", async () => {
    const none = fs.createReadStream(path.join(directory, "none"));
    const error = thrown(function caller() {
      none.textSync();
    });
    expect(error).toMatchObject({ code: "ENOENT", syscall: "open" });
    expect(error.stack).toMatch(/caller/);
    await new Promise((resolve) => none.once("close", resolve));
  });

  test("is written, and ended", async () => {
    const target = path.join(directory, "target");
    const stream = fs.createWriteStream(target);
    stream.writeSync("text ");
    stream.writeSync(Buffer.from("bytes "));
    stream.writeSync("686578", "hex");
    expect([fs.readFileSync(target, "utf8"), stream.bytesWritten]).toEqual(["text bytes hex", 14]);
    stream.endSync(".");
    stream.endSync();
    expect(fs.readFileSync(target, "utf8")).toBe("text bytes hex.");
    await new Promise((resolve) => stream.once("close", resolve));
    expect([stream.writableFinished, fs.readFileSync(target, "utf8")]).toEqual([true, "text bytes hex."]);
    const start = fs.createWriteStream(target, { flags: "r+", start: 5 });
    start.endSync("BYTES");
    expect(fs.readFileSync(target, "utf8")).toBe("text BYTES hex.");
    await new Promise((resolve) => start.once("close", resolve));
  });

  test("wrong arguments are refused as ever", async () => {
    const stream = fs.createWriteStream(path.join(directory, "wrong"));
    expect(() => stream.writeSync(5 as never)).toThrow();
    expect(thrown(() => fs.createReadStream(file).readSync(-1))).toMatchObject({ code: "ERR_OUT_OF_RANGE" });
    stream.destroy();
    await settle();
  });
});

describe.skipIf(!posix)("out of a fiber, a child process", () => {
  test("is written to and read from by its pipes, and waited for", async () => {
    const child = spawnProcess("sh", ["-c", "read line; echo got $line; echo more; exit 3"]);
    child.stdin.writeSync("a line\n");
    expect(child.stdout.textSync()).toBe("got a line\nmore\n");
    expect(child.waitSync()).toEqual({ code: 3, signal: null });
    expect(child.waitSync()).toEqual({ code: 3, signal: null });
    await new Promise((resolve) => child.once("close", resolve));
    expect([child.exitCode, child.waitSync()]).toEqual([3, { code: 3, signal: null }]);
  });

  test("that a signal ends is told so", async () => {
    const child = spawnProcess("sleep", ["60"], { stdio: "ignore" });
    child.kill("SIGUSR1");
    expect(child.waitSync()).toEqual({ code: null, signal: "SIGUSR1" });
    await new Promise((resolve) => child.once("close", resolve));
    expect(child.signalCode).toBe("SIGUSR1");
  });

  test("is waited for no longer than a time, which is the only limit there", async () => {
    const child = spawnProcess("sleep", ["60"], { stdio: "ignore" });
    const { signal } = new AbortController();
    expect(thrown(() => child.waitSync({ signal }))).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    child.kill();
    await new Promise((resolve) => child.once("close", resolve));
  });

  test("that could not be started cannot be waited for", async () => {
    const child = spawnProcess(path.join(directory, "no program"));
    expect(thrown(() => child.waitSync())).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    expect(await new Promise((resolve) => child.once("error", resolve))).toMatchObject({ code: "ENOENT" });
  });

  test("megabytes of output are read", () => {
    const child = spawnProcess("head", ["-c", "3000000", "/dev/zero"]);
    expect(child.stdout.textSync("latin1").length).toBe(3_000_000);
  });
});

describe("out of a fiber, readline", () => {
  test("gives the lines of a file, and the last one without its newline", () => {
    const rl = readline.createInterface({ input: fs.createReadStream(file) });
    expect([...rl.linesSync()]).toEqual(["one", "two", "three"]);
    expect([...rl.linesSync()]).toEqual([]);
  });

  const ask = `
    require("runtime/patch");
    const rl = require("node:readline").createInterface({ input: process.stdin, output: process.stdout });
    const answers = [rl.questionSync("name? "), rl.questionSync("age? ")];
    try { rl.questionSync("late? ", 30); } catch (error) { answers.push(error.name); }
    answers.push(rl.questionSync("again? "), rl.questionSync("more? "), rl.questionSync("closed? "));
    console.log(JSON.stringify(answers));`;

  test.skipIf(!posix)("asks at standard input, with or without a time limit", async () => {
    const { child, outcome, printed } = start(ask, { stdin: "pipe" });
    child.stdin?.write("ann\n41\n");
    await printed("late? ");
    await printed("again? ");
    child.stdin?.end("yes\nlast");
    expect(await outcome).toMatchObject({
      code: 0,
      stderr: "",
      stdout: expect.stringContaining('["ann","41","Timeout","yes","last",null]'),
    });
  });

  test("standard input from a file", async () => {
    const program = `
      require("runtime/patch");
      const { spawnSync } = require("node:child_process");
      if (process.argv[2]) console.log(JSON.stringify([process.stdin.readSync(2) + "", process.stdin.textSync()]));
      else {
        const stdin = require("node:fs").openSync(${JSON.stringify(file)});
        console.log(spawnSync(process.execPath, [__filename, "child"], { stdio: [stdin, "pipe", "inherit"], encoding: "utf8" }).stdout.trim());
      }`;
    expect(await run(program)).toEqual(printing(JSON.stringify(["on", "e\ntwo\nthree"])));
  });
});

describe("out of a fiber", () => {
  test("standard output is written to, whatever it is", async () => {
    const program = `require("runtime/patch"); process.stdout.writeSync("a "); process.stdout.writeSync(Buffer.from("b\\n"));`;
    expect(await run(program)).toEqual(printing("a b"));
  });

  test("what has no descriptor is refused, before anything is done", () => {
    const written: unknown[] = [];
    const sink = new Writable({ write: (chunk, _, done) => void written.push(chunk) || setImmediate(done) });
    const connecting = net.connect(1, "127.0.0.1").on("error", () => {});
    for (const call of [
      () => new Readable({ read() {} }).readSync(),
      () => new PassThrough().textSync(),
      () => sink.writeSync("x"),
      () => sink.endSync("x"),
      () => connecting.readSync(),
      () => connecting.writeSync("x"),
      () => readline.createInterface({ input: new PassThrough() }).questionSync("? "),
    ]) {
      expect(thrown(call)).toMatchObject({
        code: "ERR_NOT_IN_FIBER",
        message: expect.stringMatching(hasFibers ? /spawn\(.*runtime run.*await/ : /there are no fibers.*await/),
      });
    }
    expect(written).toEqual([]);
  });
});

import nodeChildProcess, { type ChildProcess, spawn as start } from "node:child_process";
import { createHash } from "node:crypto";
import { EventEmitter } from "node:events";
import fs, { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { original, patch, sleep, spawn, unpatch, withTimeout } from "runtime";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { active, describeBoth, describeFibers, inFiber, progress, settle, thrown, until } from "./support";

type AnyFunction = (...args: unknown[]) => unknown;
type Name = "execFileSync" | "execSync" | "spawnSync";
const childProcess = nodeChildProcess as unknown as Record<Name, AnyFunction>;
const own = (name: string) => original("child_process", name) as AnyFunction;

const dir = mkdtempSync(path.join(tmpdir(), "runtime-child-"));
const file = path.join(dir, "out");
const env = { ...process.env, GREETING: "hello" };
const echo = "echo out; echo err >&2";
const noop = () => {};

/** To a file, and what it is then. */
const toFile =
  (stdio: (fd: number) => unknown) =>
  (run: AnyFunction): unknown => {
    const fd = fs.openSync(file, "w+");
    try {
      return { result: run("sh", ["-c", echo], { stdio: stdio(fd) }), written: fs.readFileSync(file, "utf8") };
    } finally {
      fs.closeSync(fd);
    }
  };
const sh = (script: string, options?: object) => ["sh", ["-c", script], options];
type Call = unknown[] | ((run: AnyFunction) => unknown);

const spawnCalls: Record<string, Call> = {
  "a program": ["echo"],
  "a program and arguments": ["echo", ["a", "b c"]],
  "arguments that are no strings": ["echo", [1, null, true]],
  "options in the place of arguments": ["echo", { encoding: "utf8" }],
  "null arguments": ["echo", null, { encoding: "utf8" }],
  "output on both": sh(echo),
  "an exit code": sh("echo out; exit 3"),
  "a signal": sh("kill -9 $$"),
  "an encoding": sh(echo, { encoding: "latin1" }),
  "encoding buffer": sh(echo, { encoding: "buffer" }),
  "an encoding that is none": sh(echo, { encoding: "none" }),
  "encoding null": sh(echo, { encoding: null }),
  "input as text": ["cat", [], { input: "text ä" }],
  "input as text, in an encoding": ["cat", [], { input: "c3a4", encoding: "hex" }],
  "input as text, with encoding buffer": ["cat", [], { input: "text", encoding: "buffer" }],
  "input as text, with an encoding that is none": ["cat", [], { input: "text", encoding: "none" }],
  "input as a buffer": ["cat", [], { input: Buffer.from("text") }],
  "input as another array": ["cat", [], { input: new Uint16Array([0x4141, 0x4242]) }],
  "input as a view": ["cat", [], { input: new DataView(new Uint8Array([65, 66, 67]).buffer, 1) }],
  "empty input": ["cat", [], { input: "" }],
  "an empty buffer for input": ["cat", [], { input: Buffer.alloc(0) }],
  "much input": ["md5sum", [], { input: Buffer.alloc(3_000_000, 65) }],
  "much input, and output": ["cat", [], { input: Buffer.alloc(500_000, 65) }],
  "input that is neither": ["cat", [], { input: 42 }],
  "input that nobody reads": ["true", [], { input: Buffer.alloc(3_000_000) }],
  "input that only somebody else reads": [
    "sh",
    ["-c", "exec 3<&0; (sleep 0.1; wc -c <&3) & exit 0"],
    { input: Buffer.alloc(3_000_000) },
  ],
  "input where there is no pipe": ["cat", [], { input: "text", stdio: ["ignore", "pipe", "pipe"] }],
  "no input": ["cat"],
  "an environment": sh("echo $GREETING", { env }),
  "a directory": ["pwd", [], { cwd: dir }],
  "a directory by URL": ["pwd", [], { cwd: new URL(`file://${dir}`) }],
  "a directory that is not there": ["pwd", [], { cwd: path.join(dir, "none") }],
  argv0: ["sh", ["-c", "tr '\\0' ' ' < /proc/$$/cmdline"], { argv0: "shell" }],
  "the own user": [
    "id",
    ["-u"],
    process.getuid && process.getgid ? { uid: process.getuid(), gid: process.getgid() } : {},
  ],
  detached: sh("ps -o pgid= -p $$ | tr -d ' ' | grep -qx $$ && echo leader", { detached: true }),
  windowsHide: ["echo", [], { windowsHide: true }],
  "a shell": ["echo $((1 + 1))", { shell: true }],
  "a shell by name": ["echo $0", { shell: "/bin/sh" }],
  "a shell that is not there": ["echo", { shell: "/none/sh" }],
  "stdio pipe": sh(echo, { stdio: "pipe" }),
  "stdio ignore": sh(echo, { stdio: "ignore" }),
  "stdio inherit": ["true", [], { stdio: "inherit" }],
  "stdio in parts": sh(echo, { stdio: ["ignore", "pipe", "ignore"] }),
  "stdio with holes": sh(echo, { stdio: Object.assign([], { 2: "ignore" }) }),
  "short stdio": sh(echo, { stdio: ["pipe"] }),
  "more pipes": sh("echo three >&3; echo five >&5", {
    stdio: ["pipe", "pipe", "pipe", "pipe", null, "pipe", "ignore"],
  }),
  "negative stdio": sh(echo, { stdio: [-1, -1, -1] }),
  "stdio into a file": toFile((fd) => ["ignore", fd, fd]),
  "stdio into a stream": toFile((fd) => ["pipe", { fd }, "pipe"]),
  "stdio ipc": sh(echo, { stdio: ["pipe", "pipe", "pipe", "ipc"] }),
  "a word for stdio that is none": sh(echo, { stdio: "none" }),
  "a word in stdio that is none": sh(echo, { stdio: ["pipe", "none", "pipe"] }),
  "stdio that is neither": sh(echo, { stdio: 1 }),
  "an object in stdio that is no stream": sh(echo, { stdio: ["pipe", {}, "pipe"] }),
  "a timeout that is not reached": sh(echo, { timeout: 60_000 }),
  "a long timeout": sh(echo, { timeout: 2 ** 40 }),
  "a timeout": sh("exec sleep 60", { timeout: 50 }),
  "a timeout, and a signal to kill with": sh("exec sleep 60", { timeout: 50, killSignal: "SIGINT" }),
  "a timeout, and a number to kill with": sh("exec sleep 60", { timeout: 50, killSignal: 9 }),
  "a timeout, while only somebody else has the pipes": sh("sleep 3 & exit 4", { timeout: 1000 }),
  "somebody else who has the pipes": sh("(sleep 0.1; echo late) & echo early"),
  "a child that closes its pipes and goes on": sh("exec >&- 2>&-; sleep 0.1; exit 5"),
  "a timeout that is none": sh(echo, { timeout: -1 }),
  "timeout null": sh(echo, { timeout: null }),
  "a signal to kill with that is none": sh(echo, { killSignal: "SIGNONE" }),
  "a signal to kill with that is neither": sh(echo, { killSignal: {} }),
  "more output than there may be": sh("echo output; exec sleep 60", { maxBuffer: 3 }),
  "more output than there may be, in all": sh("echo one; echo two >&2; exec sleep 60", { maxBuffer: 7 }),
  "just as much output as there may be": sh("echo one; echo two >&2", { maxBuffer: 8 }),
  "a megabyte of output": sh("head -c 1048576 /dev/zero | tr '\\0' x"),
  "more output than a megabyte, unlimited": sh("head -c 2000000 /dev/zero | tr '\\0' x", {
    maxBuffer: Number.POSITIVE_INFINITY,
  }),
  "maxBuffer undefined": sh("head -c 2000000 /dev/zero | tr '\\0' x", { maxBuffer: undefined }),
  "maxBuffer 0": sh(echo, { maxBuffer: 0 }),
  "a maxBuffer that is none": sh(echo, { maxBuffer: -1 }),
  "a maxBuffer that is no number": sh(echo, { maxBuffer: "1" }),
  "an abort signal, which it does not know": sh(echo, { signal: AbortSignal.abort() }),
  "a program that is not there": ["no-such-program", ["a"]],
  "a file that is no program": ["/etc/passwd"],
  "too many arguments for the system": ["true", ["x".repeat(3_000_000)]],
  "no arguments at all": [],
  "an empty program": [""],
  "a program with a null byte": ["a\0b"],
  "an argument with a null byte": ["echo", ["a\0b"]],
  "a program that is no string": [42],
  "arguments that are none": ["echo", "a"],
  "a function for options": ["echo", noop],
  "null options": ["echo", [], null],
  "options that are none": ["echo", [], "utf8"],
  "an array for options": ["echo", [], []],
  "a directory that is none": ["pwd", [], { cwd: 42 }],
  "a user that is none": ["id", [], { uid: "root" }],
};

const fileCalls: Record<string, Call> = {
  "a program": ["echo", ["a"]],
  "text wanted": ["echo", ["a"], { encoding: "utf8" }],
  "options in the place of arguments": ["echo", { encoding: "utf8" }],
  "null arguments and options": ["echo", null, null],
  "a function for arguments": ["echo", noop],
  "an exit code": sh("echo out; echo err >&2; exit 3"),
  "an exit code, as text": sh("echo out; echo err >&2; exit 3", { encoding: "utf8" }),
  "an exit code, in a pipe": sh("echo out; echo err >&2; exit 3", { stdio: "pipe" }),
  "an exit code, and no stderr": sh("exit 3", { stdio: "ignore" }),
  "a signal": sh("kill -9 $$"),
  "stderr by default": sh(echo),
  "argv0 and an exit code": ["sh", ["-c", "exit 1"], { argv0: "shell" }],
  "a timeout": sh("exec sleep 60", { timeout: 50 }),
  "too much output": sh("echo output; exec sleep 60", { maxBuffer: 3 }),
  "a program that is not there": ["no-such-program", ["a"]],
  "an argv0 that is none": ["echo", [], { argv0: 42 }],
  "a shell": ["echo $((1 + 1))", [], { shell: true }],
  "no arguments at all": [],
  "options that are none": ["echo", [], 42],
};

const commandCalls: Record<string, Call> = {
  "a command": ["echo $((1 + 1))"],
  "text wanted": ["echo a", { encoding: "utf8" }],
  input: ["cat", { input: "text" }],
  "an exit code": ["echo out; echo err >&2; exit 3"],
  "an exit code, as text": ["echo out; echo err >&2; exit 3", { encoding: "utf8", stdio: "pipe" }],
  "stderr by default": [echo],
  "stdio ignore": [echo, { stdio: "ignore" }],
  "a signal": ["kill -9 $$"],
  "a timeout": ["exec sleep 60", { timeout: 50 }],
  "too much output": ["echo output; exec sleep 60", { maxBuffer: 3 }],
  "a command that is not there": ["no-such-command 2>/dev/null"],
  "a shell by name": ["echo $0", { shell: "/bin/sh" }],
  "a shell that is not there": ["echo", { shell: "/none/sh" }],
  "shell false, which it does not know": ["echo a", { shell: false }],
  "null options": ["echo a", null],
  "a function for options": ["echo a", noop],
  "no arguments at all": [],
  "a command with a null byte": ["echo a\0b"],
  "an empty command": [""],
  "an environment": ["echo $GREETING", { env }],
};

/** A value to compare: process ids differ, an error is also what it carries, and buffers may be large. */
function plain(value: unknown, seen: unknown[] = []): unknown {
  if (Buffer.isBuffer(value)) return { bytes: value.length, hash: createHash("sha1").update(value).digest("hex") };
  if (value === null || typeof value !== "object") return value;
  if (seen.includes(value)) return "circular";
  const entries = Object.entries(value).map(([key, one]) => {
    const isPid = key === "pid" && typeof one === "number";
    return [key, isPid ? Math.sign(one) : plain(one, [...seen, value])];
  });
  if (Array.isArray(value)) return entries.map(([, one]) => one);
  return value instanceof Error ? { name: value.name, message: value.message, entries } : { entries };
}

/** What a call comes to, with what it writes to stderr. */
function outcome(run: AnyFunction, call: Call): unknown {
  const stderr = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    const args = typeof call === "function" ? [] : call;
    return { value: plain(typeof call === "function" ? call(run) : run(...args)), stderr: [...stderr.mock.calls] };
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return { error: plain(error), code, stderr: [...stderr.mock.calls] };
  } finally {
    stderr.mockRestore();
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

let pidFiles = 0;

/** A script that does `first`, leaves its process id in a file, then goes on. */
function withPid(first: string, then: string): { script: string; pid: () => number } {
  const pidFile = path.join(dir, `pid${++pidFiles}`);
  return {
    script: `${first}; echo $$ > ${pidFile}.new; mv ${pidFile}.new ${pidFile}; ${then}`,
    pid: () => (fs.existsSync(pidFile) ? Number(fs.readFileSync(pidFile, "utf8")) : 0),
  };
}

/** What keeps the process busy, by kind. The test runner has timers of its own, which come and go. */
const resources = () => ["ProcessWrap", "PipeWrap", "Timeout", "ShutdownWrap", "WriteWrap"].map(active);

const nothingMoreThan = (before: number[]) => resources().every((count, i) => count <= (before[i] as number));

beforeAll(() => patch());
afterAll(() => {
  unpatch();
  rmSync(dir, { recursive: true });
});

describeFibers("child_process in a fiber", () => {
  for (const [name, calls] of [
    ["spawnSync", spawnCalls],
    ["execFileSync", fileCalls],
    ["execSync", commandCalls],
  ] as const) {
    describe(name, () => {
      it.each(Object.keys(calls))("with %s comes to the same as Node's own", async (given) => {
        const call = calls[given] as Call;
        const now = await inFiber(() => outcome(childProcess[name], call));
        expect(now).toEqual(outcome(own(name), call));
      });

      it("lets another fiber run meanwhile", async () => {
        const run = () => childProcess[name](...(name === "execSync" ? ["sleep 0.05"] : ["sleep", ["0.05"]]));
        expect(await progress(() => void run())).toBeGreaterThan(5);
      });

      it("kills the child when the fiber is killed, and leaves nothing behind", async () => {
        const before = resources();
        const { script, pid } = withPid("trap '' TERM", "while :; do sleep 0.01; done");
        const options = { input: Buffer.alloc(1_000_000), timeout: 600_000 };
        const fiber = spawn(() => {
          if (name === "execSync") childProcess.execSync(script, options);
          else childProcess[name]("sh", ["-c", script], options);
        });
        await until(pid);
        await spawn(() => fiber.kill());
        expect(fiber.dead).toBe(true);
        await until(() => !isRunning(pid()));
        await until(() => nothingMoreThan(before));
      });
    });
  }

  it("leaves nothing that would keep the program alive when the fiber is killed", async () => {
    const other = path.join(dir, "other");
    // Somebody else keeps the pipes open.
    const { script, pid } = withPid(`sleep 600 & echo $! > ${other}`, "while :; do sleep 0.01; done");
    const program = `require("runtime/patch"); const { spawn } = require("runtime");
      const options = { timeout: 600_000, input: Buffer.alloc(1_000_000) };
      const fiber = spawn(() => require("node:child_process").execSync(process.argv[1], options));
      process.on("message", () => { process.disconnect(); spawn(() => fiber.kill()); });`;
    const child = start(process.execPath, ["-e", program, script], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    await until(pid);
    child.send("kill");
    expect(await inFiber(() => child.waitSync())).toEqual({ code: 0, signal: null });
    process.kill(Number(fs.readFileSync(other, "utf8")));
  });

  it("kills by the call's killSignal when the fiber is killed", async () => {
    const left = path.join(dir, "left");
    const { script, pid } = withPid(`trap 'echo interrupted > ${left}; exit' INT`, "while :; do sleep 0.01; done");
    const fiber = spawn(() => childProcess.execSync(script, { killSignal: "SIGINT" }));
    await until(pid);
    await spawn(() => fiber.kill());
    await until(() => !isRunning(pid()));
    expect(fs.readFileSync(left, "utf8")).toBe("interrupted\n");
  });

  it("ends with the fiber's own time limit", async () => {
    const { script, pid } = withPid(":", "exec sleep 60");
    const result = await inFiber(() => withTimeout(200, () => childProcess.execSync(script), "too late"));
    expect(result).toBe("too late");
    if (pid()) await until(() => !isRunning(pid()));
  });

  it("leaves nothing behind after a time limit", async () => {
    const before = resources();
    await inFiber(() => childProcess.spawnSync("sleep", ["60"], { timeout: 20, input: Buffer.alloc(1_000_000) }));
    await until(() => nothingMoreThan(before));
  });

  it("starts no child in a fiber that is being killed", async () => {
    const begun = path.join(dir, "begun");
    const fiber = spawn(() => {
      fiber.kill(undefined, { block: false });
      childProcess.execSync(`touch ${begun}`);
    });
    await fiber;
    await settle();
    expect(fs.existsSync(begun)).toBe(false);
  });

  it("runs many children at once", async () => {
    const outputs = await Promise.all(
      Array.from({ length: 20 }, (_, i) => inFiber(() => childProcess.execFileSync("echo", [i], { encoding: "utf8" }))),
    );
    expect(outputs).toEqual(outputs.map((_, i) => `${i}\n`));
  });

  it("shows the fiber's own frames in an error's stack", async () => {
    const error = await inFiber(function launcher() {
      return [
        thrown(() => childProcess.execSync("exit 1")),
        (childProcess.spawnSync("sleep", ["9"], { timeout: 9 }) as { error: Error }).error,
      ];
    });
    expect(error.map(({ stack }) => stack?.includes("launcher"))).toEqual([true, true]);
  });
});

describeFibers("ChildProcess#waitSync() in a fiber", () => {
  it("waits for the exit code", async () => {
    expect(await inFiber(() => start("sh", ["-c", "sleep 0.05; exit 3"]).waitSync())).toEqual({
      code: 3,
      signal: null,
    });
  });

  it("waits for the signal", async () => {
    const ended = await inFiber(() => {
      const child = start("sleep", ["60"]);
      child.kill("SIGINT");
      return child.waitSync();
    });
    expect(ended).toEqual({ code: null, signal: "SIGINT" });
  });

  it("lets another fiber run meanwhile", async () => {
    expect(await progress(() => void start("sleep", ["0.05"]).waitSync())).toBeGreaterThan(5);
  });

  it("throws what the error event would bring, at whatever time", async () => {
    const call = () => start("no-such-program", ["a"]);
    const expected = await new Promise<Error>((resolve) => call().on("error", resolve));
    const [during, after] = await inFiber(() => {
      const child = call();
      return [thrown(() => child.waitSync()), thrown(() => child.waitSync())];
    });
    expect(plain(during)).toEqual(plain(expected));
    expect(plain(after)).toEqual(plain(expected));
  });

  it("leaves the output to be read", async () => {
    const text = await inFiber(() => {
      const child = start("echo", ["output"]);
      child.waitSync();
      return child.stdout.textSync();
    });
    expect(text).toBe("output\n");
  });

  it("may be called by several fibers", async () => {
    const child = start("sh", ["-c", "sleep 0.05; exit 3"]);
    const ends = await Promise.all([inFiber(() => child.waitSync()), inFiber(() => child.waitSync())]);
    expect(ends).toEqual([
      { code: 3, signal: null },
      { code: 3, signal: null },
    ]);
  });

  it("leaves the child alone, and no listener behind, when the fiber is killed", async () => {
    const child: ChildProcess = start("sleep", ["60"]);
    const listeners = () => ["exit", "error"].map((event) => EventEmitter.listenerCount(child, event));
    const before = listeners();
    const fiber = spawn(() => child.waitSync());
    const killer = spawn(() => {
      sleep(0);
      expect(listeners()).not.toEqual(before);
      fiber.kill();
    });
    await killer;
    expect(fiber.dead).toBe(true);
    expect(listeners()).toEqual(before);
    expect(isRunning(child.pid as number)).toBe(true);
    child.kill();
    await inFiber(() => child.waitSync());
  });

  it("ends when a signal is aborted, and leaves the child alone", async () => {
    const child = start("sleep", ["60"]);
    const controller = new AbortController();
    setTimeout(() => controller.abort("enough"), 5);
    const error = await inFiber(() => thrown(() => child.waitSync(controller.signal)));
    expect(error).toMatchObject({ name: "AbortError", cause: "enough" });
    expect([isRunning(child.pid as number), EventEmitter.listenerCount(child, "exit")]).toEqual([true, 0]);
    child.kill();
    await inFiber(() => child.waitSync({ signal: new AbortController().signal }));
  });
});

describeBoth("ChildProcess#waitSync()", (run) => {
  it("waits no longer than its limit, and can be called again", async () => {
    const child = start("sleep", ["60"]);
    for (const limit of [0, 20, { timeout: 20 }]) {
      const ms = typeof limit === "number" ? limit : limit.timeout;
      expect(await run(() => thrown(() => child.waitSync(limit)))).toMatchObject({ code: "ERR_TIMEOUT", ms });
    }
    child.kill();
    expect(await run(() => child.waitSync(60_000))).toEqual({ code: null, signal: "SIGTERM" });
    await new Promise((resolve) => (child.signalCode === null ? child.on("close", resolve) : resolve(null)));
    expect(await run(() => child.waitSync(0))).toEqual({ code: null, signal: "SIGTERM" });
    for (const wrong of [-1, "1", null]) {
      expect((await run(() => thrown(() => child.waitSync(wrong as never)))).message).toContain('"limit"');
    }
  });

  it("returns at once for a process that has ended", async () => {
    const child = start("sh", ["-c", "exit 3"]);
    await new Promise((resolve) => child.on("close", resolve));
    expect(await run(() => child.waitSync())).toEqual({ code: 3, signal: null });
  });
});

describe("child_process out of a fiber", () => {
  it("is Node's own", () => {
    expect(childProcess.execSync("echo a", { encoding: "utf8" })).toBe("a\n");
    expect(childProcess.execFileSync("echo", ["a"], { encoding: "utf8" })).toBe("a\n");
    expect(thrown(() => childProcess.execSync("exit 3", { stdio: "pipe" })).message).toBe("Command failed: exit 3");
  });

  it("is reached by those who import it by name after the patch", () => {
    const program = `import "runtime/patch"; import { execSync } from "node:child_process"; import { gzipSync } from "zlib";
      import { sign } from "crypto"; import { original } from "runtime";
      console.log(execSync !== original("child_process", "execSync"), gzipSync !== original("zlib", "gzipSync"),
        sign !== original("crypto", "sign"))`;
    const output = own("execFileSync")(process.execPath, ["--input-type=module", "-e", program], { encoding: "utf8" });
    expect(output).toBe("true true true\n");
  });

  it("is not loaded by those who do not patch it", () => {
    const program = `require("runtime").patch({ child_process: false, zlib: false });
      console.log(process.moduleLoadList.filter((name) => /^NativeModule (child_process|zlib)$/.test(name)))`;
    expect(own("execFileSync")(process.execPath, ["-e", program], { encoding: "utf8" })).toBe("[]\n");
  });

  it("keeps the name, length and properties of every function", async () => {
    for (const name of ["spawnSync", "execFileSync", "execSync"] as const) {
      const [before, now] = [own(name), childProcess[name]];
      expect(now, name).not.toBe(before);
      expect([now.name, now.length], name).toEqual([before.name, before.length]);
    }
    expect(await promisify(nodeChildProcess.exec)("echo a")).toEqual({ stdout: "a\n", stderr: "" });
  });
});

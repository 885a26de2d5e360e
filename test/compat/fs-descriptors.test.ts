// fs on descriptors that may have nothing to read for ever: pipes, fifos, terminals, sockets.
import { execFile, execFileSync, spawn as spawnProcess } from "node:child_process";
import fs from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { patch, sleep, spawn, unpatch, withTimeout } from "runtime";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { printing, run } from "../support/run";
import { active, describeFibers, inFiber, progress, settle, thrown, until } from "./support";

const { O_NONBLOCK, O_RDONLY, O_RDWR } = fs.constants;
const linux = process.platform === "linux";
if (!linux) console.log("fs on descriptors: skipped, elsewhere than on Linux the pool waits for them");
/** More than libuv's pool has threads. */
const MANY = 12;

const root = path.join(__dirname, "..", "..");
/** What makes a program's file calls cooperative, wherever it is run. */
const prelude = `const { sleep, spawn } = require(${JSON.stringify(root)});
  require(${JSON.stringify(path.join(root, "dist", "patch.js"))});`;

describe.runIf(linux)("a descriptor that may have nothing for ever", () => {
  describeFibers("in a fiber", () => {
    let dir: string;
    let opened: number[];

    beforeAll(() => patch());
    afterAll(() => unpatch());
    beforeEach(() => {
      dir = fs.mkdtempSync(path.join(tmpdir(), "runtime-fs-"));
      opened = [];
    });
    afterEach(() => {
      for (const fd of opened) fs.closeSync(fd);
      fs.rmSync(dir, { recursive: true });
    });

    function makeFifo(name = "fifo"): string {
      const fifo = path.join(dir, name);
      execFileSync("mkfifo", [fifo]);
      return fifo;
    }

    function keep(fd: number): number {
      opened.push(fd);
      return fd;
    }

    /** Both ends of a fifo, in one: a reader of it never sees its end. */
    const openFifo = (name?: string, flags = 0) => keep(fs.openSync(makeFifo(name), O_RDWR | flags));

    function readText(fd: number, size = 100): string {
      const bytes = Buffer.alloc(size);
      return bytes.toString("latin1", 0, fs.readSync(fd, bytes));
    }

    /** Fills the pipe's buffer; how much it holds. */
    function fill(fd: number): number {
      const more = fs.openSync(`/proc/self/fd/${fd}`, fs.constants.O_WRONLY | O_NONBLOCK);
      let size = 0;
      try {
        for (;;) size += fs.writeSync(more, Buffer.alloc(4096));
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe("EAGAIN"); // out of a fiber it is Node's own
      }
      fs.closeSync(more);
      return size;
    }

    const reads: Record<string, (fd: number) => string> = {
      readSync: (fd) => readText(fd),
      "readSync with numbers": (fd) => {
        const bytes = Buffer.alloc(10, ".");
        return bytes.toString("latin1", 2, 2 + fs.readSync(fd, bytes, 2, 6, null));
      },
      readvSync: (fd) => {
        const parts = [Buffer.alloc(1), Buffer.alloc(0), new Uint16Array(10)];
        const count = fs.readvSync(fd, parts);
        const bytes = parts.map(({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength));
        return Buffer.concat(bytes).toString("latin1", 0, count);
      },
    };

    for (const [name, read] of Object.entries(reads)) {
      it(`${name} suspends until there is something`, async () => {
        const fd = openFifo();
        let text = "";
        const turns = await progress(
          () => {
            text = read(fd);
          },
          () => fs.writeSync(fd, "some"),
        );
        expect(text).toBe("some");
        expect(turns).toBeGreaterThanOrEqual(5);
      });

      it(`${name} takes what is there at once`, async () => {
        const fd = openFifo();
        fs.writeSync(fd, "some");
        const order: string[] = [];
        await Promise.all([spawn(() => order.push(read(fd))), spawn(() => order.push("other"))]);
        expect(order).toEqual(["some", "other"]);
      });
    }

    it("never fails with EAGAIN, and leaves the open file as it was", async () => {
      for (const flags of [0, O_NONBLOCK]) {
        const fd = openFifo(`fifo${flags}`, flags);
        const status = () => fs.readFileSync(`/proc/self/fdinfo/${fd}`, "utf8").match(/flags:.*/)?.[0];
        const before = status();
        const during: unknown[] = [];
        let text = "";
        await progress(
          () => {
            text = readText(fd);
          },
          () => {
            during.push(status());
            fs.writeSync(fd, "some");
          },
        );
        expect(text).toBe("some");
        expect([...during, status()]).toEqual([before, before]);
      }
    });

    it("leaves the pool to others, however many wait", async () => {
      const fds = Array.from({ length: MANY }, (_, i) => openFifo(`fifo${i}`));
      const silent = Array.from({ length: MANY }, (_, i) => makeFifo(`silent${i}`));
      const full = Array.from({ length: MANY }, (_, i) => openFifo(`full${i}`));
      const sizes = full.map(fill);
      const seen: string[] = [];
      const waiting = [
        ...fds.map((fd) => spawn(() => seen.push(readText(fd)))),
        ...silent.map((file) => spawn(() => seen.push(fs.readFileSync(file, "utf8")))),
        ...full.map((fd) => spawn(() => fs.writeSync(fd, "more"))),
      ];
      await inFiber(() => {
        sleep(0);
        fs.writeFileSync(path.join(dir, "file"), "content");
        expect(fs.statSync(path.join(dir, "file")).size).toBe(7);
        fs.writeFileSync(path.join(dir, "file"), Buffer.alloc(5_000_000)); // in steps
        expect(fs.readFileSync(path.join(dir, "file")).length).toBe(5_000_000);
        expect(seen).toEqual([]);
        for (const fd of fds) fs.writeSync(fd, "a");
        for (const file of silent) fs.writeFileSync(file, "b");
        full.forEach((fd, i) => {
          readText(fd, sizes[i] as number);
        });
      });
      await Promise.all(waiting);
      expect(seen.sort().join("")).toBe("a".repeat(MANY) + "b".repeat(MANY));
      for (const fd of full) expect(readText(fd)).toBe("more");
    });

    it("gives what comes to whoever waits, one after the other, once", async () => {
      const fd = openFifo();
      const seen: string[] = [];
      const readers = [1, 2, 3].map(() => spawn(() => seen.push(readText(fd, 1))));
      await inFiber(() => {
        sleep(0);
        fs.writeSync(fd, "x");
        while (seen.length === 0) sleep(1);
        sleep(1);
        expect(seen).toEqual(["x"]);
        fs.writeSync(fd, "yz");
      });
      await Promise.all(readers);
      expect(seen.sort()).toEqual(["x", "y", "z"]);
    });

    const endings: Record<string, (fiber: ReturnType<typeof spawn>) => void> = {
      kill: (fiber) => fiber.kill(),
      throw: (fiber) => fiber.throw(new Error("thrown in")),
    };
    for (const [name, end] of Object.entries(endings)) {
      it(`${name} ends a wait: nothing is taken, nothing is left`, async () => {
        const fd = openFifo();
        const full = openFifo("full");
        fill(full);
        const silent = makeFifo("silent");
        const before = fs.readdirSync("/proc/self/fd").length;
        const waits = [() => readText(fd), () => fs.writeSync(full, "more"), () => fs.readFileSync(silent)];
        const fibers = waits.map((wait) => spawn(wait));
        for (const fiber of fibers) fiber.then(null, () => {});
        // Once each waits by a descriptor of its own; the third has its fifo open beside.
        await until(() => fs.readdirSync("/proc/self/fd").length >= before + waits.length + 1);
        await inFiber(() => fibers.forEach(end));
        expect(fibers.map(({ dead }) => dead)).toEqual([true, true, true]);
        expect(fs.readdirSync("/proc/self/fd").length).toBeLessThanOrEqual(before + 1); // the set they were in
        fs.writeSync(fd, "kept");
        expect(await inFiber(() => readText(fd))).toBe("kept");
      });
    }

    it("ends at a time limit", async () => {
      const fd = openFifo();
      expect(await inFiber(() => withTimeout(5, () => readText(fd), "too late"))).toBe("too late");
    });

    it("waits without a request in the pool", async () => {
      const fd = openFifo();
      const before = active("FSReqCallback");
      const fiber = spawn(() => readText(fd));
      await settle();
      expect(fiber.dead).toBe(false);
      expect(active("FSReqCallback")).toBe(before);
      await inFiber(() => fiber.kill());
    });

    it("fails for who waits when the descriptor is closed", async () => {
      const fifo = makeFifo();
      for (const close of [(fd: number) => inFiber(() => fs.closeSync(fd)), async (fd: number) => fs.closeSync(fd)]) {
        const fd = fs.openSync(fifo, O_RDWR);
        const fiber = spawn(() => readText(fd));
        fiber.then(null, () => {});
        await settle();
        await close(fd);
        const expected = thrown(() => fs.readSync(fd, Buffer.alloc(1)));
        await expect(fiber).rejects.toMatchObject({ message: expected.message, code: "EBADF", errno: expected.errno });
      }
    });

    it("does not take what belongs to another file that has got the same number", async () => {
      const fifo = makeFifo();
      const fd = fs.openSync(fifo, O_RDWR);
      const fiber = spawn(() => readText(fd));
      await settle();
      await new Promise((resolve) => fs.close(fd, resolve)); // which nobody told of the fiber
      fs.writeFileSync(path.join(dir, "file"), "another");
      const next = keep(fs.openSync(path.join(dir, "file"), "r"));
      expect(next).toBe(fd);
      const writer = keep(fs.openSync(fifo, O_RDWR));
      fs.writeSync(writer, "own");
      expect(await fiber).toBe("own");
      expect(readText(next)).toBe("another");
    });

    it("is at its end when the other side is gone", async () => {
      const fifo = makeFifo();
      const reader = keep(fs.openSync(fifo, O_RDONLY | O_NONBLOCK));
      const writer = fs.openSync(fifo, "w");
      let text = "?";
      await progress(
        () => {
          text = readText(reader);
        },
        () => fs.closeSync(writer),
      );
      expect(text).toBe("");
    });

    it("fails with EPIPE, as Node's own, when there is no reader any more", async () => {
      const fifo = makeFifo();
      const reader = fs.openSync(fifo, O_RDONLY | O_NONBLOCK);
      const writer = keep(fs.openSync(fifo, "w"));
      fill(writer);
      const fiber = spawn(() => fs.writeSync(writer, "x"));
      await settle();
      expect(fiber.dead).toBe(false);
      fs.closeSync(reader);
      await expect(fiber).rejects.toMatchObject({
        code: "EPIPE",
        syscall: "write",
        message: "EPIPE: broken pipe, write",
      });
    });

    it("writes all there is to write to a pipe that is full, in pieces", async () => {
      const contents = Buffer.from(Array.from({ length: 400_000 }, (_, i) => i % 251));
      const writes: Record<string, (fd: number) => number | undefined> = {
        "writeSync of bytes": (fd) => fs.writeSync(fd, contents),
        "writeSync of text": (fd) => fs.writeSync(fd, contents.toString("latin1"), null, "latin1"),
        "writeSync of a piece": (fd) => fs.writeSync(fd, Buffer.concat([Buffer.alloc(3), contents]), 3),
        writevSync: (fd) =>
          fs.writevSync(fd, [contents.subarray(0, 7), contents.subarray(7, 200_000), contents.subarray(200_000)]),
        writeFileSync: (fd) => {
          fs.writeFileSync(fd, contents);
          return contents.length;
        },
        "appendFileSync of text": (fd) => {
          fs.appendFileSync(fd, contents.toString("latin1"), "latin1");
          return contents.length;
        },
        "writeFileSync by path": (fd) => {
          fs.writeFileSync(`/proc/self/fd/${fd}`, contents);
          return contents.length;
        },
      };
      const fd = openFifo();
      for (const [name, write] of Object.entries(writes)) {
        const parts: Buffer[] = [];
        const writer = spawn(() => write(fd));
        const reader = spawn(() => {
          for (let left = contents.length; left > 0; left -= (parts.at(-1) as Buffer).length) {
            const part = Buffer.alloc(50_000);
            parts.push(part.subarray(0, fs.readSync(fd, part)));
          }
        });
        expect(await writer, name).toBe(contents.length);
        await reader;
        expect(Buffer.concat(parts).equals(contents), name).toBe(true);
      }
    });

    it("reads and writes sockets", async () => {
      const child = spawnProcess(
        process.execPath,
        [
          "-e",
          `${prelude} const fs = require("fs");
          spawn(() => { fs.writeSync(1, "said " + fs.readFileSync(0, "utf8")); });`,
        ],
        { stdio: ["pipe", "pipe", "inherit"] }, // of socket pairs
      );
      let said = "";
      child.stdout.on("data", (data) => {
        said += data;
      });
      child.stdin.write("one ");
      await settle();
      child.stdin.end("two");
      await new Promise((resolve) => child.once("close", resolve));
      expect(said).toBe("said one two");
    });

    it("tells of bad arguments as Node's own", async () => {
      const fd = openFifo();
      const bad: Record<string, () => unknown> = {
        "offset beyond the end": () => fs.readSync(fd, Buffer.alloc(3), 4, 1, null),
        "length beyond the end": () => fs.readSync(fd, Buffer.alloc(3), 1, 4, null),
        "position in a pipe": () => fs.readSync(fd, Buffer.alloc(3), 0, 3, 5),
        "position to write at": () => fs.writeSync(fd, Buffer.alloc(3), 0, 3, 5),
        "no parts": () => fs.readvSync(fd, "x" as never),
        "write beyond the end": () => fs.writeSync(fd, Buffer.alloc(3), 2, 2),
        "no descriptor": () => fs.readSync(-1, Buffer.alloc(3)),
        "closed descriptor": () => fs.readSync(2 ** 20, Buffer.alloc(3)),
        "closed descriptor, to write": () => fs.writeSync(2 ** 20, "x"),
      };
      for (const [name, call] of Object.entries(bad)) {
        const { message, code } = thrown(call);
        expect(await inFiber(() => thrown(call)), name).toMatchObject({ message, code });
      }
    });
  });
});

describe("standard input", () => {
  const loop = `
    const fs = require("node:fs");
    function main() {
      const bytes = Buffer.alloc(4);
      let text = "";
      for (;;) {
        let count;
        try {
          count = fs.readSync(0, bytes, 0, 4, null);
        } catch ({ code, syscall, message }) {
          if (code === "EAGAIN" && plain) continue; // Node's own fails so, and programs try again
          text += [code, syscall, message];
          break;
        }
        if (count === 0) break;
        text += bytes.toString("latin1", 0, count);
      }
      console.log("loop", JSON.stringify(text));
    }`;
  const whole = (what: string) => `
    const fs = require("node:fs");
    function main() {
      try {
        console.log("whole", JSON.stringify(fs.readFileSync(${what}, "utf8")));
      } catch ({ code, syscall, message }) {
        console.log(code, syscall, message);
      }
    }`;
  const programs: Record<string, string> = {
    "in a loop of readSync": loop,
    "as a whole, by number": whole("0"),
    "as a whole, by name": whole('"/dev/stdin"'),
    "in a loop of readSync, after process.stdin was touched": `${loop}; process.stdin;`,
  };
  const node = JSON.stringify(process.execPath);
  const inputs: Record<string, string> = {
    "a pipe": `(printf 'one\\ntw'; sleep 0.05; printf 'o\\nthree') | ${node} "$0"`,
    "a pipe that is empty": `true | ${node} "$0"`,
    "a file": `${node} "$0" < "$0.txt"`,
    "/dev/null": `${node} "$0" < /dev/null`,
    nothing: `${node} "$0" <&-`,
    "a terminal": `(printf 'one\\n'; sleep 0.3; printf 'two\\n'; sleep 0.1) | script -qec '${node} '"$0" /dev/null | tr -d '\\r' | grep -o '\\(loop\\|whole\\|E[A-Z]* \\).*'`,
  };
  const hasScript = (() => {
    try {
      execFileSync("script", ["--version"], { stdio: "ignore" });
      return true;
    } catch {
      return false;
    }
  })();
  if (!hasScript) console.log("standard input from a terminal: skipped, there is no script(1) to make one");

  describeFibers("in a fiber is what it is in plain Node", () => {
    let dir: string;
    beforeAll(() => {
      dir = fs.mkdtempSync(path.join(tmpdir(), "runtime-stdin-"));
    });
    afterAll(() => fs.rmSync(dir, { recursive: true }));

    function output(command: string, program: string): Promise<string> {
      const file = path.join(dir, "program.cjs");
      fs.writeFileSync(file, program);
      fs.writeFileSync(`${file}.txt`, "line\nanother\n");
      return new Promise((resolve, reject) => {
        execFile("sh", ["-c", command, file], { timeout: 30_000 }, (error, stdout, stderr) => {
          if (error || stderr) reject(error ?? new Error(stderr));
          else resolve(stdout);
        });
      });
    }

    for (const [kind, command] of Object.entries(inputs)) {
      for (const [way, program] of Object.entries(programs)) {
        it.skipIf(kind === "a terminal" && !hasScript)(`${kind}, ${way}`, async () => {
          const patched = `${prelude} const plain = false; ${program}; spawn(main);`;
          const expected = await output(command, `const plain = true; ${program}; main();`);
          expect(expected).not.toBe("");
          expect(await output(command, patched)).toBe(expected);
        });
      }
    }
  });
});

describeFibers("the end of a thread or a process", () => {
  const silent = `${prelude} const fs = require("node:fs"); const dir = fs.mkdtempSync(require("node:os").tmpdir() + "/runtime-end-");
    const fifo = dir + "/fifo"; require("node:child_process").execFileSync("mkfifo", [fifo]);
    const fd = fs.openSync(fifo, fs.constants.O_RDWR);
    const wait = () => { try { fs.readSync(fd, Buffer.alloc(1)); } finally { unwound(); } };
    const work = () => { for (;;) { fs.writeFileSync(dir + "/file", Buffer.alloc(100000)); fs.rmSync(dir + "/tree", { recursive: true, force: true }); } };`;

  it.runIf(linux)("process.exit does not wait for what waits for a descriptor", async () => {
    const program = `${silent} const unwound = () => {};
      for (let i = 0; i < 10; i++) { spawn(wait); spawn(work); }
      setTimeout(() => process.exit(7), 20);`;
    expect(await run(program)).toMatchObject({ code: 7, signal: null, stderr: "" });
  });

  it.runIf(linux)("a worker that is terminated, or exits, meanwhile takes nothing with it", async () => {
    const program = `
      const { Worker } = require("node:worker_threads");
      const program = ${JSON.stringify(`${silent} const { parentPort, workerData } = require("node:worker_threads");
        const unwound = () => {};
        for (let i = 0; i < 10; i++) { spawn(wait); spawn(work); }
        setTimeout(() => { parentPort.postMessage("waiting"); if (workerData) process.exit(3); }, 10);`)};
      let left = 12;
      const next = () => {
        if (left-- === 0) return console.log(require("node:fs").readdirSync("/proc/self/fd").length <= before + 4);
        const worker = new Worker(program, { eval: true, workerData: left % 2 });
        worker.once("message", () => left % 2 || worker.terminate());
        worker.once("exit", next);
        worker.on("error", (error) => { throw error; });
      };
      let before;
      next();
      before = require("node:fs").readdirSync("/proc/self/fd").length;`;
    expect(await run(program)).toEqual(printing("true"));
  });

  it("a fiber that is killed while it writes to the console, where that is a file, ends", async () => {
    const program = `${prelude} const fs = require("node:fs");
      const fiber = spawn(() => { for (;;) { console.log("line"); sleep(0); } });
      setTimeout(() => spawn(() => { fiber.kill(); fs.writeSync(2, String(fiber.dead)); }), 20);`;
    const file = path.join(fs.mkdtempSync(path.join(tmpdir(), "runtime-console-")), "out");
    const out = fs.openSync(file, "w");
    const child = spawnProcess(process.execPath, ["-e", program], { stdio: ["ignore", out, "pipe"], timeout: 20_000 });
    let said = "";
    child.stderr?.on("data", (data) => {
      said += data;
    });
    const code = await new Promise((resolve) => child.once("close", resolve));
    fs.closeSync(out);
    fs.rmSync(path.dirname(file), { recursive: true });
    expect([code, said]).toEqual([0, "true"]);
  });

  it.runIf(linux)("a program that `runtime run` starts reads standard input line by line", async () => {
    const file = path.join(fs.mkdtempSync(path.join(tmpdir(), "runtime-run-")), "program.cjs");
    fs.writeFileSync(
      file,
      `const fs = require("node:fs"); const { spawn, sleep } = require(${JSON.stringify(root)});
      let turns = 0;
      spawn(() => { for (;;) { if (++turns === 5) console.log("others run"); sleep(1); } });
      function readLine() {
        let line = "";
        for (const byte = Buffer.alloc(1); fs.readSync(0, byte, 0, 1, null) === 1; line += byte) if (byte[0] === 10) return line;
      }
      for (let line; (line = readLine()) !== undefined; ) console.log(line);
      process.exit(0);`,
    );
    const child = spawnProcess(process.execPath, [path.join(root, "dist", "cli.js"), "run", file], { timeout: 20_000 });
    let said = "";
    child.stdout.on("data", (data) => {
      said += data;
      if (said === "others run\n") {
        child.stdin.write("o");
        setTimeout(() => child.stdin.write("ne\n"), 20);
      } else if (said.endsWith("one\n")) {
        child.stdin.end("two\n");
      }
    });
    const code = await new Promise((resolve) => child.once("close", resolve));
    fs.rmSync(path.dirname(file), { recursive: true });
    expect([code, said]).toEqual([0, "others run\none\ntwo\n"]);
  });
});

import "runtime/patch";
import { spawn as spawnProcess } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import readline from "node:readline";
import { PassThrough } from "node:stream";
import { type Fiber, sleep, spawn, withTimeout } from "runtime";
import { describe, expect, test } from "vitest";
import { active, describeFibers, inFiber, progress, settle, thrown, until } from "./support";

/** An interface on streams of this process. */
function open(terminal = false): { rl: readline.Interface; input: PassThrough; output: () => string } {
  const [input, output] = [new PassThrough(), new PassThrough()];
  let text = "";
  output.on("data", (data) => {
    text += data;
  });
  return { rl: readline.createInterface({ input, output, terminal }), input, output: () => text };
}

function file(text: string): string {
  const name = path.join(fs.mkdtempSync(path.join(os.tmpdir(), "readline-")), "lines.txt");
  fs.writeFileSync(name, text);
  return name;
}

/** Starts fibers, which then wait. */
async function waiting<T>(...bodies: (() => T)[]): Promise<Fiber<T>[]> {
  const fibers = bodies.map((body) => spawn(body));
  await settle();
  return fibers;
}

const root = path.join(__dirname, "..", "..");

/** A program of its own, in the main fiber, to talk to through pipes. */
function start(program: string): { write(text: string): void; end(): void; output: Promise<string> } {
  const prelude = `const { spawn, sleep } = require("runtime"); const readline = require("readline");
    const { stdin: input, stdout: output } = process;`;
  const body = `${prelude} spawn(() => { ${program} });`;
  const child = spawnProcess(process.execPath, ["-r", "runtime/patch", "-e", body], { cwd: root });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data) => (text += data));
  const output = new Promise<string>((resolve) => child.on("close", () => resolve(text)));
  return { write: (text) => child.stdin.write(text), end: () => child.stdin.end(), output };
}

describeFibers("questionSync", () => {
  test("shows the query, returns the line, and lets others go on meanwhile", async () => {
    const { rl, input, output } = open();
    let answer: unknown;
    const turns = await progress(
      () => {
        answer = rl.questionSync("name? ");
      },
      () => input.write("Bob\n"),
    );
    expect([answer, output()]).toEqual(["Bob", "name? "]);
    expect(turns).toBeGreaterThanOrEqual(5);
    expect(rl.getPrompt()).toBe("> ");
    rl.close();
  });

  test("lines that came all at once, or in between, answer the next questions", async () => {
    const { rl, input, output } = open();
    const [fiber] = await waiting(() => {
      const first = rl.questionSync("1? ");
      sleep(5);
      input.write("c\nd");
      sleep(5);
      return [first, rl.questionSync("2? "), rl.questionSync("3? "), rl.questionSync("4? ")];
    });
    input.write("a\nb\n");
    await until(() => output() === "1? 2? 3? 4? ");
    input.write("one\n");
    expect(await fiber).toEqual(["a", "b", "c", "done"]);
    rl.close();
  });

  test("an interface that was made in a fiber loses nothing before its first question either", async () => {
    const answers = await inFiber(() => {
      const { rl, input } = open();
      input.write("early\n");
      sleep(5);
      const answer = rl.questionSync("");
      rl.close();
      return answer;
    });
    expect(answers).toBe("early");
  });

  test("an interface can be made with new, as some do", async () => {
    type Constructor = new (options: readline.ReadLineOptions) => readline.Interface;
    const make = () => new (readline.createInterface as unknown as Constructor)({ input: new PassThrough() });
    for (const rl of [make(), await inFiber(make)]) {
      expect(rl).toBeInstanceOf(readline.Interface);
      rl.close();
    }
  });

  test("several fibers ask one after another", async () => {
    const { rl, input, output } = open();
    const fibers = await waiting(...[1, 2, 3].map((number) => () => rl.questionSync(`${number}? `)));
    expect(output()).toBe("1? ");
    input.write("a\n");
    await until(() => output() === "1? 2? ");
    input.write("b\nc\n");
    expect(await Promise.all(fibers)).toEqual(["a", "b", "c"]);
    rl.close();
  });

  test("at the end of the input it returns null, after the last line, which need not end", async () => {
    const { rl, input, output } = await inFiber(() => open());
    input.end("a\nlast");
    const answers = await inFiber(() => [1, 2, 3].map((number) => rl.questionSync(`${number}? `)));
    expect([...answers, rl.questionSync("out of a fiber? ")]).toEqual(["a", "last", null, null]);
    expect(output()).toBe("1? 2? 3? out of a fiber? ");
  });

  test("closed meanwhile, or before, it throws", async () => {
    const { rl } = open();
    const [asking, next] = await waiting(
      () => thrown(() => rl.questionSync("1? ")),
      () => thrown(() => rl.questionSync("2? ")),
    );
    rl.close();
    expect(await asking).toMatchObject({ code: "ERR_USE_AFTER_CLOSE" });
    expect(await next).toMatchObject({ code: "ERR_USE_AFTER_CLOSE" });
    expect(thrown(() => rl.questionSync("3? "))).toMatchObject({ code: "ERR_USE_AFTER_CLOSE" });
  });

  test("at a terminal ^D is the end of the input, ^C an error, or what 'SIGINT' listeners make of it", async () => {
    const first = open(true);
    const [answer] = await waiting(() => first.rl.questionSync("? "));
    first.input.write("\x04");
    expect(await answer).toBe(null);
    const second = open(true);
    const [error] = await waiting(() => thrown(() => second.rl.questionSync("? ")));
    second.input.write("ab\x03");
    expect(await error).toMatchObject({ code: "ERR_USE_AFTER_CLOSE" });
    const third = open(true);
    third.rl.on("SIGINT", () => third.input.write("d\r"));
    const [typed] = await waiting(() => third.rl.questionSync("? "));
    third.input.write("abc\x03");
    expect(await typed).toBe("abcd");
    third.rl.close();
  });

  test("killed, or too late, it leaves no question behind: the next line answers the next", async () => {
    const { rl, input } = open();
    const listeners = () => ["line", "close", "error"].map((name) => rl.listenerCount(name));
    await inFiber(() => thrown(() => rl.questionSync("? ", 1)));
    const before = listeners();
    const timers = active("Timeout"); // the test runner's own, which come and go
    const [first, second] = await waiting(
      () => rl.questionSync("1? ", 60_000),
      () => rl.questionSync("2? "),
    );
    await inFiber(() => first?.kill());
    await settle();
    input.write("for the second\n");
    expect(await second).toBe("for the second");
    const controller = new AbortController();
    await inFiber(() => {
      expect(thrown(() => rl.questionSync("? ", 5))).toMatchObject({ code: "ERR_TIMEOUT", ms: 5 });
      expect(thrown(() => rl.questionSync("? ", 0))).toMatchObject({ code: "ERR_TIMEOUT", ms: 0 });
      expect(withTimeout(5, () => rl.questionSync("? "), "late")).toBe("late");
      spawn(() => controller.abort());
      expect(thrown(() => rl.questionSync("? ", controller.signal))).toMatchObject({ code: "ABORT_ERR" });
      for (let i = 0; i < 20; i++) {
        input.write(`next ${i}\n`);
        expect(rl.questionSync("? ", 60_000)).toBe(`next ${i}`);
      }
    });
    expect(listeners()).toEqual(before);
    expect(active("Timeout")).toBeLessThan(timers + 10);
    rl.close();
  });

  test("the time includes that in which others ask", async () => {
    const { rl } = open();
    const [, error] = await waiting(
      () => rl.questionSync("1? ", 30),
      () => thrown(() => rl.questionSync("2? ", 10)),
    ).then(([first, second]) => [first?.then(null, () => {}), second]);
    expect(await error).toMatchObject({ code: "ERR_TIMEOUT", ms: 10 });
    rl.close();
  });

  test("answers do not go to listeners of the program's own; other lines do", async () => {
    const { rl, input } = open();
    const heard: string[] = [];
    rl.on("line", (line) => heard.push(line));
    const [answer] = await waiting(() => rl.questionSync("? "));
    input.write("answer\nother\n");
    expect(await answer).toBe("answer");
    await until(() => heard.length > 0);
    expect(heard).toEqual(["other"]);
    rl.close();
  });

  test("an error of the input is thrown", async () => {
    const error = await inFiber(function asking() {
      const rl = readline.createInterface({ input: fs.createReadStream("/does/not/exist") });
      return thrown(() => rl.questionSync("? "));
    });
    expect(error).toMatchObject({ code: "ENOENT", syscall: "open" });
    expect(error.stack).toContain("asking");
  });

  test("a program that asks through pipes, with answers at once or one by one", async () => {
    const program = `const rl = readline.createInterface({ input, output });
      sleep(20); // while which lines come in
      const name = rl.questionSync("name? ");
      const age = rl.questionSync("age? ");
      console.log(JSON.stringify([name, age, rl.questionSync("more? ")]));`;
    const atOnce = start(program);
    atOnce.write("Bob\n7");
    atOnce.end();
    expect(await atOnce.output).toBe(`name? age? more? ["Bob","7",null]\n`);
    const oneByOne = start(program);
    oneByOne.write("Bob\n");
    setTimeout(() => oneByOne.write("7\n"), 20);
    setTimeout(() => oneByOne.end(), 40);
    expect(await oneByOne.output).toBe(`name? age? more? ["Bob","7",null]\n`);
  });
});

describeFibers("linesSync", () => {
  test("gives the lines of a file, while others go on", async () => {
    const text = Array.from({ length: 5000 }, (_, i) => `line ${i}`);
    const name = file(`${text.join("\n")}\n`);
    const lines: string[] = [];
    const turns = await progress(() => {
      const rl = readline.createInterface({ input: fs.createReadStream(name) });
      for (const line of rl.linesSync()) lines.push(line);
    });
    expect(lines).toEqual(text);
    expect(turns).toBeGreaterThan(0);
  });

  test("a slow reader loses none, and the input waits for it", async () => {
    const text = Array.from({ length: 100_000 }, (_, i) => `line ${i}`);
    const name = file(text.join("\n"));
    let paused = 0;
    const lines = await inFiber(() => {
      const input = fs.createReadStream(name);
      const rl = readline.createInterface({ input });
      rl.on("pause", () => paused++);
      const lines: string[] = [];
      for (const line of rl.linesSync()) {
        lines.push(line);
        if (lines.length % 10_000 === 1) {
          sleep(5);
          expect(input.bytesRead).toBeLessThan(lines.length * 12 + 300_000);
        }
      }
      return lines;
    });
    expect(lines).toEqual(text);
    expect(paused).toBeGreaterThan(1);
  });

  test("ends when the interface is closed, after what came in", async () => {
    const { rl, input } = open();
    const [lines] = await waiting(() => [...rl.linesSync()]);
    input.write("a\nb\n");
    await settle();
    rl.close();
    expect(await lines).toEqual(["a", "b"]);
    expect(await inFiber(() => [...rl.linesSync()])).toEqual([]);
  });

  test("leaving the loop closes the interface, and so does being killed in it", async () => {
    for (const leave of ["break", "kill"]) {
      const { rl, input } = open();
      const closed = new Promise((resolve) => rl.once("close", resolve));
      const fiber = spawn(() => {
        for (const line of rl.linesSync()) if (line === "break") break;
      });
      await settle();
      if (leave === "kill") await inFiber(() => fiber.kill());
      else input.write("a\nbreak\nleft\n");
      await closed;
      await fiber;
      expect(await inFiber(() => [...rl.linesSync()])).toEqual([]);
    }
  });

  test("several fibers get other lines each; a question takes its answer in between", async () => {
    const { rl, input } = open();
    const seen: string[] = [];
    const fibers = await waiting(
      ...[1, 2].map((number) => () => {
        for (const line of rl.linesSync()) seen.push(`${number} ${line}`);
      }),
    );
    input.end("a\nb\nc\nd\n");
    await Promise.all(fibers);
    expect(seen.map((line) => line.slice(2)).sort()).toEqual(["a", "b", "c", "d"]);
    const other = await inFiber(() => open());
    other.input.end("head\nx\ny\n");
    expect(await inFiber(() => [other.rl.questionSync(""), [...other.rl.linesSync()]])).toEqual(["head", ["x", "y"]]);
  });

  test("an error of the input is thrown", async () => {
    const error = await inFiber(() => {
      const rl = readline.createInterface({ input: fs.createReadStream("/does/not/exist") });
      return thrown(() => [...rl.linesSync()]);
    });
    expect(error).toMatchObject({ code: "ENOENT" });
  });

  test("a program that reads its standard input to the end", async () => {
    const child = start(`let count = 0;
      for (const line of readline.createInterface({ input }).linesSync()) { sleep(1); count += Number(line); }
      console.log(count);`);
    child.write("1\n2\n3\n");
    setTimeout(() => child.end(), 20);
    expect(await child.output).toBe("6\n");
  });
});

describe("readline, anywhere", () => {
  test("names the argument that is wrong", () => {
    const { rl } = open();
    for (const [args, name] of [
      [[5], '"query"'],
      [[], '"query"'],
      [["? ", -1], '"limit"'],
      [["? ", { timeout: "1" }], '"limit.timeout"'],
    ] as const) {
      expect(thrown(() => rl.questionSync(...(args as unknown as [string])))).toMatchObject({
        code: expect.stringMatching(/ERR_(INVALID_ARG_TYPE|OUT_OF_RANGE)/),
        message: expect.stringContaining(name),
      });
    }
    rl.close();
  });

  test("out of a fiber it is refused, and no question is shown", () => {
    const { rl, output } = open();
    expect(thrown(() => rl.questionSync("? "))).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
    expect(output()).toBe("");
    expect(thrown(() => [...rl.linesSync()])).toMatchObject({ code: "ERR_NOT_IN_FIBER" });
  });

  test("out of a fiber createInterface is Node's own", () => {
    const { rl } = open();
    expect(rl.listenerCount("line")).toBe(0);
    expect(rl).toBeInstanceOf(readline.Interface);
    rl.close();
  });
});

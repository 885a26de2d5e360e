import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";
import { printing, run } from "../support/run";

const prelude = `
  const { execFile, execFileSync, execSync, fork, spawn: spawnProcess, spawnSync } = require("node:child_process");
  const { once } = require("node:events");
  const { sleep, spawn, wait } = require("runtime");
  if (process.argv[2] === "child") process.send({ answer: 42 }, () => process.disconnect());
  else for (let i = 0; i < 50; i++) spawn(() => sleep(50));`;

const check = (main: string) => run(`${prelude}\nif (process.argv[2] !== "child") spawn(() => { sleep(1); ${main} });`);

describeFibers("in a fiber, with others suspended, a child process", () => {
  it("can be spawned and waited for", async () => {
    const program = `
      const child = spawnProcess(process.execPath, ["-p", "6 * 7"]);
      let output = "";
      child.stdout.on("data", (chunk) => { output += chunk; });
      const [code] = wait(once(child, "close"));
      console.log(code, output.trim());`;
    expect(await check(program)).toEqual(printing("0 42"));
  });

  it("can be run by execFile", async () => {
    const program = `
      const { promisify } = require("node:util");
      console.log(wait(promisify(execFile)("echo", ["hello"])).stdout.trim());`;
    expect(await check(program)).toEqual(printing("hello"));
  });

  it("can be run by execSync, execFileSync and spawnSync", async () => {
    const program = `
      console.log(execSync("echo one").toString().trim(), execFileSync("echo", ["two"]).toString().trim(),
        spawnSync("echo", ["three"]).stdout.toString().trim());`;
    expect(await check(program)).toEqual(printing("one two three"));
  });

  it("can be forked, and sends messages", async () => {
    const program = `
      const child = fork(__filename, ["child"]);
      const [message] = wait(once(child, "message"));
      const [code] = wait(once(child, "exit"));
      console.log(message.answer, code);`;
    expect(await check(program)).toEqual(printing("42 0"));
  });

  it("can be started by many fibers at once", async () => {
    const program = `
      const outputs = Array.from({ length: 20 }, (_, i) => spawn(() => {
        const child = spawnProcess("echo", [String(i)]);
        const output = [];
        child.stdout.on("data", (chunk) => output.push(chunk));
        wait(once(child, "close"));
        return Buffer.concat(output).toString().trim();
      })).map((fiber) => fiber.get());
      console.log(outputs.every((output, i) => output === String(i)));`;
    expect(await check(program)).toEqual(printing("true"));
  });

  it("may inherit this one's output", async () => {
    const program = `wait(once(spawnProcess("echo", ["inherited"], { stdio: "inherit" }), "exit"));`;
    expect(await check(program)).toEqual(printing("inherited"));
  });
});

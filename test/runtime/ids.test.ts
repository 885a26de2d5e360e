import { spawnSync } from "node:child_process";
import path from "node:path";
import { expect, it } from "vitest";
import { describeFibers } from "../support/fibers";

const root = path.join(__dirname, "..", "..");
const isRoot = process.getuid?.() === 0;
if (!isRoot) console.log("changing the user: only the calls that any user may make");

function run(program: string): { status: number | null; stdout: string } {
  const { status, signal, stdout } = spawnSync(process.execPath, ["-e", program], {
    cwd: root,
    encoding: "utf8",
    timeout: 10_000,
  });
  return signal ? { status, stdout: `${stdout} ended by ${signal}` } : { status, stdout };
}

describeFibers("changing the process's user or group with fibers suspended", () => {
  const prepare = `const { sleep, spawn } = require("runtime"); for (let i = 0; i < 50; i++) spawn(() => sleep(30));`;

  it("comes to an end on the hub", () => {
    const program = `${prepare} setTimeout(() => { process.setegid(process.getegid()); process.setuid(process.getuid()); console.log("done"); }, 5);`;
    expect(run(program)).toEqual({ status: 0, stdout: "done\n" });
  });

  it("comes to an end in a fiber", () => {
    const program = `${prepare} spawn(() => { sleep(5); process.setegid(process.getegid()); console.log("done"); });`;
    expect(run(program)).toEqual({ status: 0, stdout: "done\n" });
  });

  it("comes to an end with fibers in a worker too", () => {
    const program = `${prepare} new (require("node:worker_threads").Worker)(${JSON.stringify(`${prepare} require("node:worker_threads").parentPort.postMessage(1)`)}, { eval: true })
      .on("message", () => { process.setegid(process.getegid()); console.log("done"); });`;
    expect(run(program)).toEqual({ status: 0, stdout: "done\n" });
  });

  const inWorker = (program: string) =>
    `new (require("node:worker_threads").Worker)(${JSON.stringify(`const port = require("node:worker_threads").parentPort; ${program}`)}, { eval: true })`;
  const forAWhile = `const { egid = process.getegid(), start = Date.now() } = {}; while (Date.now() - start < 100) process.setegid(egid);`;

  it("comes to an end when only a worker knows of fibers", () => {
    const program = `${inWorker(`${prepare} port.postMessage(1)`)}.on("message", () => { ${forAWhile} console.log("done"); });`;
    expect(run(program)).toEqual({ status: 0, stdout: "done\n" });
  });

  it("comes to an end while a worker's fibers begin, and they end as they should", () => {
    const program = `require("runtime");
      ${inWorker(`${prepare} port.postMessage(1); for (let i = 0; i < 500; i++) setTimeout(() => spawn(() => sleep(50)), i / 10);`)}
      .on("message", () => { ${forAWhile} console.log("done"); });`;
    expect(run(program)).toEqual({ status: 0, stdout: "done\n" });
  });

  it("comes to an end while a fiber in a worker has others begin on its own stack", () => {
    const program = `require("runtime");
      const beat = setInterval(() => { for (let i = 0; i < 20; i++) process.setegid(process.getegid()); });
      ${inWorker(`const { spawn } = require("runtime"); const Fiber = require("runtime/fibers"); port.postMessage(1);
        spawn(() => { const all = []; for (let i = 0; i < 300; i++) all.push(Fiber(() => Fiber.yield())) && all[i].run(); port.postMessage(2); });`)}
      .on("message", (left) => { if (left === 2) { clearInterval(beat); console.log("done"); } });`;
    expect(run(program)).toEqual({ status: 0, stdout: "done\n" });
  });

  it.runIf(isRoot)("has the effect, on every thread", () => {
    const program = `${prepare} setTimeout(() => { process.setegid(65534); process.seteuid(65534); }, 20); setTimeout(() => {
      const ids = require("node:fs").readdirSync("/proc/self/task").map((task) =>
        /Uid:\\s+\\d+\\s+(\\d+)/.exec(require("node:fs").readFileSync("/proc/self/task/" + task + "/status", "utf8"))[1]);
      console.log([...new Set(ids)].join()); }, 200); // when the threads that only lent their stacks have ended`;
    expect(run(program)).toEqual({ status: 0, stdout: "65534\n" });
  });
});

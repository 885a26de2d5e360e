// Debuggers that step, all through fibers that suspend, begin and end. V8 crashes where a stack is left in the middle of certain
// steps, see runtime/guards/debuggers.ts.
import { expect, it } from "vitest";
import { WebSocket } from "ws";
import { describeFibers } from "../support/fibers";
import { mulberry32 } from "../support/random";
import { printing, type RunOptions, start } from "../support/run";

type Step = "Debugger.stepInto" | "Debugger.stepOver" | "Debugger.stepOut" | "Debugger.resume";

interface Frame {
  functionName: string;
  callFrameId: string;
}

interface Message {
  id?: number;
  result?: { result?: { value: unknown } };
  method?: string;
  params?: { callFrames: Frame[] };
}

type Post = (method: string, params?: object) => Promise<Message["result"]>;

interface Debugging extends RunOptions {
  /** What to do at the next pause: `frame` is where that is. */
  next(frame: Frame, post: Post): Step | Promise<Step>;
  /** Files that it ignores. */
  ignoring?: string;
  /** Once it runs. */
  begun?(pid: number): void;
}

/** Runs a program that listens for debuggers, with one that decides at each pause. */
async function debug(program: string, { next, ignoring, begun, ...options }: Debugging) {
  const { child, outcome } = start(program, options);
  if (begun) child.stdout?.once("data", () => begun(child.pid as number));
  const url = await new Promise<string>((resolve) => {
    let text = "";
    child.stderr?.on("data", (data) => {
      text += data;
      const found = /ws:\/\/\S+(?=\s)/.exec(text);
      if (found) resolve(found[0]);
    });
  });
  const socket = new WebSocket(url);
  const answers: ((result: Message["result"]) => void)[] = []; // to what was posted, by its id
  const post: Post = (method, params) =>
    new Promise((resolve) => {
      const id = answers.push(resolve) - 1;
      socket.send(JSON.stringify({ id, method, params }));
    });
  socket.on("error", () => {}); // the program has ended
  socket.on("open", async () => {
    await post("Runtime.enable");
    await post("Debugger.enable");
    if (ignoring) await post("Debugger.setBlackboxPatterns", { patterns: [ignoring] });
    await post("Runtime.evaluate", { expression: "globalThis.debuggerHasCome = true" });
    await post("Runtime.runIfWaitingForDebugger");
  });
  socket.on("message", async (data) => {
    const { id, result, method, params } = JSON.parse(String(data)) as Message;
    if (id !== undefined) answers[id]?.(result);
    if (method === "Debugger.paused") post(await next(params?.callFrames[0] as Frame, post));
    if (method === "Runtime.executionContextDestroyed") socket.close(); // or the program would wait for that
  });
  const { code, signal, stdout } = await outcome;
  return { code, signal, stdout, stderr: "" };
}

const program = `
  const { sleep, spawn } = require("runtime");
  function work(i) {
    debugger;
    sleep(1);
    return i;
  }
  setImmediate(function onTheHub() {
    debugger;
  });
  const all = spawn(function all() {
    let sum = 0;
    for (let i = 0; i < 3; i++) sum += spawn(work, i).get();
    for (const fiber of [spawn(work, 10), spawn(work, 20)]) sum += fiber.get();
    const killed = spawn(work);
    sleep(0);
    killed.kill();
    console.log(sum);
  });`;

/** Steps so often, as `choose` says, and lets the program run from then on. */
function steps(count: number, choose: () => Step) {
  let nth = 0;
  return () => (nth++ < count ? choose() : "Debugger.resume");
}

const kinds = ["Debugger.stepInto", "Debugger.stepOver", "Debugger.stepOut"] as const;
const runtimes = "[\\/](dist|node_modules)[\\/]"; // as many a debugger does, unless it is told not to
const flags = ["--inspect-brk=0"];

describeFibers("a debugger", () => {
  for (const ignoring of [undefined, runtimes]) {
    const whether = ignoring ? "ignoring" : "not ignoring";
    for (const kind of kinds) {
      it.concurrent(`steps on and on, ${whether} the runtime's own code: ${kind}`, async () => {
        expect(await debug(program, { flags, ignoring, next: steps(300, () => kind) })).toEqual(printing("33"));
      });
    }

    for (const seed of [1, 2, 3]) {
      it.concurrent(`steps this way and that, ${whether} the runtime's own code: seed ${seed}`, async () => {
        const random = mulberry32(seed);
        const any = () => (random() < 0.1 ? "Debugger.resume" : (kinds[Math.floor(random() * 3)] as Step));
        expect(await debug(program, { flags, ignoring, next: steps(300, any) })).toEqual(printing("33"));
      });
    }
  }

  it.concurrent("that steps past a fiber's end stops in a function that tells why", async () => {
    const seen: string[] = [];
    const next = ({ functionName }: Frame): Step => {
      seen.push(functionName);
      return functionName === "stepEnds" ? "Debugger.resume" : "Debugger.stepOver";
    };
    const one = `require("runtime").spawn(function work() { debugger; })`;
    expect(await debug(one, { flags, ignoring: runtimes, next })).toEqual(printing());
    expect(seen[seen.indexOf("stepEnds") - 1]).toBe("work");
  });

  it.concurrent("may come late, called by a signal", async () => {
    const late = `
      const { sleep, spawn } = require("runtime");
      function work() {
        debugger;
        sleep(1);
      }
      spawn(() => {
        console.log("begun");
        while (!globalThis.debuggerHasCome) sleep(1);
        spawn(work).join();
        spawn(work).join();
      });`;
    const outcome = await debug(late, {
      flags: ["--inspect-port=0"],
      ignoring: runtimes,
      begun: (pid) => process.kill(pid, "SIGUSR1"),
      next: steps(100, () => "Debugger.stepOver"),
    });
    expect(outcome).toEqual(printing("begun"));
  });

  it.concurrent("that evaluates what suspends lets other fibers go on, paused as the program is", async () => {
    const ticking = `
      const { sleep, spawn } = require("runtime");
      let ticks = 0;
      const ticker = spawn(() => {
        for (;; ticks++) sleep(1);
      });
      spawn(function work() {
        debugger;
        console.log(sleep(1), ticks > 0);
        ticker.kill();
      });`;
    const values: unknown[] = [];
    const next = async ({ functionName, callFrameId }: Frame, post: Post): Promise<Step> => {
      if (functionName !== "work") return "Debugger.resume";
      const expression = "sleep(50), ticks > 5";
      values.push((await post("Debugger.evaluateOnCallFrame", { callFrameId, expression }))?.result?.value);
      return "Debugger.stepOver";
    };
    expect(await debug(ticking, { flags, ignoring: runtimes, next })).toEqual(printing("undefined true"));
    expect(new Set(values)).toEqual(new Set([true])); // at each line
  });
});

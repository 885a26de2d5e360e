// Contestants are processes of their own: a fresh heap and fresh machine code in every round.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const LONGEST = 180_000;

// A server with 5,000 clients needs as many descriptors; the soft limit is often 1,024.
const raised = ["sh", "-c", 'ulimit -n "$(ulimit -Hn)" 2>/dev/null; exec "$@"', "sh"];

function launch(command, { core } = {}) {
  const pinned = core === undefined ? [] : ["taskset", "-c", String(core)];
  const [file, ...args] = [...raised, ...pinned, ...command];
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
  child.trouble = "";
  child.stderr.on("data", (chunk) => {
    child.trouble = (child.trouble + chunk).slice(-2000);
  });
  return child;
}

/** Runs a command to its end and returns what it printed. */
export async function outputOf(command, options) {
  const child = launch(command, options);
  const timer = setTimeout(() => child.kill("SIGKILL"), LONGEST);
  let output = "";
  child.stdout.on("data", (chunk) => {
    output += chunk;
  });
  const [code, signal] = await once(child, "close");
  clearTimeout(timer);
  if (code !== 0)
    throw new Error(`${command.join(" ")}: ${signal ?? `exit code ${code}`}\n${child.trouble.trim()}`.trim());
  return output;
}

/** Runs a program that prints its figures as one line of JSON. */
export async function figuresFrom(command, options) {
  return JSON.parse(await outputOf(command, options));
}

/** How long a command takes from its start to its end, in milliseconds. */
export async function durationOf([file, ...args]) {
  const start = performance.now();
  const child = spawn(file, args, { stdio: "ignore" });
  const [code] = await once(child, "exit");
  const duration = performance.now() - start;
  if (code !== 0) throw new Error(`${file} ${args.join(" ")}: exit code ${code}`);
  return duration;
}

/** Starts a server that prints its port, or an address that ends with it, once it listens; calls `use`, and ends it. */
export async function withServer(command, options, use) {
  const child = launch(command, options);
  try {
    const port = await new Promise((resolve, reject) => {
      const look = (chunk) => {
        const port = /^(\d+)$|\/\/[\w.]+:(\d+)/.exec(String(chunk).trim());
        if (port) resolve(Number(port[1] ?? port[2]));
      };
      child.stdout.on("data", look);
      child.stderr.on("data", look);
      child.once("close", () => reject(new Error(`${command.join(" ")} did not start\n${child.trouble.trim()}`)));
      setTimeout(() => reject(new Error(`${command.join(" ")} does not listen`)), 20_000).unref();
    });
    return await use({ port, pid: child.pid });
  } catch (error) {
    const ended = child.signalCode ?? child.exitCode;
    if (ended !== null) error.message = `the server has ended (${ended})\n${child.trouble.trim()}\n${error.message}`;
    throw error;
  } finally {
    for (const pid of familyOf(child.pid)) endNow(pid);
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    await sleep(100); // its sockets go with it, in the kernel
  }
}

/** A process and all that it has started. */
function familyOf(pid) {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    return [pid, ...(children === "" ? [] : children.split(" ").flatMap((child) => familyOf(Number(child))))];
  } catch {
    return [pid];
  }
}

function endNow(pid) {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

function sumOfFamily(pid, figureOf) {
  try {
    return familyOf(pid).reduce((sum, one) => sum + figureOf(one), 0);
  } catch {
    return null; // the system does not tell it this way
  }
}

/** The processor time that a server has used, in milliseconds; null where the system does not tell it this way. */
export function processorTime(pid) {
  return sumOfFamily(pid, (one) => {
    const stat = readFileSync(`/proc/${one}/stat`, "utf8");
    const [user, system] = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .slice(11, 13);
    return (Number(user) + Number(system)) * 10; // in ticks of 10 ms, on every Linux that Node runs on
  });
}

/** The resident memory of a server, in MiB; null where the system does not tell it this way. */
export function residentMemory(pid) {
  return sumOfFamily(
    pid,
    (one) => Number(/^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${one}/status`, "utf8"))[1]) / 1024,
  );
}

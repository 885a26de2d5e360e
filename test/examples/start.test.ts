import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import path from "node:path";
import { expect, it } from "vitest";

const root = path.join(__dirname, "..", "..");

it("npm start's program shows the difference, survives errors and leaving clients", () => {
  const { status, stdout } = spawnSync(process.execPath, ["examples/start.mjs", "--once", "300"], {
    cwd: root,
    encoding: "utf8",
  });
  expect(stdout).toContain("A handler that throws answers 500; a client went away; the next request gets 200.");
  expect(status).toBe(0);
  // Ten calls of 200 ms: one after another without the patch, so never under two seconds.
  const [plain] = [...stdout.matchAll(/10 requests at once +([\d.]+) s/g)].map((match) => Number(match[1]));
  expect(plain).toBeGreaterThanOrEqual(2);
  expect(stdout).toContain("300 requests at once");
}, 60_000);

it("npm start's program ends what it has started, when it is ended", async () => {
  const child = spawn(process.execPath, ["examples/start.mjs", "10"], {
    cwd: root,
    env: { ...process.env, PORT: "0" },
  });
  let printed = "";
  for await (const text of child.stdout.setEncoding("utf8")) {
    printed += text;
    if (printed.includes("Ctrl-C ends it.")) break;
  }
  const [, url] = /Serving at (\S+),/.exec(printed) ?? [];
  expect((await fetch(`${url}/report/1`)).status).toBe(200);
  child.kill("SIGTERM");
  await once(child, "exit");
  await expect.poll(() => fetch(`${url}/report/1`).catch(() => "gone")).toBe("gone");
}, 60_000);

it("npm start's program says so, and ends, when its port is taken", async () => {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  const child = spawn(process.execPath, ["examples/start.mjs", "10"], {
    cwd: root,
    env: { ...process.env, PORT: String(port) },
    stdio: ["ignore", "ignore", "pipe"],
  });
  let told = "";
  child.stderr.setEncoding("utf8").on("data", (text) => {
    told += text;
  });
  expect(await once(child, "close")).toEqual([1, null]);
  expect(told).toContain("If its port is taken");
  server.close();
}, 60_000);

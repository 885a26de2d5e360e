import { spawnSync } from "node:child_process";
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

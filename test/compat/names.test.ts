// docs/patched.md: what it says of the Node that runs this.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, it } from "vitest";

const root = path.join(__dirname, "..", "..");
const page = path.join(root, "docs", "patched.md");

function check(text: string) {
  const directory = mkdtempSync(path.join(tmpdir(), "runtime-names-"));
  const copy = path.join(directory, "patched.md");
  writeFileSync(copy, text);
  const script = path.join(root, "scripts", "names.mjs");
  const { status, stderr } = spawnSync(process.execPath, [script, "--check", copy], { encoding: "utf8" });
  rmSync(directory, { recursive: true });
  return { status, stderr };
}

it("the page of names says what the patch does in this Node", () => {
  expect(check(readFileSync(page, "utf8"))).toEqual({ status: 0, stderr: "" });
});

it("a page that lacks a name, has one too many, or says something else of one, is stale", () => {
  const text = readFileSync(page, "utf8");
  const line = text.split("\n").find((one) => one.startsWith("| `readFileSync` |")) as string;
  for (const other of [
    "",
    `${line}\n${line.replace("readFileSync", "nonsenseSync")}`,
    line.replaceAll("suspends", "–"),
  ]) {
    expect(check(text.replace(`${line}\n`, other && `${other}\n`))).toEqual({
      status: 1,
      stderr: expect.stringContaining("docs/patched.md is stale"),
    });
  }
});

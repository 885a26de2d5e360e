// The examples of the pages in docs: they are run, those of before and those of after, and print what is shown.
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { describeFibers } from "../support/fibers";

const root = path.join(__dirname, "..", "..");
const docs = path.join(root, "docs");

interface Example {
  title: string;
  /** Language and text, by what stands after the language: "before", "after", "run", or a file's name. */
  blocks: Map<string, { language: string; text: string }>;
  output: string;
}

/** What is under one heading, if it shows an output. */
function examples(page: string): Example[] {
  return readFileSync(path.join(docs, page), "utf8")
    .split(/^#{2,3} /m)
    .flatMap((section) => {
      const blocks: Example["blocks"] = new Map();
      let output: string | undefined;
      for (const [, language = "", name = "", text = ""] of section.matchAll(/^```(\w+) ?(\S*)\n(.*?)^```$/gms)) {
        if (language === "text") output = text;
        else if (name) blocks.set(name, { language, text });
      }
      return output === undefined ? [] : [{ title: section.slice(0, section.indexOf("\n")), blocks, output }];
    });
}

// The system's Python has the system's packages, whatever other Python comes first.
const python = ["python3", "/usr/bin/python3"].find((one) => spawnSync(one, ["-c", "import gevent"]).status === 0);
if (!python) console.log("the example for gevent, before: skipped, there is no gevent (Debian: python3-gevent)");
const hasGo = spawnSync("go", ["version"]).status === 0;
if (!hasGo) console.log("the example for Go, before: skipped, there is no Go (Debian: golang-go)");

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(path.join(realpathSync(tmpdir()), "runtime-docs-"));
  const modules = path.join(directory, "node_modules");
  mkdirSync(path.join(modules, "deasync"), { recursive: true });
  symlinkSync(root, path.join(modules, "runtime"));
  for (const name of ["meteor-promise", "synckit", "ws"])
    symlinkSync(path.join(root, "node_modules", name), path.join(modules, name));
  writeFileSync(path.join(modules, "deasync", "index.js"), `module.exports = require("runtime/deasync");`);
  writeFileSync(path.join(directory, "a.txt"), "hello\n");
  writeFileSync(path.join(directory, "b.txt"), "world\n");
});

afterAll(() => rmSync(directory, { recursive: true }));

function run(language: string, text: string): { status: number | null; stdout: string; stderr: string } {
  const file = path.join(directory, language === "go" ? "example.go" : "example.js");
  writeFileSync(file, text);
  const [command, ...args] = commandFor(language, file);
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: directory, encoding: "utf8", timeout: 60_000 });
  return { status, stdout, stderr };
}

function commandFor(language: string, file: string): [command: string, ...args: string[]] {
  if (language === "python") return [python as string, file];
  if (language === "go") return ["go", "run", file];
  return [process.execPath, path.join(root, "dist", "cli.js"), "run", file];
}

const missing = (language: string) => (language === "python" && !python) || (language === "go" && !hasGo);

it("there are examples for all that docs/migrating.md is about", () => {
  const all = examples("migrating.md");
  for (const { blocks } of all) expect([...blocks.keys()]).toEqual(expect.arrayContaining(["before", "after"]));
  const titles = all.map(({ title }) => title);
  for (const subject of ["Waiting", "generator", "future", "Meteor", "deasync", "synckit", "gevent", "Go"]) {
    expect(titles.filter((title) => title.includes(subject))).toHaveLength(1);
  }
});

it("each program that a page has is one with an output", () => {
  for (const page of ["migrating.md", "serving.md", "threads.md"]) {
    const programs = readFileSync(path.join(docs, page), "utf8").match(/^```\w+ (after|run)$/gm) ?? [];
    expect(programs.length).toBeGreaterThan(0);
    expect(programs).toHaveLength(examples(page).length);
  }
});

describeFibers("the examples of", () => {
  for (const page of readdirSync(docs)) {
    for (const { title, blocks, output } of examples(page)) {
      for (const when of ["before", "after", "run"]) {
        const { language = "", text = "" } = blocks.get(when) ?? {};
        if (text === "") continue;
        it.skipIf(missing(language))(`${page}: ${title}: ${when}`, () => {
          for (const [name, other] of blocks) {
            if (name.includes(".")) writeFileSync(path.join(directory, name), other.text);
          }
          expect(run(language, text)).toEqual({ status: 0, stdout: output, stderr: "" });
        });
      }
    }
  }
});

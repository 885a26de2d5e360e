// Writes docs/patched.md: what the patch does to each name, in each version of Node, by its own account.
//   node scripts/names.mjs [BINARY...]      with these Nodes. Default: 20 22 24 26, downloaded on first use
//   node scripts/names.mjs --check [PAGE]   only tells, with the exit code, whether the page is right for this Node
// It reads dist/: run scripts/bundle.mjs first.
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { getNode } from "./nodes.mjs";

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), "..");
const page = path.join(root, "docs", "patched.md");

const words = { cooperative: "suspends", added: "added", node: "Node's own", absent: "–" };

const account = `
  require("node:http2"); // names are added to what Node has loaded
  void Response;
  const runtime = require(${JSON.stringify(root)});
  runtime.patch();
  console.log(JSON.stringify({ node: process.versions.node, patched: runtime.patchedNames() }));`;

/** What one Node tells: its major version, and a map from "module name" to a word. */
function ask(binary) {
  const { node, patched } = JSON.parse(execFileSync(binary, ["-e", account], { encoding: "utf8" }));
  const names = new Map(patched.map(({ module, name, status }) => [`${module} ${name}`, words[status]]));
  return { major: node.split(".")[0], names };
}

function table(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

function render(nodes) {
  const keys = [...new Set(nodes.flatMap(({ names }) => [...names.keys()]))];
  const modules = [...new Set(keys.map((key) => key.split(" ")[0]))];
  const sections = modules.map((module) => {
    const own = keys.filter((key) => key.startsWith(`${module} `)).sort();
    const rows = own.map((key) => [
      `\`${key.split(" ")[1]}\``,
      ...nodes.map(({ names }) => names.get(key) ?? words.absent),
    ]);
    return `## ${module}\n\n${table(["name", ...nodes.map(({ major }) => `Node ${major}`)], rows)}`;
  });
  return `# What the patch does

Made by \`node scripts/names.mjs\` from what the patch itself records under each Node.

- **${words.cooperative}**: Node's function, which in a fiber suspends that fiber alone, or whose callbacks start in fibers
- **${words.added}**: Node lacks it
- **${words.node}**: the patch would add it, but this Node has a function by that name, which stays
- **${words.absent}**: not in this Node

${sections.join("\n\n")}
`;
}

/** The page's column for one Node: what `ask` found when it was made. */
function column(text, major) {
  const names = new Map();
  let module = "";
  let at = -1;
  for (const line of text.split("\n")) {
    if (line.startsWith("## ")) module = line.slice(3);
    const cells = line.split("|").map((cell) => cell.trim());
    if (cells[1] === "name") at = cells.indexOf(`Node ${major}`);
    else if (cells[1]?.startsWith("`") && at > 0) names.set(`${module} ${cells[1].slice(1, -1)}`, cells[at]);
  }
  return names;
}

function check(page) {
  const { major, names } = ask(process.execPath);
  const shown = column(readFileSync(page, "utf8"), major);
  const differ = [...new Set([...names.keys(), ...shown.keys()])].filter(
    (key) =>
      (names.get(key) ?? words.absent) !== (shown.get(key) ?? words.absent) || (names.has(key) && !shown.has(key)),
  );
  for (const key of differ) {
    console.error(`docs/patched.md, Node ${major}: ${key} is "${names.get(key)}", not "${shown.get(key)}"`);
  }
  if (differ.length > 0 || shown.size === 0) {
    console.error("docs/patched.md is stale: run node scripts/names.mjs");
    process.exitCode = 1;
  }
}

const given = process.argv.slice(2);
if (given[0] === "--check") check(given[1] ?? page);
else {
  const binaries = given.length > 0 ? given : ["20", "22", "24", "26"].map((major) => getNode(major).binary);
  mkdirSync(path.dirname(page), { recursive: true });
  writeFileSync(page, render(binaries.map(ask).sort((a, b) => a.major - b.major)));
}

// What benchmarks have shown, as one page in HTML that needs nothing else. Its charts are drawn by ../page/charts.mjs.
import { readFileSync } from "node:fs";
import { settingsText } from "./markdown.mjs";
import { firstLine, spreadText, verdictText } from "./outcome.mjs";

const read = (name) => readFileSync(new URL(name, import.meta.url), "utf8");

export function pageOf(record) {
  const { date, machine, settings, benchmarks } = record;
  const data = JSON.stringify(benchmarks.map(({ name, contestants, rows }) => ({ name, contestants, rows })));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>runtime: benchmarks</title>
<style>${read("../page/page.css")}</style>
</head>
<body>
<header>
<h1>runtime: benchmarks</h1>
<p>${date.slice(0, 10)}, <code>runtime bench ${html(settingsText(settings))}</code>. Bars and points are medians of the rounds,
thin lines go from the least to the greatest.</p>
<details><summary>Machine and versions</summary><ul>${list(machine)}</ul></details>
<nav>${benchmarks.map(({ name }) => `<a href="#${name}">${name}</a>`).join(" ")}</nav>
</header>
<main>
${benchmarks.map(sectionOf).join("\n")}
</main>
<script type="application/json" id="data">${data.replaceAll("<", "\\u003c")}</script>
<script>${read("../../dist/bench-charts.js").replaceAll("</script", "<\\/script")}</script>
</body>
</html>
`;
}

function sectionOf({ name, title, rounds, contestants, rows }) {
  const present = contestants.filter(({ left }) => left === undefined);
  const compared = rows.filter(({ comparison }) => comparison);
  const left = contestants.filter((one) => one.left).map((one) => `left out: ${one.name}: ${one.left}`);
  const failed = contestants
    .filter(({ errors }) => errors.length > 0)
    .map(
      (one) => `failed: ${one.name}, ${one.errors.length} of ${one.played.length} rounds: ${firstLine(one.errors[0])}`,
    );
  return `<section id="${name}">
<h2>${name}</h2>
<p>${html(title)}. ${rounds === 1 ? "1 round, so no spread" : `${rounds} rounds`}.</p>
<div class="charts"></div>
<ul>${compared.map(verdictItem).join("")}${list(left)}${list(failed, "failed")}</ul>
<details><summary>Figures</summary><div class="wide"><table>
<tr><th></th>${present.map(({ name }) => `<th>${html(name)}</th>`).join("")}</tr>
${[...new Map(rows.map((row) => [row.key, row])).values()].map((row) => figuresRow(row, present)).join("\n")}
</table></div></details>
</section>`;
}

function verdictItem({ what, comparison }) {
  const kind = comparison.drowned ? "drowned" : comparison.reach && !comparison.reach.met ? "missed" : "told";
  return `<li class="${kind}">${html(`${what}: ${verdictText(comparison)}`)}</li>`;
}

function figuresRow({ what, figures }, present) {
  const cells = present.map(({ name }) => `<td>${figures[name] ? spreadText(figures[name]) : ""}</td>`);
  return `<tr><th>${html(what)}</th>${cells.join("")}</tr>`;
}

const list = (lines, kind = "told") => lines.map((line) => `<li class="${kind}">${html(line)}</li>`).join("");

const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const html = (text) => text.replace(/[&<>"]/g, (character) => entities[character]);

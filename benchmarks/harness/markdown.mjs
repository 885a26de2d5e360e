// What benchmarks have shown, as a document in Markdown.
import { firstLine, spreadText, verdictText } from "./outcome.mjs";

export function markdownOf({ date, machine, settings, benchmarks }) {
  return [
    "# Results",
    `Written by \`runtime bench --results\` on ${date.slice(0, 10)}; not by hand. A figure is the median of the rounds, and the`,
    "least and the greatest. A comparison is of ours, the first one of a table, and made round by round; where the rounds",
    "disagree on who is ahead, it says that noise has drowned it. Of one round there is no spread, and no certainty.",
    "",
    ...machine.map((line) => `- ${line}`),
    `- settings: ${settingsText(settings)}`,
    ...benchmarks.flatMap(sectionOf),
    "",
  ].join("\n");
}

/** The settings that were not left alone, in words. */
export function settingsText({ names, ...flags }) {
  const given = Object.entries(flags).filter(([, value]) => value !== undefined && value !== false);
  return [...names, ...given.map(([name, value]) => `--${name}${value === true ? "" : ` ${value}`}`)].join(" ");
}

function sectionOf({ name, title, rounds, contestants, rows }) {
  const present = contestants.filter(({ left }) => left === undefined);
  return [
    "",
    `## ${name}`,
    "",
    `${title}. ${rounds === 1 ? "1 round" : `${rounds} rounds`}.`,
    "",
    line(["", ...present.map(({ name }) => name)]),
    line(["---", ...present.map(() => "---")]),
    ...unique(rows).map(({ what, figures }) =>
      line([what, ...present.map(({ name }) => (figures[name] ? spreadText(figures[name]) : ""))]),
    ),
    "",
    ...rows.filter(({ comparison }) => comparison).map((row) => `- ${row.what}: ${verdictText(row.comparison)}`),
    ...contestants.filter(({ left }) => left).map(({ name, left }) => `- left out: ${name}: ${left}`),
    ...contestants
      .filter(({ errors }) => errors.length > 0)
      .map(
        ({ name, errors, played }) =>
          `- FAILED: ${name}, ${errors.length} of ${played.length} rounds: ${firstLine(errors[0])}`,
      ),
  ];
}

/** A row that is set beside two peers is there twice, with the same figures. */
function unique(rows) {
  return [...new Map(rows.map((row) => [row.key, row])).values()];
}

function line(cells) {
  return `| ${cells.map((cell) => String(cell).replaceAll("|", "\\|")).join(" | ")} |`;
}

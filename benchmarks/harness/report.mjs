// Prints what a benchmark's rounds have shown.
import { compareRounds, figuresOf, spread } from "./rounds.mjs";

function number(value) {
  const digits = Math.abs(value) >= 1000 ? 0 : Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function spreadText({ median, min, max }, text = number) {
  return min === max ? text(median) : `${text(median)} (${text(min)}..${text(max)})`;
}

function reachOf(row, { median }) {
  if (row.atMost !== undefined) return { text: `at most ${row.compare.text(row.atMost)}`, met: median <= row.atMost };
  if (row.atLeast !== undefined)
    return { text: `at least ${row.compare.text(row.atLeast)}`, met: median >= row.atLeast };
  return null;
}

/**
 * @param all its contestants, also those that were left out
 * @returns for each row that is to reach something: `{ text, met }`
 */
export function report(benchmark, all, results, rounds) {
  const verdicts = [];
  console.log(`\n${benchmark.title} - ${rounds === 1 ? "1 round" : `${rounds} rounds`}, median (min..max)`);
  for (const row of benchmark.rows) {
    console.log(`  ${row.what}`);
    for (const { name } of all) {
      const figures = figuresOf(results, name, row.key);
      if (figures.length > 0) console.log(`    ${name.padEnd(20)} ${spreadText(spread(figures))}`);
    }
    const ratio = row.peer && compareRounds(results, all[0].name, row.peer, row.key, row.compare);
    if (!ratio) continue;
    const reach = reachOf(row, ratio);
    const beside = `${spreadText(ratio, row.compare.text)} beside ${row.peer}`;
    if (reach === null) console.log(`    -> ${beside}`);
    else {
      console.log(`    -> ${beside}; reach: ${reach.text}: ${reach.met ? "met" : "NOT met"}`);
      verdicts.push({ text: `${benchmark.name}, ${row.what}: ${beside}, ${reach.text}`, met: reach.met });
    }
  }
  for (const { name, left } of all) if (left !== undefined) console.log(`  left out: ${name}: ${left}`);
  for (const [name, list] of results) {
    const errors = list.filter(({ error }) => error !== undefined);
    if (errors.length > 0)
      console.log(`  FAILED: ${name}, ${errors.length} of ${list.length} rounds: ${errors[0].error}`);
  }
  return verdicts;
}

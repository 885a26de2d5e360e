// Prints what benchmarks have shown.
import { firstLine, spreadText, verdictText } from "./outcome.mjs";

export function printOutcome({ title, rounds, contestants, rows }) {
  console.log(`\n${title} - ${rounds === 1 ? "1 round, so no spread" : `${rounds} rounds, median (min..max)`}`);
  for (const { what, figures, comparison } of rows) {
    if (Object.keys(figures).length === 0) continue;
    console.log(`  ${what}`);
    for (const [name, figure] of Object.entries(figures)) console.log(`    ${name.padEnd(20)} ${spreadText(figure)}`);
    if (comparison) console.log(`    -> ${verdictText(comparison)}`);
  }
  for (const { name, left } of contestants) if (left !== undefined) console.log(`  left out: ${name}: ${left}`);
  for (const { name, errors, played } of contestants)
    if (errors.length > 0)
      console.log(`  FAILED: ${name}, ${errors.length} of ${played.length} rounds: ${firstLine(errors[0])}`);
}

/** Once more, those of all benchmarks that were to reach something. */
export function printVerdicts(outcomes) {
  const all = outcomes.flatMap(({ name, rows }) =>
    rows.filter(({ comparison }) => comparison?.reach).map((row) => ({ ...row, name })),
  );
  const missed = all.filter(({ comparison }) => !comparison.reach.met);
  if (all.length > 0) console.log(`\n${all.length - missed.length} of ${all.length} reached in this run`);
  for (const { name, what, comparison } of missed)
    console.log(`  not reached: ${name}, ${what}: ${verdictText(comparison)}`);
}

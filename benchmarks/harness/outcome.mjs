// What a benchmark's rounds have shown, as plain data: all that is printed or written is made from this.
import { compareRounds, figuresOf, spread } from "./rounds.mjs";

/**
 * @param benchmark with its contestants, also those that were left out
 * @returns `{ name, title, rounds, contestants, rows }`. A contestant: `{ name, peer, left, errors, played }`. A row:
 *   `{ key, what, chart, figures, comparison }`, `figures` by contestant `{ median, min, max }`, `comparison`
 *   `{ peer, median, min, max, text, drowned, reach }`, where `drowned` says that the rounds do not agree on who is ahead
 */
export function outcomeOf({ name, title, rows, contestants }, results, rounds) {
  return {
    name,
    title,
    rounds,
    contestants: contestants.map(({ name, peer, left }) => {
      const played = results.get(name) ?? [];
      const errors = played.map(({ error }) => error).filter((error) => error !== undefined);
      return { name, peer, left, errors, played };
    }),
    rows: rows.map((row) => ({
      key: row.key,
      what: row.what,
      chart: row.chart,
      figures: Object.fromEntries(
        contestants
          .map(({ name }) => [name, figuresOf(results, name, row.key)])
          .filter(([, figures]) => figures.length > 0)
          .map(([name, figures]) => [name, spread(figures)]),
      ),
      comparison: comparisonOf(row, contestants[0].name, results),
    })),
  };
}

function comparisonOf(row, ours, results) {
  const ratio = row.peer && compareRounds(results, ours, row.peer, row.key, row.compare);
  if (!ratio) return undefined;
  const { text, even } = row.compare;
  return {
    peer: row.peer,
    ...ratio,
    text: spreadText(ratio, text),
    drowned: within(even, ratio),
    reach: reachOf(row, ratio),
  };
}

function reachOf({ atMost, atLeast, compare }, ratio) {
  const bound = atMost ?? atLeast;
  if (bound === undefined) return undefined;
  const met = atMost === undefined ? ratio.median >= bound : ratio.median <= bound;
  const text = `at ${atMost === undefined ? "least" : "most"} ${compare.text(bound)}`;
  return { text, met, drowned: within(bound, ratio) };
}

/** Some rounds say that the ratio is above the value, and others that it is below. */
function within(value, { min, max }) {
  return min < max && min <= value && value <= max;
}

/** The median, and the least and the greatest where there are any others. */
export function spreadText({ median, min, max }, text = numberText) {
  return min === max ? text(median) : `${text(median)} (${text(min)}..${text(max)})`;
}

export function numberText(value) {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

/** What a comparison says, in words. */
export function verdictText({ peer, text, drowned, reach }) {
  const doubt = drowned ? " - drowned by noise: the rounds disagree on who is ahead" : "";
  if (reach === undefined) return `${text} beside ${peer}${doubt}`;
  const met = `${reach.met ? "met" : "NOT met"}${reach.drowned ? ", but other rounds say otherwise" : ""}`;
  return `${text} beside ${peer}${doubt}; reach: ${reach.text}: ${met}`;
}

/** What has gone wrong, without the details that JSON keeps. */
export const firstLine = (error) => error.split("\n", 1)[0];

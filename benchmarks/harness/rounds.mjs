// Interleaved rounds: A B C, A B C, ... What the machine does to one contestant it then does to the others too, and
// the figure that counts is a ratio within one round.

/** The middle, the least and the greatest of some numbers. */
export function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const median = sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { median, min: sorted[0], max: sorted[sorted.length - 1] };
}

/** How ours is set beside a peer: a number, what it is where they are even, and how it is told. */
export const timesAsMuch = { of: (ours, peer) => ours / peer, even: 1, text: (value) => `${value.toFixed(2)}x` };
export const timesAsFast = {
  of: (ours, peer) => peer / ours,
  even: 1,
  text: (value) => `${value.toFixed(1)}x as fast`,
};
export const more = {
  of: (ours, peer) => ours - peer,
  even: 0,
  text: (value) => `${value >= 0 ? "+" : ""}${value.toFixed(1)}`,
};

/**
 * Runs every contestant once in each round.
 * @param contestants `{ name, measure }`, where `measure()` comes to an object of figures, by row
 * @returns by contestant's name, a list with an entry for each round: its figures, or `{ error }`
 */
export async function playRounds(contestants, rounds, progress) {
  const results = new Map(contestants.map(({ name }) => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    for (const { name, measure } of contestants) {
      progress(`round ${round} of ${rounds}: ${name}`);
      results.get(name).push(await measured(measure));
    }
  }
  return results;
}

/** Also a peer that does not compile is only that peer's error. */
async function measured(measure) {
  try {
    return await measure();
  } catch (error) {
    return { error: error.message };
  }
}

/** Every round's figure of one row; without the rounds that failed. */
export function figuresOf(results, name, key) {
  return (results.get(name) ?? []).map((figures) => figures[key]).filter((figure) => typeof figure === "number");
}

/** The spread of `compare` over the rounds in which both have a figure; null if there is none. */
export function compareRounds(results, ours, peer, key, compare) {
  const pairs = [];
  const theirs = results.get(peer) ?? [];
  for (const [round, figures] of (results.get(ours) ?? []).entries()) {
    const [a, b] = [figures[key], theirs[round]?.[key]];
    if (typeof a === "number" && typeof b === "number") pairs.push(compare.of(a, b));
  }
  return pairs.length > 0 ? spread(pairs) : null;
}

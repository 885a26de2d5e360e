// The same measurement for several numbers of something: of connections, of fibers.

/**
 * Measures for each count in turn.
 * @returns the figures, under names like `perSecond@50`; and `error` if some of them could not be had
 */
export async function measureAlong(unit, counts, measure) {
  const figures = {};
  for (const count of counts) {
    try {
      for (const [key, value] of Object.entries(await measure(count))) figures[`${key}@${count}`] = value;
    } catch (error) {
      figures.error = [figures.error, `${count} ${unit}: ${error.message}`].filter(Boolean).join("; ");
    }
  }
  return figures;
}

/** The rows of what `measureAlong` has measured: `rows(count)` for each count. */
export function rowsAlong(unit, counts, rows) {
  return counts.flatMap((count) =>
    rows(count).map((row) => ({
      ...row,
      key: `${row.key}@${count}`,
      what: `${count.toLocaleString("en-US")} ${unit}: ${row.what}`,
      chart: { title: row.what, along: unit, at: count },
    })),
  );
}

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

/** Half the range of the middle half of the values, as a percentage of the median. */
function spread(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const quarter = Math.floor(sorted.length / 4);
  return ((sorted[sorted.length - 1 - quarter] - sorted[quarter]) / 2 / median(sorted)) * 100;
}

const digits = (value) => (value >= 100 ? value.toFixed(0) : value.toFixed(1));

/**
 * A Markdown table of medians, and how our best compares with the best of the others: the median of the ratios per
 * round, above 1 if ours leads. If the middle half of those ratios includes 1, they are called level.
 */
export function table(title, { rows, candidates, unit, lowerIsBetter = () => false, yardstick }, results) {
  const ours = candidates.filter((name) => name.startsWith('redis-trib'));
  const others = candidates.filter((name) => !ours.includes(name) && name !== yardstick);
  const lines = [
    `## ${title} (${unit})`,
    '',
    `| | ${candidates.join(' | ')} | ratio | leads |`,
    `|---|${'---|'.repeat(candidates.length + 2)}`,
  ];
  for (const row of rows) {
    const values = results.get(row);
    const best = (names) =>
      names
        .filter((name) => values.get(name).length > 0)
        .sort((a, b) => (median(values.get(b)) - median(values.get(a))) * (lowerIsBetter(row) ? -1 : 1))[0];
    const [us, them] = [best(ours), best(others)];
    const ratios = values.get(us).map((value, round) => {
      const quotient = value / values.get(them)[round];
      return lowerIsBetter(row) ? 1 / quotient : quotient;
    });
    ratios.sort((a, b) => a - b);
    const quarter = Math.floor(ratios.length / 4);
    const [low, high] = [ratios[quarter], ratios[ratios.length - 1 - quarter]];
    const leader = low > 1 ? 'redis-trib' : high < 1 ? them : 'level';
    const cells = candidates.map((name) => {
      const seen = values.get(name);
      return seen.length === 0 ? '' : `${digits(median(seen))} ±${spread(seen).toFixed(0)}%`;
    });
    lines.push(`| ${row} | ${cells.join(' | ')} | ${median(ratios).toFixed(2)} | ${leader} |`);
  }
  return `${lines.join('\n')}\n`;
}

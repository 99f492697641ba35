/** What somebody may have meant by a word that is none of these names, if one is near enough. */
export function nearest(word: string, names: readonly string[]): string | undefined {
  // Options of redis-cli's spelling have it in front.
  const wanted = word.replace(/^--cluster-/, '--').replaceAll('_', '-');
  const begun = names.filter((name) => spelt(name).startsWith(wanted));
  if (begun.length === 1 && wanted.length > 2) return begun[0];
  const mostSteps = Math.floor(wanted.replace(/^--/, '').length / 3);
  const [best] = names
    .map((name) => ({ name, steps: stepsBetween(wanted, spelt(name)) }))
    .sort((a, b) => a.steps - b.steps);
  return best && best.steps <= mostSteps ? best.name : undefined;
}

const spelt = (name: string): string => name.replaceAll('_', '-');

/** How many letters have to be put in, taken out or exchanged (Levenshtein). */
function stepsBetween(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let at = 1; at <= from.length; at++) {
    const next = [at];
    for (let end = 1; end <= to.length; end++) {
      const exchanged = (row[end - 1] ?? 0) + (from[at - 1] === to[end - 1] ? 0 : 1);
      next.push(Math.min(exchanged, (row[end] ?? 0) + 1, (next[end - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}

import type { UsageError } from './io.ts';

/** The name that an unknown word was probably meant to be, if one is close enough. */
export function nearest(word: string, names: readonly string[]): string | undefined {
  // redis-cli's options have this prefix.
  const isCompat = names.some((name) => name.startsWith('--cluster-'));
  const wanted = (isCompat ? word : word.replace(/^--cluster-/, '--')).replaceAll('_', '-');
  const begun = names.filter((name) => spelt(name).startsWith(wanted));
  if (begun.length === 1 && wanted.length > 2) return begun[0];
  const mostSteps = Math.floor(wanted.replace(/^--/, '').length / 3);
  const [best] = names
    .map((name) => ({ name, steps: stepsBetween(wanted, spelt(name)) }))
    .sort((a, b) => a.steps - b.steps);
  return best && best.steps <= mostSteps ? best.name : undefined;
}

const spelt = (name: string): string => name.replaceAll('_', '-');

/** Levenshtein distance, in which two neighbours that changed places are one step. */
function stepsBetween(from: string, to: string): number {
  let before: readonly number[] = [];
  let row = Array.from({ length: to.length + 1 }, (_, index) => index);
  for (let at = 1; at <= from.length; at++) {
    const next = [at];
    for (let end = 1; end <= to.length; end++) {
      const exchanged = (row[end - 1] ?? 0) + (from[at - 1] === to[end - 1] ? 0 : 1);
      const isSwapped = end > 1 && from[at - 1] === to[end - 2] && from[at - 2] === to[end - 1];
      const swapped = isSwapped ? (before[end - 2] ?? at) + 1 : exchanged;
      next.push(Math.min(exchanged, swapped, (row[end] ?? 0) + 1, (next[end - 1] ?? 0) + 1));
    }
    [before, row] = [row, next];
  }
  return row.at(-1) ?? 0;
}

/**
 * What was probably meant by a line that is wrong, as a sentence: for habits from redis-cli, and for slips. Empty if nothing comes
 * close.
 */
export function meant({ unknown, message }: UsageError, argv: readonly string[]): string {
  const [first = '', second = ''] = argv;
  if (first === 'cluster')
    return `Did you mean redis-trib --cluster${second && ` ${second}`}, or redis-trib ${second || 'COMMAND'}? `;
  // An option before the command. The word may hold a password, so only its name is compared.
  const option = first.split('=')[0] ?? '';
  if (option.startsWith('--') && option !== '--cluster' && !unknown && nearest(option, ['--cluster']))
    return 'Did you mean --cluster? ';
  if (
    /^(The command comes before|Unknown option '-p'|Unrecognized option .*'-[hp]')/.test(message) &&
    argv.some((word) => /^-[hp]/.test(word))
  )
    return 'Name the node as host:port, after the command. ';
  const name = unknown && nearest(unknown.word, unknown.names);
  return name ? `Did you mean ${name}? ` : '';
}

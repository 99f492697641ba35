import { median } from '../report.mjs';

const digits = (value) =>
  value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
const least = (values) => values.reduce((a, b) => Math.min(a, b));
const most = (values) => values.reduce((a, b) => Math.max(a, b));
const row = (cells) => `| ${cells.join(' | ')} |`;

/** The latency below which this fraction of all stays. */
function quantile(latencies, share) {
  const sorted = Float64Array.from(latencies).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
}

function latencyCells(latencies) {
  if (latencies.length === 0) return ['', '', '', '', ''];
  const figures = [0.5, 0.99, 0.999].map((share) => digits(quantile(latencies, share)));
  return [...figures, digits(most(latencies)), String(latencies.length)];
}

/** Tables of one case: the time of each candidate, what another client saw in the meantime, and whether the goals are met. */
export function caseReport(title, { results, idle, slots, keys, goals }) {
  const lines = [];
  for (const [verb, seen] of results) {
    const what = { move: '', grow: ', 3 → 4', shrink: ', 4 → 3' }[verb];
    lines.push(`## ${title}${what} (${slots} slots, ${keys} keys)`, '');
    lines.push(row(['', 'ms', 'min–max', 'moving', 'p50', 'p99', 'p99.9', 'max', 'samples']));
    lines.push(row(Array(9).fill('---')));
    lines.push(row(['nothing moves', '', '', '', ...latencyCells(idle)]));
    for (const [name, { times, moving, latencies }] of seen) {
      const spread = `${digits(least(times))}–${digits(most(times))}`;
      const part = moving.length > 0 ? digits(median(moving)) : '';
      lines.push(row([name, digits(median(times)), spread, part, ...latencyCells(latencies)]));
    }
    if (goals.length > 0)
      lines.push('', row(['goal', 'measured', 'min–max', 'met']), row(Array(4).fill('---')));
    for (const goal of goals) lines.push(goalRow(goal, seen));
    lines.push('');
  }
  return lines.join('\n');
}

function goalRow(goal, seen) {
  const mine = seen.get(goal.candidate.name);
  const other = goal.than && seen.get(goal.than.name);
  const judge = (isMet) => (isMet ? 'yes' : '**no**');
  if (goal.kind === 'faster' || goal.kind === 'moving') {
    const isPart = goal.kind === 'moving';
    const ratios = (isPart ? mine.moving : mine.times).map((time, round) => other.times[round] / time);
    const is = median(ratios);
    const part = isPart ? ', moving only' : '';
    const text = `${goal.candidate.name}${part}: ${goal.times} × as fast as ${goal.than.name}`;
    const spread = `${least(ratios).toFixed(2)}–${most(ratios).toFixed(2)}`;
    return row([text, is.toFixed(2), spread, judge(is >= goal.times)]);
  }
  if (goal.kind === 'p99') {
    const [own, theirs] = [mine, other].map(({ latencies }) => quantile(latencies, 0.99));
    const text = `${goal.candidate.name}: p99 for others at most ${goal.times} × that of ${goal.than.name}`;
    return row([text, (own / theirs).toFixed(2), '', judge(own <= theirs * goal.times)]);
  }
  const { memory } = mine;
  const quarter = Math.max(1, memory.length >> 2);
  const [early, late] = [memory.slice(quarter, 2 * quarter), memory.slice(-quarter)].map(median);
  const text = `${goal.candidate.name}: under ${goal.most} MB, and flat`;
  const isMet = most(memory) < goal.most && late < early * 1.2;
  return row([
    text,
    `${most(memory).toFixed(0)} MB at most`,
    `second quarter ${early.toFixed(0)}, last ${late.toFixed(0)}`,
    judge(isMet),
  ]);
}

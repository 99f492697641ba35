import type { Trial } from './trial.ts';

/** A trial, with its case and event. */
export interface Recorded extends Trial {
  readonly name: string;
  readonly event: string;
  readonly at: number;
  readonly half: boolean;
}

interface Place {
  readonly server: string;
  readonly seed: number;
  readonly every: boolean;
  readonly verbose: boolean;
}

/** Prints a failed trial and how to repeat it, or every trial if asked to. */
export function report(one: Recorded, { server, seed, every, verbose }: Place): void {
  const { name, event, at, half, struck, end, again, longestMs, runs, problems } = one;
  if (problems.length === 0 && !verbose) return;
  const where = `${event} at ${half ? 'half of ' : ''}write ${at}`;
  console.log(
    `${problems.length === 0 ? 'ok  ' : 'FAIL'} ${name}: ${struck ? where : `done before ${where}`}: ${end}, ${again} more runs, ${(longestMs / 1000).toFixed(1)} s`,
  );
  if (problems.length === 0) return;
  for (const problem of problems) console.log(`     ${problem}`);
  for (const run of runs) {
    const refused = run.args.at(-1)?.endsWith(' refused') ? `${run.args.at(-1)}: ` : '';
    console.log(`     ${refused}${run.end} ${run.error?.code ?? ''} ${run.error?.message ?? ''}`.trimEnd());
  }
  console.log(
    `     again: npm run test:interruptions -- --server ${server} --case '${name}' --event '${event}' --at ${at}${half ? ' --half' : ''}${every ? ' --every' : ''} --seed ${seed}`,
  );
}

/** A line for each command and event. */
export function summarise(all: readonly Recorded[]): void {
  const names = [...new Set(all.map(({ name, event }) => `${name}\0${event}`))];
  const rows = names.map((key) => {
    const some = all.filter(({ name, event }) => `${name}\0${event}` === key);
    const [name = '', event = ''] = key.split('\0');
    const struck = some.filter((one) => one.struck);
    const ends = [...new Set(struck.map(({ end }) => end))].sort();
    return [
      name,
      event,
      `${struck.length}`,
      ends.map((end) => `${end} ${struck.filter((one) => one.end === end).length}`).join(', '),
      `${struck.filter(({ again }) => again <= 1).length}`,
      `${struck.filter(({ again }) => again > 1).length}`,
      `${(Math.max(0, ...some.map(({ longestMs }) => longestMs)) / 1000).toFixed(1)} s`,
      `${some.filter(({ problems }) => problems.length > 0).length}`,
    ];
  });
  const head = [
    'command',
    'event',
    'interrupted',
    'ended with',
    'done by one more run',
    'by several',
    'longest run',
    'problems',
  ];
  const table = [head, ...rows.sort((a, b) => ((a[0] ?? '') < (b[0] ?? '') ? -1 : 1))];
  const widths = head.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  for (const row of table)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    );
}

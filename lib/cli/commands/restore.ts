import type { RestoreOptions, RestoreResult } from '../../index.ts';
import { formatBytes } from '../../model/bytes.ts';
import { confirmKeys } from '../approve.ts';
import type { Command } from '../command.ts';
import { count, seconds } from '../figures.ts';
import { changeFlags, strayAnswer } from '../flags.ts';
import type { Outcome } from '../outcome.ts';
import { outlookLines } from '../outlook-view.ts';
import { directoryOf } from './backup.ts';

export const restoreCommand: Command<'restore'> = {
  name: 'restore',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Bring the keys of a backup into the cluster, whatever its shape',
  details:
    'All files are verified before anything is written. A key that the cluster has with another value is kept and ' +
    'reported. Run it again to continue after an interruption.',
  example: '127.0.0.1:7000 --dir /var/backups/cluster-1',
  flags: {
    'dry-run': changeFlags['dry-run'],
    'agree-timeout': changeFlags['agree-timeout'],
    wait: changeFlags.wait,
    force: { type: 'boolean', help: 'Proceed even if another operator is active or slots are open' },
    yes: changeFlags.yes,
    dir: { type: 'string', value: 'DIR', help: 'Directory of the backup' },
    replace: { type: 'boolean', help: 'Overwrite keys that the cluster has with another value' },
    'stray-keys': {
      type: 'string',
      value: 'ANSWER',
      choices: ['keep', 'bring', 'drop'],
      help: 'Keys saved from a master without their slot: keep, bring or drop (keep)',
    },
  } as NonNullable<Command['flags']>,
  run: async ({ positionals: [cluster = ''], options, values, io }) => {
    const dir = directoryOf('restore', values.dir);
    const strayKeys = strayAnswer(values);
    const wanted: RestoreOptions = {
      ...{ ...options, dir, replace: values.replace === true },
      ...(strayKeys ? { strayKeys } : {}),
    };
    const { restoreCluster } = await import('../../operations/restore-cluster.ts');
    await confirmKeys('restore', values, io, async () =>
      describe(await restoreCluster(cluster, { ...wanted, dryRun: true }), cluster, wanted),
    );
    return restored(await restoreCluster(cluster, wanted), cluster, wanted);
  },
};

function describe(
  { databases, functions, dir, date, expired, strays, ...outlook }: RestoreResult,
  cluster: string,
  { replace = false, strayKeys = 'keep' }: Pick<RestoreOptions, 'replace' | 'strayKeys'>,
): string {
  const keys = databases.map(
    ({ db, keys }) => `  Write ${count(keys, 'key')} to database ${db} of ${cluster}`,
  );
  return [
    `To do, from the backup of ${date} in ${dir}:`,
    ...(keys.length > 0 ? keys : ['  It has no keys']),
    ...outlookLines(outlook),
    ...(functions.length > 0 ? [`  Load the functions ${functions.join(', ')}`] : []),
    ...(expired > 0 ? [`  Skip ${count(expired, 'expired key')}`] : []),
    ...(strays > 0
      ? [`  ${STRAYS[strayKeys]} ${count(strays, 'key')} saved from masters that did not own their slot`]
      : []),
    ...(replace ? ['  Keys of the cluster are overwritten'] : []),
  ].join('\n');
}

const STRAYS = {
  keep: 'Among them, compare and do not write',
  bring: 'Among them, write only if the cluster lacks them:',
  drop: 'Among them, leave out',
};

/** Outcome of `restore`. */
export function restored(
  result: RestoreResult,
  cluster: string,
  wanted: Pick<RestoreOptions, 'replace' | 'strayKeys'>,
): Outcome<RestoreResult> {
  const { applied, dir, keys, same, converted, bytes, expired, functions, elapsedMs } = result;
  const data = { ...result, elapsedMs: Math.round(elapsedMs) };
  if (!applied) return { ok: true, data, text: `${describe(result, cluster, wanted)}\nNothing was changed` };
  const more = [
    ...(converted > 0 ? [`, ${converted} of them converted`] : []),
    ...(same > 0 ? [`, ${same} were there already`] : []),
    ...(expired > 0 ? [`, ${expired} have expired`] : []),
    ...(functions.length > 0
      ? [`, and ${functions.length} ${functions.length === 1 ? 'function library' : 'function libraries'}`]
      : []),
  ];
  const text = `Restored ${count(keys, 'key')} (${formatBytes(bytes)}) from ${dir}${more.join('')} (${seconds(elapsedMs)})`;
  return { ok: true, data, text };
}

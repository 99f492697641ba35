import type { RestoreOptions, RestoreResult } from '../../index.ts';
import { formatBytes } from '../../model/bytes.ts';
import { confirmKeys } from '../approve.ts';
import type { Command } from '../command.ts';
import { count, seconds } from '../figures.ts';
import { changeFlags } from '../flags.ts';
import type { Outcome } from '../outcome.ts';
import { directoryOf } from './backup.ts';

export const restore: Command = {
  name: 'restore',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Bring the keys of a backup into the cluster, whatever its shape',
  details:
    'All files are verified before anything is written. A key that the cluster has with\n' +
    'another value is kept there and told of. Run again, it goes on where it was interrupted.',
  example: '127.0.0.1:7000 --dir /var/backups/cluster-1',
  flags: {
    'dry-run': changeFlags['dry-run'],
    'agree-timeout': changeFlags['agree-timeout'],
    yes: changeFlags.yes,
    dir: { type: 'string', value: 'DIR', help: 'Directory of the backup' },
    replace: { type: 'boolean', help: 'Overwrite keys that the cluster has with another value' },
  } as NonNullable<Command['flags']>,
  run: async ({ positionals: [cluster = ''], options, values, io }) => {
    const dir = directoryOf('restore', values.dir);
    const wanted: RestoreOptions = { ...options, dir, replace: values.replace === true };
    const { restoreCluster } = await import('../../operations/restore-cluster.ts');
    await confirmKeys('restore', values, io, async () =>
      describe(await restoreCluster(cluster, { ...wanted, dryRun: true }), cluster, wanted),
    );
    return restored(await restoreCluster(cluster, wanted), cluster, wanted);
  },
};

function describe(
  { databases, functions, dir, date, expired }: RestoreResult,
  cluster: string,
  { replace = false }: Pick<RestoreOptions, 'replace'>,
): string {
  const keys = databases.map(
    ({ db, keys }) => `  Write ${count(keys, 'key')} to database ${db} of ${cluster}`,
  );
  return [
    `To do, from the backup of ${date} in ${dir}:`,
    ...(keys.length > 0 ? keys : ['  It holds no key']),
    ...(functions.length > 0 ? [`  Load the functions ${functions.join(', ')}`] : []),
    ...(expired > 0 ? [`  Leave out ${count(expired, 'key')} that expired since`] : []),
    ...(replace ? ['  Keys of the cluster are overwritten'] : []),
  ].join('\n');
}

/** What `restore` ends with. */
export function restored(
  result: RestoreResult,
  cluster: string,
  wanted: Pick<RestoreOptions, 'replace'>,
): Outcome {
  const { applied, dir, keys, same, bytes, expired, functions, elapsedMs } = result;
  const data = { ...result, elapsedMs: Math.round(elapsedMs) };
  if (!applied) return { ok: true, data, text: `${describe(result, cluster, wanted)}\nNothing was changed` };
  const more = [
    ...(same > 0 ? [`, ${same} were there already`] : []),
    ...(expired > 0 ? [`, ${expired} have expired`] : []),
    ...(functions.length > 0
      ? [`, and ${count(functions.length, 'library').replace(/ys$/, 'ies')} of functions`]
      : []),
  ];
  const text = `Restored ${count(keys, 'key')} (${formatBytes(bytes)}) from ${dir}${more.join('')} (${seconds(elapsedMs)})`;
  return { ok: true, data, text };
}

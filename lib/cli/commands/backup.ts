import type { BackupResult } from '../../index.ts';
import { formatBytes } from '../../model/bytes.ts';
import type { Command } from '../command.ts';
import { count, seconds } from '../figures.ts';
import { changeFlags, numberFlag } from '../flags.ts';
import { UsageError } from '../io.ts';
import type { Outcome } from '../outcome.ts';

export const backup: Command = {
  name: 'backup',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Save a snapshot of every master into a directory',
  details:
    'One RDB file for each master, and manifest.json, which is written last: a directory without one is no backup.\n' +
    'Each snapshot is of one moment, all of them together are not.',
  example: '127.0.0.1:7000 --dir /var/backups/cluster-1',
  flags: {
    'agree-timeout': changeFlags['agree-timeout'],
    dir: { type: 'string', value: 'DIR', help: 'Directory of the backup' },
    concurrency: {
      type: 'string',
      value: 'N',
      help: 'Masters that are copied at one time, each forks (4)',
    },
    'idle-timeout': {
      type: 'string',
      value: 'MS',
      help: 'Time a master may send nothing (60000)',
    },
    force: { type: 'boolean', help: 'Go on where slots are open, not served, or move meanwhile' },
  } as NonNullable<Command['flags']>,
  run: async ({ positionals: [cluster = ''], options, values }) => {
    const dir = directoryOf('backup', values.dir);
    const idleTimeout = numberFlag(values, 'idle-timeout');
    const { backupCluster } = await import('../../operations/backup-cluster.ts');
    const result = await backupCluster(cluster, {
      ...options,
      dir,
      ...(idleTimeout === undefined ? {} : { idleTimeout }),
    });
    return backedUp(result);
  },
};

/** The directory that a command cannot do without. */
export function directoryOf(command: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new UsageError(`${command} needs --dir DIR: the directory of the backup`);
}

/** What `backup` ends with. */
export function backedUp({ dir, manifest, bytes, elapsedMs }: BackupResult): Outcome {
  const { date, problems, masters } = manifest;
  const data = { dir, date, problems, masters, bytes, elapsedMs: Math.round(elapsedMs) };
  const lines = [
    `Saved ${count(masters.length, 'master')} (${formatBytes(bytes)}) to ${dir} (${seconds(elapsedMs)})`,
    ...problems.map((problem) => `Passed over: ${problem}`),
  ];
  return { ok: true, data, text: lines.join('\n') };
}

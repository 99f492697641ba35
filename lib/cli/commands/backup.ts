import type { BackupManifest, BackupResult } from '../../index.ts';
import { formatBytes } from '../../model/bytes.ts';
import type { Command } from '../command.ts';
import { count, seconds } from '../figures.ts';
import { changeFlags, numberFlag } from '../flags.ts';
import { UsageError } from '../io.ts';
import type { Outcome } from '../outcome.ts';

export const backupCommand: Command<'backup'> = {
  name: 'backup',
  usage: 'CLUSTER',
  arity: [1, 1],
  summary: 'Save a snapshot of every master into a directory',
  details:
    'Writes one RDB file per master, then manifest.json: a directory without it is not a backup.\n' +
    'Each snapshot is of one moment, but not all of the same moment.',
  example: '127.0.0.1:7000 --dir /var/backups/cluster-1',
  flags: {
    'agree-timeout': changeFlags['agree-timeout'],
    dir: { type: 'string', value: 'DIR', help: 'Directory of the backup' },
    concurrency: {
      type: 'string',
      value: 'N',
      help: 'Masters to copy at once, each forks (4)',
    },
    'idle-timeout': {
      type: 'string',
      value: 'MS',
      help: 'Time that a master may send nothing (60000)',
    },
    force: { type: 'boolean', help: 'Keep the backup even if slots are open, unserved, or moving' },
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

/** The required directory of a command. */
export function directoryOf(command: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw new UsageError(`${command} needs --dir DIR: the directory of the backup`);
}

/** The data of `backup`. */
export interface BackupData
  extends Omit<BackupResult, 'manifest'>,
    Pick<BackupManifest, 'date' | 'problems' | 'masters'> {}

/** Outcome of `backup`. */
export function backedUp({ dir, manifest, bytes, elapsedMs }: BackupResult): Outcome<BackupData> {
  const { date, problems, masters } = manifest;
  const data = { dir, date, problems, masters, bytes, elapsedMs: Math.round(elapsedMs) };
  const lines = [
    `Saved ${count(masters.length, 'master')} (${formatBytes(bytes)}) to ${dir} (${seconds(elapsedMs)})`,
    ...problems.map((problem) => `Ignored: ${problem}`),
  ];
  return { ok: true, data, text: lines.join('\n') };
}

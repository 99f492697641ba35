import type { BackupManifest } from '../apply/backup/manifest.ts';
import { readManifest } from '../apply/backup/read-files.ts';
import { restoreFunctions } from '../apply/backup/restore-functions.ts';
import { restoreKeys } from '../apply/backup/restore-keys.ts';
import { type BackupContent, surveyFiles } from '../apply/backup/survey-files.ts';
import type { Context } from '../apply/context.ts';
import { Owners } from '../apply/copy/owners.ts';
import { Tally } from '../apply/copy/tally.ts';
import { askClusterDatabases } from '../apply/node-info.ts';
import { lookSettled, requireClosed, requireServing } from '../apply/settle.ts';
import { ClusterError } from '../errors.ts';
import { type ClusterView, reachableMasters } from '../model/view.ts';
import type { OperationOptions } from '../options.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

export interface RestoreOptions extends OperationOptions {
  /** The directory of the backup. */
  readonly dir: string;
  /** Overwrite keys, and libraries of functions, that the cluster has with another value. @default false */
  readonly replace?: boolean;
}

/** What was restored, or, after a dry run, would be. */
export interface RestoreResult {
  /** False after a dry run. */
  readonly applied: boolean;
  readonly dir: string;
  /** When the backup began. */
  readonly date: string;
  /** Databases with their keys in the backup, those that have expired left out. */
  readonly databases: readonly { readonly db: number; readonly keys: number }[];
  /** Names of the libraries of functions in the backup. */
  readonly functions: readonly string[];
  /** Keys of the backup that have expired since. */
  readonly expired: number;
  /** Keys that were written. */
  readonly keys: number;
  /** Keys that the cluster had already with the same value. */
  readonly same: number;
  /** Bytes of the keys that were written, in the form of DUMP. */
  readonly bytes: number;
  /** Milliseconds for all of it. */
  readonly elapsedMs: number;
}

/**
 * Brings the keys of a backup, and its functions, into a cluster of any shape, with their times to live. All files are verified
 * before anything is written. What was restored already is found to be the same, so the same call goes on after an interruption.
 * It writes as any client does, so others may work on the cluster meanwhile.
 * Rejects with ClusterError `KEY_CONFLICT` where the cluster has keys with other values, which are kept, after all others are
 * restored; and before anything is written with `FILE_FAILED`, `BACKUP_INVALID`, `SLOTS_UNCOVERED`, `OPEN_SLOT`, `DATABASES_DIFFER`, or
 * where the functions cannot be given with `KEY_CONFLICT` or `TARGET_TOO_OLD`.
 */
export function restoreCluster(cluster: ClusterLike, options: RestoreOptions): Promise<RestoreResult> {
  return withContext(cluster, options, async (context) => {
    const started = performance.now();
    const { dir, replace = false } = options;
    const manifest = await readManifest(dir);
    const content = await surveyFiles(context, dir, manifest);
    const view = await lookSettled(context, seedOf(cluster));
    requireServing(view, 'restore');
    requireClosed(view, 'restore');
    await requireDatabases(context, view, content);
    const done = options.dryRun
      ? { keys: 0, same: 0, bytes: 0 }
      : await restoreAll(context, view, manifest, content, { dir, replace });
    return {
      applied: options.dryRun !== true,
      dir,
      date: manifest.date,
      databases: [...content.databases].map(([db, keys]) => ({ db, keys })),
      functions: [...content.functions.keys()].sort(),
      expired: content.expired,
      ...done,
      elapsedMs: performance.now() - started,
    };
  });
}

async function requireDatabases(
  context: Context,
  view: ClusterView,
  { databases }: BackupContent,
): Promise<void> {
  const there = (await askClusterDatabases(context.connections, view.seed)) ?? 1;
  const beyond = [...databases.keys()].filter((db) => db >= there);
  if (beyond.length === 0) return;
  throw new ClusterError(
    'DATABASES_DIFFER',
    `Cannot restore databases ${beyond.join(', ')}: the cluster has ${there === 1 ? 'one database' : `${there} databases`}`,
    {
      hint: 'Nothing was changed. Restore to a cluster whose cluster-databases are as many as where the backup is of',
    },
  );
}

async function restoreAll(
  context: Context,
  view: ClusterView,
  manifest: BackupManifest,
  content: BackupContent,
  { dir, replace }: { readonly dir: string; readonly replace: boolean },
): Promise<Pick<RestoreResult, 'keys' | 'same' | 'bytes'>> {
  const masters = reachableMasters(view).map(({ address }) => address);
  await restoreFunctions(context, masters, content.functions, replace);
  const owners = new Owners(context, view.seed);
  await owners.refresh();
  const total = [...content.databases.values()].reduce((sum, keys) => sum + keys, 0);
  const tally = new Tally(context, { type: 'restore-progress', dir }, total);
  await restoreKeys(context, owners, dir, manifest, tally, { replace, strays: false });
  // Where another file has the key too, it is the older one.
  if (content.strays > 0)
    await restoreKeys(context, owners, dir, manifest, tally, { replace: false, strays: true });
  tally.requireNoConflicts();
  const { keys, same, bytes } = tally.done;
  return { keys, same, bytes };
}

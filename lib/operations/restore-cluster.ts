import { lookClaimed } from '../apply/look-claimed.ts';
import type { BackupManifest } from '../copy/backup/manifest.ts';
import { readManifest } from '../copy/backup/read-files.ts';
import { restoreFunctions } from '../copy/backup/restore-functions.ts';
import { restoreKeys } from '../copy/backup/restore-keys.ts';
import { type BackupContent, surveyFiles } from '../copy/backup/survey-files.ts';
import { askRdbVersions } from '../copy/conversion.ts';
import { CopyTally } from '../copy/copy-tally.ts';
import { Owners } from '../copy/owners.ts';
import { untilKept } from '../copy/target-steadiness.ts';
import { ClusterError } from '../errors.ts';
import type { Address } from '../model/address.ts';
import { formatKey } from '../model/bytes.ts';
import type { LeftKeys } from '../model/left-keys.ts';
import { shorten } from '../model/lists.ts';
import type { Next, NextWhen } from '../model/next.ts';
import { type ClusterView, reachableMasters } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { askClusterDatabases } from '../nodes/node-info.ts';
import { requireClosed, requireServing } from '../nodes/requirements.ts';
import { earliestClock } from '../nodes/server-clock.ts';
import type { OperationOptions } from '../options.ts';
import type { StrayAnswer } from '../plan/plan.ts';
import { strayAnswerOf } from '../plan/stray-answer.ts';
import { DEFAULTS } from '../settings.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';

export interface RestoreOptions extends OperationOptions {
  /** The directory of the backup. */
  readonly dir: string;
  /** Overwrite keys and function libraries that exist in the cluster with another value. @default false */
  readonly replace?: boolean;
  /**
   * What happens to keys in the backup that were saved from a master which did not own their slot, other than those equal to the
   * owner's. `keep`: they stay in the backup, and the call rejects with ClusterError `KEY_CONFLICT` or `KEYS_IN_DOUBT`, which names
   * them. `bring`: those that the cluster does not have are written; they may have been deleted before the backup. `drop`: they are
   * left out.
   * @default 'keep'
   */
  readonly strayKeys?: 'keep' | 'bring' | 'drop';
}

/** What was restored or, after a dry run, would be. */
export interface RestoreResult {
  /** False after a dry run. */
  readonly applied: boolean;
  readonly dir: string;
  /** Start of the backup, ISO 8601 in UTC. */
  readonly date: string;
  /** Databases in the backup with their key counts, without expired keys. */
  readonly databases: readonly { readonly db: number; readonly keys: number }[];
  /** Names of the function libraries in the backup. */
  readonly functions: readonly string[];
  /** Number of keys that have expired since the backup. */
  readonly expired: number;
  /** Number of keys that were saved from a master which did not own their slot: see `strayKeys`. */
  readonly strays: number;
  /** Number of keys written. */
  readonly keys: number;
  /** Number of keys that the cluster already had with the same value. */
  readonly same: number;
  /**
   * Number of keys whose value is written in another format than that of the backup, since the cluster does not read it. After a
   * dry run, how many there are.
   */
  readonly converted: number;
  /** After a dry run: the keys that the cluster cannot hold, by reason. */
  readonly left: readonly LeftKeys[];
  /** Bytes written, as DUMP payloads. */
  readonly bytes: number;
  /** Duration in milliseconds. */
  readonly elapsedMs: number;
}

/**
 * Restores the keys of a backup, with their expiry, and its functions to a cluster of any shape. All files are verified
 * before anything is written. Keys already restored are recognised, so the same call continues after an interruption. It
 * writes like any client, so the cluster may be in use at the same time.
 * Before anything is written, rejects with ClusterError `OTHER_OPERATOR`, `FILE_FAILED`, `BACKUP_INVALID`, `SLOTS_UNCOVERED`, `OPEN_SLOT`,
 * `DATABASES_DIFFER`, or, if the functions cannot be loaded, `KEY_CONFLICT` or `TARGET_TOO_OLD`. Values that the cluster does not
 * read as the backup has them are converted, by the encodings of rdb.c. What a master may have lost in the meantime, as one that failed
 * over, is written again; rejects with `NOT_REACHED` if one does not answer at the end, and with `NO_MEMORY` if keys were evicted, unless forced. After all other keys are restored, rejects with
 * `KEY_CONFLICT` if the cluster has keys with other values, which are kept, with `KEYS_LEFT_BEHIND` if it cannot hold some, and with the
 * former or `KEYS_IN_DOUBT` if keys were saved from a master that did not own their slot: see `strayKeys`.
 */
export function restoreCluster(cluster: ClusterLike, options: RestoreOptions): Promise<RestoreResult> {
  return withContext(cluster, options, async (context) => {
    const started = performance.now();
    const { dir, replace = false } = options;
    const strayKeys = strayAnswerOf(options.strayKeys ?? DEFAULTS.restore.strayKeys);
    const manifest = await readManifest(dir);
    const view = await lookClaimed(context, seedOf(cluster));
    requireServing(view, 'restore');
    // Keys of a slot that is moving are written again until its move has ended.
    if (!context.settings.force) requireClosed(view, 'restore');
    const masters = reachableMasters(view).map(({ address }) => address);
    const readers = await askRdbVersions(context, masters);
    const { dryRun } = context.settings;
    // Only a dry run tells how keys would be written: otherwise each value would be converted twice.
    // Ours may be ahead of theirs: what expires is theirs to say.
    const now = await earliestClock(context.connections, masters);
    const content = await surveyFiles(context, dir, manifest, dryRun ? readers : [], now);
    await requireDatabases(context, view, content);
    for (const problem of manifest.problems)
      context.emit({ type: 'warning', message: `The backup in ${dir} may lack keys: ${problem}` });
    const done = dryRun
      ? { keys: 0, same: 0, bytes: 0, ...content.outlook }
      : await restoreAll(context, view, manifest, content, {
          dir,
          replace,
          strayKeys,
          masters,
          readers,
          now,
        });
    return {
      applied: !dryRun,
      dir,
      date: manifest.date,
      databases: [...content.databases].map(([db, keys]) => ({ db, keys })),
      functions: [...content.functions.keys()].sort(),
      expired: content.expired,
      strays: content.strays,
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
      hint: 'Nothing was changed. Restore to a cluster that has as many cluster-databases as the one that was backed up',
    },
  );
}

interface RestoreTo {
  readonly dir: string;
  readonly replace: boolean;
  readonly strayKeys: StrayAnswer | undefined;
  readonly masters: readonly Address[];
  /** RDB versions that the masters read. */
  readonly readers: readonly number[];
  readonly now: () => number;
}

async function restoreAll(
  context: Context,
  view: ClusterView,
  manifest: BackupManifest,
  content: BackupContent,
  { dir, replace, strayKeys, masters, readers, now }: RestoreTo,
): Promise<Pick<RestoreResult, 'keys' | 'same' | 'converted' | 'left' | 'bytes'>> {
  await restoreFunctions(context, masters, content.functions, replace);
  const owners = new Owners(context, view.seed);
  const total = [...content.databases.values()].reduce((sum, keys) => sum + keys, 0);
  const tally = new CopyTally(context, { type: 'restore-progress', dir }, total);
  await untilKept(context, owners, false, (isAgain) =>
    restoreKeys(context, owners, dir, manifest, tally, {
      // What clients have written since then stays: if that is another value, it is named.
      ...{ replace: replace && !isAgain, strays: false, readers, now, isAgain },
    }),
  );
  // The owner's value is right, and so is its silence: it may have deleted a key that only another master had.
  const differing: string[] = [];
  const missing: string[] = [];
  if (content.strays > 0 && strayKeys !== 'drop')
    await restoreKeys(context, owners, dir, manifest, tally, {
      ...{ replace: false, strays: true, readers, now, comparesOnly: strayKeys !== 'bring' },
      onKept: (some, others) => {
        for (const { key } of some) differing.push(key);
        for (const { key } of others) missing.push(key);
      },
    });
  tally.requireAll();
  requireNoStrays(dir, differing, missing);
  const { keys, same, converted, bytes } = tally.done;
  return { keys, same, converted, left: [], bytes };
}

function requireNoStrays(dir: string, differing: readonly string[], missing: readonly string[]): void {
  if (differing.length + missing.length === 0) return;
  const named = (keys: readonly string[]) => shorten(keys.map(formatKey), SHOWN_KEYS, 'key').join(', ');
  const parts = [
    ...(differing.length > 0
      ? [`${differing.length} of which the cluster has another value: ${named(differing)}`]
      : []),
    ...(missing.length > 0 ? [`${missing.length} that the cluster does not have: ${named(missing)}`] : []),
  ];
  const again = (strayKeys: StrayAnswer, when: NextWhen): Next => ({
    do: 'retry',
    options: { strayKeys },
    when,
  });
  throw new ClusterError(
    differing.length > 0 ? 'KEY_CONFLICT' : 'KEYS_IN_DOUBT',
    `The backup in ${dir} holds keys of masters that did not own their slots, ${parts.join('; ')}`,
    {
      keys: [...differing, ...missing],
      hint: `All other keys are restored, and these are not${missing.length > 0 ? '. Their owners may have deleted them before the backup' : ''}`,
      next: [...(missing.length > 0 ? [again('bring', 'keys-wanted')] : []), again('drop', 'keys-unwanted')],
      resumable: 'same-call',
    },
  );
}

const SHOWN_KEYS = 5;

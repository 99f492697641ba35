import { lookClaimed } from '../apply/look-claimed.ts';
import { askRdbVersions } from '../copy/conversion.ts';
import { CopyTally } from '../copy/copy-tally.ts';
import { type CutOver, cutOver } from '../copy/follow/cut-over.ts';
import type { FollowScene } from '../copy/follow/follow-scene.ts';
import { Follower } from '../copy/follow/follower.ts';
import { requirePause } from '../copy/follow/paused-writes.ts';
import { matchDatabases, openSource, requireOther, type Target } from '../copy/import-source.ts';
import { contextBeside, databasesOf, type KeySource, nodesToRead } from '../copy/key-source.ts';
import { surveySource } from '../copy/survey-source.ts';
import { ClusterError, invalidArgument } from '../errors.ts';
import { type AddressLike, formatAddress } from '../model/address.ts';
import type { Next } from '../model/next.ts';
import { reachableMasters } from '../model/view.ts';
import { askClusterDatabases } from '../nodes/node-info.ts';
import { requireClosed, requireServing } from '../nodes/requirements.ts';
import { DEFAULTS } from '../settings.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';
import type { ImportOptions, ImportResult } from './import-keys.ts';

export interface FollowOptions extends Omit<ImportOptions, 'fromCluster' | 'fromReplicas' | 'move'> {
  /**
   * The cluster has keys: those with another value than at the source are overwritten, and those that the source does not have are
   * deleted. @default a cluster that has keys is refused
   */
  readonly replace?: boolean;
  /** Once it has caught up: pause writes on the source, copy the rest, compare and end. @default false */
  readonly cutover?: boolean;
  /** Milliseconds that writes are paused: until everything is copied, and for clients to go over. @default 30000 */
  readonly cutoverTimeout?: number;
}

/** How a cluster that followed another one went over, or, after a dry run, what would be copied. */
export interface FollowResult extends Omit<ImportResult, 'deleted'> {
  /** Number of keys deleted in the cluster, since the source does not have them. */
  readonly deleted: number;
  /** How the writes of the source ended; null after a dry run. */
  readonly cutover: CutOver | null;
}

/**
 * Copies all keys of another cluster, and then every change, until its signal aborts, or with `cutover` until nothing is left to copy.
 * The replication streams of the source's masters tell which keys change; their present values are copied as `importKeys()` does.
 * Nobody else may write to the cluster in the meantime. A second call, with `replace`, continues: it copies what differs.
 * Rejects before anything is written as `importKeys()` does, with ClusterError `KEY_CONFLICT` if the cluster has keys, unless `replace`,
 * and with `METHOD_UNSUPPORTED` if the source cannot pause writes for a cut-over. A cut-over that fails resumes writes; see `cutOver()`.
 */
export function followKeys(
  cluster: ClusterLike,
  source: AddressLike,
  options: FollowOptions = {},
): Promise<FollowResult> {
  const { cutoverTimeout = DEFAULTS.follow.cutoverTimeout, cutover = false } = options;
  return withContext(cluster, options, async (context) => {
    if (!(cutoverTimeout >= 1000 && cutoverTimeout <= MOST_PAUSE_MS))
      throw invalidArgument(
        `Not a number from 1000 to ${MOST_PAUSE_MS} for cutoverTimeout: "${cutoverTimeout}"`,
      );
    const started = performance.now();
    const beside = contextBeside(context, options.source ?? {});
    try {
      const from = await openSource(beside, source, { fromCluster: true });
      if (cutover) await requirePause(from);
      const nodes = await nodesToRead(from, from.view);
      const view = await lookClaimed(context, seedOf(cluster));
      requireServing(view, 'follow');
      if (!context.settings.force) requireClosed(view, 'follow');
      requireOther(from, view);
      const sets = await matchDatabases(context, view, from, nodes, options.databases);
      const target: KeySource = {
        ...{ address: view.seed, name: formatAddress(view.seed), context, view },
        fromReplicas: false,
      };
      const hasKeys = await requireEmpty(target, sets, options.replace === true);
      const masters = reachableMasters(view).map(({ address }) => address);
      const formats = await askRdbVersions(context, masters);
      const found = {
        source: from.name,
        nodes: nodes.map(({ address }) => formatAddress(address)),
        databases: sets,
      };
      if (context.settings.dryRun) {
        const outlook = await surveySource(from, nodes, sets, formats);
        const nothing = { keys: 0, same: 0, deleted: 0, bytes: 0, cutover: null };
        return { applied: false, ...found, ...nothing, ...outlook, elapsedMs: performance.now() - started };
      }
      const total = sets.reduce((sum, { keys }) => sum + keys, 0);
      const tally = new CopyTally(context, { type: 'import-progress', source: from.name }, total);
      const scene: FollowScene = {
        ...{
          source: from,
          target,
          databases: await allDatabases(from, target, sets, options),
          isEveryDatabase: options.databases === undefined,
          formats,
          hasKeys,
          tally,
        },
        isOneDatabase: ((await askClusterDatabases(from.context.connections, from.address)) ?? 1) === 1,
      };
      const follower = new Follower(scene);
      context.account.again = CONTINUE;
      const done = await follower.run((signal) =>
        follow(follower, signal, cutover ? cutoverTimeout : undefined),
      );
      const { copier } = follower;
      return {
        applied: true,
        ...found,
        keys: tally.done.keys + copier.done.keys,
        same: tally.done.same,
        converted: tally.done.converted + copier.done.converted,
        left: [],
        deleted: copier.done.deleted,
        bytes: tally.done.bytes + copier.done.bytes,
        cutover: done,
        elapsedMs: performance.now() - started,
      };
    } finally {
      await beside.connections.close();
    }
  });
}

/** What continues: the cluster has keys by then. */
const CONTINUE: Next = { do: 'retry', options: { replace: true } };

/** Longer than anybody waits for writes. */
const MOST_PAUSE_MS = 3_600_000;

async function follow(
  follower: Follower,
  signal: AbortSignal,
  cutoverTimeout: number | undefined,
): Promise<CutOver> {
  if (cutoverTimeout !== undefined) return cutOver(follower, cutoverTimeout);
  for (;;) {
    signal.throwIfAborted();
    await follower.step();
  }
}

/** True if the cluster has keys. */
async function requireEmpty(target: KeySource, sets: readonly Target[], replace: boolean): Promise<boolean> {
  const places = new Set(sets.map(({ to }) => to));
  const held = await databasesOf(target.context, await nodesToRead(target, target.view));
  const keys = held.reduce((sum, one) => sum + (places.size === 0 || places.has(one.db) ? one.keys : 0), 0);
  if (keys === 0) return false;
  if (replace) return true;
  throw new ClusterError(
    'KEY_CONFLICT',
    `Cannot make the cluster of ${target.name} follow: it has ${keys} keys`,
    {
      address: target.name,
      hint: 'Nothing was changed. If these keys may be overwritten, and deleted if the source does not have them, say so',
      next: [{ do: 'retry', options: { replace: true } }],
    },
  );
}

/** Databases that are empty now may have keys later. Those that the target lacks are left out: they must stay empty. */
async function allDatabases(
  { context, address }: KeySource,
  target: KeySource,
  sets: readonly Target[],
  { databases }: FollowOptions,
): Promise<FollowScene['databases']> {
  if (databases !== undefined) return sets;
  const [here, there] = await Promise.all([
    askClusterDatabases(context.connections, address),
    askClusterDatabases(target.context.connections, target.address),
  ]);
  const known = new Map(sets.map(({ db, to }) => [db, to]));
  const all = Array.from({ length: here ?? 1 }, (_, db) => ({ db, to: known.get(db) ?? db }));
  return all.filter(({ to }) => to < (there ?? 1));
}

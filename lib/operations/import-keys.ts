import { lookClaimed } from '../apply/look-claimed.ts';
import { askRdbVersions, convertKeys } from '../copy/conversion.ts';
import { copyKeys } from '../copy/copy-lot.ts';
import { CopyTally } from '../copy/copy-tally.ts';
import { importFrom, matchDatabases, openSource, requireOther, type Target } from '../copy/import-source.ts';
import { contextBeside, type KeySource, nodesToRead } from '../copy/key-source.ts';
import { Owners } from '../copy/owners.ts';
import { deleteInParts, putBack } from '../copy/parts/leave-source.ts';
import type { Destination } from '../copy/parts/write-in-parts.ts';
import { type Deleted, deleteKeys } from '../copy/read-keys.ts';
import { type KeyLot, scanKeys } from '../copy/scan-keys.ts';
import { surveySource } from '../copy/survey-source.ts';
import { TargetRoom } from '../copy/target-room.ts';
import { untilKept } from '../copy/target-steadiness.ts';
import { type StoredKey, writeKeys } from '../copy/write-keys.ts';
import { type AddressLike, formatAddress } from '../model/address.ts';
import type { LeftKeys } from '../model/left-keys.ts';
import { type ClusterView, reachableMasters } from '../model/view.ts';
import type { Context } from '../nodes/context.ts';
import { requireClosed, requireServing } from '../nodes/requirements.ts';
import type { ConnectionOptions, OperationOptions } from '../options.ts';
import { type ClusterLike, seedOf, withContext } from './cluster.ts';

export interface ImportOptions extends OperationOptions {
  /** How to connect to the source. None of it is sent to the cluster. @default no authentication, no TLS */
  readonly source?: ConnectionOptions;
  /** The source is a node of another cluster: import the keys of all its masters. @default false */
  readonly fromCluster?: boolean;
  /** Read a replica of each master of that cluster, once it has what its master has. Not with `move`. @default false */
  readonly fromReplicas?: boolean;
  /** Databases of the source to import. @default all that have keys */
  readonly databases?: readonly number[];
  /** Delete each key at the source once the cluster has it. A key written since it was read is kept. @default false */
  readonly move?: boolean;
  /** Overwrite keys that exist in the cluster with another value. @default false */
  readonly replace?: boolean;
}

/** What was imported or, after a dry run, would be. */
export interface ImportResult {
  /** False after a dry run. */
  readonly applied: boolean;
  /** Address of the source. */
  readonly source: string;
  /** Addresses of the nodes that its keys are read from: the server itself, or nodes of its cluster. */
  readonly nodes: readonly string[];
  /** Databases of the source with their key counts at the start, and the database of the cluster that each goes to. */
  readonly databases: readonly { readonly db: number; readonly keys: number; readonly to: number }[];
  /** Number of keys written. */
  readonly keys: number;
  /** Number of keys that the cluster already had with the same value. */
  readonly same: number;
  /**
   * Number of keys whose value is written in another format than the source's, since the cluster does not read that. After a dry
   * run, how many there are.
   */
  readonly converted: number;
  /** After a dry run: the keys that the cluster cannot hold, by reason. */
  readonly left: readonly LeftKeys[];
  /** Number of keys deleted at the source. */
  readonly deleted: number;
  /** Bytes written, as DUMP payloads. */
  readonly bytes: number;
  /** Duration in milliseconds. */
  readonly elapsedMs: number;
}

/**
 * Copies all keys of a standalone server, or of another cluster, to a cluster, with their expiry. Values go through this process, so
 * source and cluster need not reach each other. Keys already imported are recognised, so the same call continues after an
 * interruption. It writes like any client, so the cluster may be in use at the same time. Slots of a source cluster may move, and its
 * masters fail over: what changed is read again.
 * Before anything is written, rejects with ClusterError `OTHER_OPERATOR`, `NOT_STANDALONE`, `NOT_CLUSTER_ENABLED`, `SAME_CLUSTER`,
 * `NOT_A_MASTER`, `NO_REPLICA`, `SLOTS_UNCOVERED`, `OPEN_SLOT` (of the target, unless `force`) or `DATABASES_DIFFER`; if the slots of the
 * source never stay where they are, with `NOT_REACHED`. Values that the cluster does not read as the source writes them are converted,
 * by the encodings of rdb.c.
 * What a master of the cluster may have lost, as one that failed over or was restarted, is written again; rejects with `NOT_REACHED` if one
 * does not answer at the end, with `KEYS_IN_DOUBT` if keys that may be lost are deleted at the source (`move`), and with `NO_MEMORY` if keys
 * were evicted or, with `move`, before any would be, unless forced.
 * After all other keys are imported, rejects with `KEY_CONFLICT` if the cluster has keys with other values, which are kept, and
 * with `KEYS_LEFT_BEHIND` if it cannot hold some.
 */
export function importKeys(
  cluster: ClusterLike,
  source: AddressLike,
  options: ImportOptions = {},
): Promise<ImportResult> {
  return withContext(cluster, options, async (context) => {
    const started = performance.now();
    const beside = contextBeside(context, options.source ?? {});
    try {
      const from = await openSource(beside, source, options);
      const nodes = await nodesToRead(from, from.view);
      const view = await lookClaimed(context, seedOf(cluster));
      requireServing(view, 'import');
      // Keys of a slot that is moving are written again until its move has ended.
      if (!context.settings.force) requireClosed(view, 'import');
      requireOther(from, view);
      const sets = await matchDatabases(context, view, from, nodes, options.databases);
      const found = {
        source: from.name,
        nodes: nodes.map(({ address }) => formatAddress(address)),
        databases: sets,
      };
      const formats = await askRdbVersions(
        context,
        reachableMasters(view).map(({ address }) => address),
      );
      if (context.settings.dryRun) {
        const outlook = await surveySource(from, nodes, sets, formats);
        const nothing = { keys: 0, same: 0, deleted: 0, bytes: 0 };
        return { applied: false, ...found, ...nothing, ...outlook, elapsedMs: performance.now() - started };
      }
      const done = await copyAll(context, view, from, sets, formats, options);
      return { applied: true, ...found, ...done, left: [], elapsedMs: performance.now() - started };
    } finally {
      await beside.connections.close();
    }
  });
}

async function copyAll(
  context: Context,
  view: ClusterView,
  from: KeySource,
  sets: readonly Target[],
  formats: readonly number[],
  options: ImportOptions,
): Promise<Pick<ImportResult, 'keys' | 'same' | 'converted' | 'deleted' | 'bytes'>> {
  const owners = new Owners(context, view.seed);
  const total = sets.reduce((sum, { keys }) => sum + keys, 0);
  const tally = new CopyTally(context, { type: 'import-progress', source: from.name }, total);
  const targets = new Map(sets.map(({ db, to }) => [db, to]));
  const { replace = false, move = false } = options;
  const common = { context, owners, replace, readers: formats, unfinished: new Set<string>() };
  const room = move && !context.settings.force ? new TargetRoom(context, owners) : undefined;
  await untilKept(context, owners, move, (isAgain) =>
    scanKeys(from, {
      what: importFrom(from.name),
      databases: [...targets.keys()],
      listing: { isBySlot: move && from.view !== undefined },
      visit: (lot) => {
        const to = { ...common, db: targets.get(lot.db) ?? 0 };
        const copy = () => copyLot({ ...lot, isAgain: isAgain || lot.isAgain }, to, move, tally);
        return room ? room.during(lot, copy) : copy();
      },
    }),
  );
  tally.requireAll();
  return tally.done;
}

async function copyLot(listed: KeyLot, to: Destination, move: boolean, tally: CopyTally): Promise<void> {
  if (!move) return copyNamed(listed, to, move, tally);
  const { keys, back, stuck } = await putBack(listed, to);
  tally.leave(stuck, [], listed.isAgain);
  await copyNamed({ ...listed, keys }, to, move, tally);
  // The cluster had the same before. What is newer there may be what a client has written under its name since, and this run has moved.
  await copyNamed({ ...listed, keys: back }, { ...to, replace: false }, move, tally);
}

async function copyNamed(lot: KeyLot, to: Destination, move: boolean, tally: CopyTally): Promise<void> {
  const { onElsewhere, isAgain } = lot;
  if (lot.keys.length === 0) return;
  const written = await copyKeys(lot, lot, to, { isWatched: move, onElsewhere });
  const copied = [...written.restored, ...written.same];
  const { deleted, changed, newer }: Deleted = move
    ? await deleteCopied(lot, copied, to)
    : { deleted: 0, changed: [], newer: [] };
  const { keys, left } = convertKeys(newer, to.readers);
  const { unread } = await writeKeys(to.context, to.owners, keys, { db: to.db, replace: true });
  // What is read again was counted before.
  tally.add(written.restored, isAgain ? 0 : written.same.length, deleted);
  tally.differ(written.conflicts, changed, isAgain);
  tally.leave([...written.left, ...left], [...written.unread, ...unread], isAgain);
}

async function deleteCopied(lot: KeyLot, copied: readonly StoredKey[], to: Destination): Promise<Deleted> {
  const { reader, onElsewhere } = lot;
  const [inParts] = copied.filter(({ bytes }) => bytes !== undefined);
  if (!inParts) return deleteKeys(reader, copied, onElsewhere);
  const end = await deleteInParts(lot, inParts.key, to);
  if (end !== undefined)
    return { deleted: end === 'deleted' ? 1 : 0, changed: end === 'changed' ? [inParts] : [], newer: [] };
  // Whole, it is found to be the same, unless it was written since.
  const again = await copyKeys(lot, { ...lot, isBig: false }, to, { isWatched: true, onElsewhere });
  const done = await deleteKeys(reader, again.same, onElsewhere);
  return { ...done, changed: [...done.changed, ...again.conflicts] };
}

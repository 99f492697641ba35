import { type Command, type Connection, connect, type Reply, ReplyError } from '../../resp/index.ts';
import { CLIENT_NAME } from '../apply/connections.ts';
import { type Context, nodeError } from '../apply/context.ts';
import { Owners } from '../apply/copy/owners.ts';
import { deleteKeys, listKeys, readKeys } from '../apply/copy/read-keys.ts';
import { Tally } from '../apply/copy/tally.ts';
import { type WriteOptions, writeKeys } from '../apply/copy/write-keys.ts';
import { contentOf } from '../apply/key-content.ts';
import {
  askClusterDatabases,
  askDatabase,
  databases,
  type NodeInfo,
  numberOf,
  parseInfo,
} from '../apply/node-info.ts';
import { lookSettled, requireClosed, requireServing } from '../apply/settle.ts';
import { ClusterError } from '../errors.ts';
import { type Address, type AddressLike, formatAddress, mapAddress, parseAddress } from '../model/address.ts';
import type { ClusterView } from '../model/view.ts';
import type { ConnectionOptions, OperationOptions } from '../options.ts';
import { type ClusterLike, seedOf, withContext } from './run.ts';

export interface ImportOptions extends OperationOptions {
  /** How to reach the source; nothing of it is sent to the cluster. @default no authentication, no TLS */
  readonly source?: ConnectionOptions;
  /** Databases of the source to import. @default all that hold keys */
  readonly databases?: readonly number[];
  /** Delete each key on the source once the cluster has it. One that is written meanwhile is kept. @default false */
  readonly move?: boolean;
  /** Overwrite keys that the cluster has with another value. @default false */
  readonly replace?: boolean;
}

/** What was imported, or, after a dry run, would be. */
export interface ImportResult {
  /** False after a dry run. */
  readonly applied: boolean;
  /** Address of the source. */
  readonly source: string;
  /** Databases of the source, with their keys when they were counted, and the database of the cluster they go to. */
  readonly databases: readonly { readonly db: number; readonly keys: number; readonly to: number }[];
  /** Keys that were written. */
  readonly keys: number;
  /** Keys that the cluster had already with the same value. */
  readonly same: number;
  /** Keys that were deleted on the source. */
  readonly deleted: number;
  /** Bytes of the keys that were written, in the form of DUMP. */
  readonly bytes: number;
  /** Milliseconds for all of it. */
  readonly elapsedMs: number;
}

/** Connections to the source that read side by side. */
const READERS = 4;

/**
 * Copies all keys of a standalone server into a cluster, with their times to live. Values go through this process, so neither has
 * to reach the other. What was imported already is found to be the same, so the same call goes on after an interruption.
 * It writes as any client does, so others may work on the cluster meanwhile.
 * Rejects with ClusterError `KEY_CONFLICT` where the cluster has keys with other values, which are kept, after all others are
 * imported; and before anything is written with `NOT_STANDALONE`, `NOT_A_MASTER`, `SLOTS_UNCOVERED`, `OPEN_SLOT` or `DATABASES_DIFFER`.
 */
export function importKeys(
  cluster: ClusterLike,
  source: AddressLike,
  options: ImportOptions = {},
): Promise<ImportResult> {
  return withContext(cluster, options, async (context) => {
    const started = performance.now();
    const from = parseAddress(source);
    const readers: Connection[] = [];
    try {
      readers.push(await connectTo(from, options));
      const info = await askSource(readers[0] as Connection);
      requireStandalone(from, info, options);
      const view = await lookSettled(context, seedOf(cluster));
      requireServing(view, 'import');
      requireClosed(view, 'import');
      const sets = await match(context, view, from, info, options);
      const nothing = { keys: 0, same: 0, deleted: 0, bytes: 0 };
      const found = { source: formatAddress(from), databases: sets };
      if (options.dryRun)
        return { applied: false, ...found, ...nothing, elapsedMs: performance.now() - started };
      for (let more = 1; more < READERS; more++) readers.push(await connectTo(from, options));
      const done = await copyAll(context, view, from, readers, sets, options);
      return { applied: true, ...found, ...done, elapsedMs: performance.now() - started };
    } finally {
      await Promise.allSettled(readers.map((reader) => reader.close()));
    }
  });
}

type Sets = ImportResult['databases'];

function connectTo(announced: Address, { source = {}, signal }: ImportOptions): Promise<Connection> {
  const { host, port } = mapAddress(source.addressMap, announced);
  const { addressMap: _, ...rest } = source;
  return connect({ ...rest, host, port, clientName: CLIENT_NAME, encoding: 'latin1', signal });
}

async function askSource(reader: Connection): Promise<NodeInfo> {
  const replies = await reader.pipeline([
    ['INFO', 'cluster'],
    ['INFO', 'keyspace'],
    ['INFO', 'replication'],
  ]);
  for (const reply of replies) if (reply instanceof ReplyError) throw reply;
  return parseInfo(replies.map(String).join('\r\n'));
}

function requireStandalone(from: Address, info: NodeInfo, { move }: ImportOptions): void {
  const name = formatAddress(from);
  if (numberOf(info, 'cluster_enabled') === 1) {
    throw nodeError('NOT_STANDALONE', name, `Cannot import from ${name}: it is a node of a cluster`, {
      hint: 'Name a server that is not cluster enabled. Slots move between masters of one cluster with: redis-trib migrate_slots',
    });
  }
  if (move && info.get('role') === 'slave') {
    throw nodeError('NOT_A_MASTER', name, `Cannot move keys from ${name}: it is a replica`, {
      hint: 'Name its master, or leave the keys where they are',
    });
  }
}

/** Which database of the source goes to which of the cluster. */
async function match(
  { connections }: Context,
  view: ClusterView,
  from: Address,
  info: NodeInfo,
  { databases: wanted }: ImportOptions,
): Promise<Sets> {
  const held = databases(info);
  const chosen = wanted
    ? [...new Set(wanted)].map((db) => held.find((one) => one.db === db) ?? { db, keys: 0 })
    : held;
  const there = (await askClusterDatabases(connections, view.seed)) ?? 1;
  if (chosen.every(({ db }) => db < there)) return chosen.map((one) => ({ ...one, to: one.db }));
  const [only, ...more] = chosen;
  if (only && more.length === 0) return [{ ...only, to: 0 }];
  const list = chosen.map(({ db }) => db).join(', ');
  throw new ClusterError(
    'DATABASES_DIFFER',
    `Cannot import databases ${list} of ${formatAddress(from)}: the cluster has ${there === 1 ? 'one database' : `${there} databases`}`,
    { hint: 'Nothing was changed. Import them one by one, each goes to database 0: --db N' },
  );
}

async function copyAll(
  context: Context,
  view: ClusterView,
  from: Address,
  readers: readonly Connection[],
  sets: Sets,
  options: ImportOptions,
): Promise<Pick<ImportResult, 'keys' | 'same' | 'deleted' | 'bytes'>> {
  const owners = new Owners(context, view.seed);
  await owners.refresh();
  const total = sets.reduce((sum, { keys }) => sum + keys, 0);
  const tally = new Tally(context, { type: 'import-progress', source: formatAddress(from) }, total);
  const [lister, ...others] = readers as [Connection, ...Connection[]];
  for (const { db, to } of sets) {
    for (const reader of others) await reader.command(['SELECT', db]);
    const ahead = listKeys(lister, db);
    let isOver = false;
    // One list, from which each takes the next lot when it has copied the last. Where one fails the others end what they are at.
    const ends = await Promise.allSettled(
      others.map(async (reader) => {
        try {
          while (!isOver) {
            context.signal?.throwIfAborted();
            const { value: lot, done } = await ahead.next();
            if (done) return;
            await copyLot(context, owners, reader, lot, to, options, tally);
          }
        } finally {
          isOver = true;
        }
      }),
    );
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed) throw failed.reason;
  }
  tally.requireNoConflicts();
  return tally.done;
}

async function copyLot(
  context: Context,
  owners: Owners,
  reader: Connection,
  lot: readonly string[],
  to: number,
  { move = false, replace = false }: ImportOptions,
  tally: Tally,
): Promise<void> {
  const keys = await readKeys(reader, lot, move);
  const how: WriteOptions = {
    db: to,
    replace,
    contentOf: ({ key }) => contentOf((command) => askOne(reader, command), key),
    contentAt: (address, key) =>
      contentOf(async (command) => {
        const [reply = null] = await askDatabase(context.connections, address, to, [command]);
        return reply;
      }, key),
  };
  const written = await writeKeys(context, owners, keys, how);
  const copied = [...written.restored, ...written.same];
  const changed = move ? await deleteKeys(reader, copied) : [];
  tally.add(written.restored, written.same.length, move ? copied.length - changed.length : 0);
  tally.differ(written.conflicts, changed);
}

async function askOne(reader: Connection, command: Command): Promise<Reply> {
  const [reply = null] = await reader.pipeline([command]);
  return reply;
}

import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, ConnectionError, type Reply, ReplyError } from '../../../resp/index.ts';
import { messageOf } from '../../errors.ts';
import { type Address, formatAddress } from '../../model/address.ts';
import { sameValue } from '../../model/dump.ts';
import { type Context, nodeError } from '../context.ts';
import { MOST_COMPARED_BYTES, sameTtl } from '../key-content.ts';
import { fromDatabase, inDatabase } from '../node-info.ts';
import type { Owners } from './owners.ts';

/** A key with its value in the form of DUMP; both as bytes in latin1. */
export interface StoredKey {
  readonly key: string;
  readonly dump: string;
  /** PTTL when it was read; -1 for a key that does not expire. */
  readonly ttlMs: number;
  /** `performance.now()` at that time. */
  readonly readAt: number;
  /** When it expires, in milliseconds since 1970, where that is known: then it is this that is written. */
  readonly expiresAt?: number;
}

/** What became of keys that were written to a cluster. */
export interface Written {
  readonly restored: readonly StoredKey[];
  /** Were there already, with this very value. */
  readonly same: readonly StoredKey[];
  /** Were there with another value, which was kept. */
  readonly conflicts: readonly StoredKey[];
}

export interface WriteOptions {
  /** Database of the cluster; more than 0 only on Valkey with `cluster-databases`. */
  readonly db: number;
  /** Overwrite keys that are there with another value. */
  readonly replace: boolean;
  /** What clients see of the key where it comes from, if that can be asked: for values whose DUMP differs. */
  readonly contentOf: (stored: StoredKey, owner: Address) => Promise<string | undefined>;
  /** The same of a key on a node of the cluster. */
  readonly contentAt: (address: Address, key: string) => Promise<string | undefined>;
}

const PATIENCE_MS = 30_000;
const PAUSE_MS = 100;
/** Beside lane 0, so that looking at the cluster does not wait for large values. */
const LANE = 1;
/** The slot is on its way to another master, or its master to another node: the same command will do in a moment. */
const PASSING = new Set([
  'MOVED',
  'ASK',
  'TRYAGAIN',
  'CLUSTERDOWN',
  'LOADING',
  'MASTERDOWN',
  'BUSY',
  'READONLY',
]);

/**
 * Writes keys to the masters that own their slots, one pipeline for each master. What fails for a while, such as a key whose slot
 * moves, is tried again for half a minute. A key that is there is compared, and kept unless it is to be replaced.
 * Rejects with ClusterError `NO_MEMORY`, `TARGET_TOO_OLD` or `RESTORE_FAILED`, some keys being written then.
 */
export async function writeKeys(
  context: Context,
  owners: Owners,
  keys: readonly StoredKey[],
  options: WriteOptions,
): Promise<Written> {
  const written = { restored: [] as StoredKey[], same: [] as StoredKey[], conflicts: [] as StoredKey[] };
  const deadline = performance.now() + PATIENCE_MS;
  for (let left = keys; left.length > 0; ) {
    context.signal?.throwIfAborted();
    const tries = await Promise.all(
      [...groupByOwner(owners, left)].map(([owner, some]) => writeTo(context, owner, some, options)),
    );
    for (const { restored, same, conflicts } of tries) {
      written.restored.push(...restored);
      written.same.push(...same);
      written.conflicts.push(...conflicts);
    }
    left = tries.flatMap(({ again }) => again);
    const reason = tries.find(({ again }) => again.length > 0)?.reason;
    if (left.length === 0) break;
    if (performance.now() >= deadline) throw gaveUp(owners.ownerOf(left[0]?.key ?? ''), reason);
    await sleep(PAUSE_MS);
    // A node that is gone may be the one that is asked.
    await owners.refresh().catch(() => undefined);
  }
  return written;
}

interface Try extends Written {
  readonly again: readonly StoredKey[];
  readonly reason?: unknown;
}

function groupByOwner(owners: Owners, keys: readonly StoredKey[]): Map<Address | undefined, StoredKey[]> {
  const groups = new Map<Address | undefined, StoredKey[]>();
  for (const key of keys) {
    const owner = owners.ownerOf(key.key);
    const group = groups.get(owner);
    if (group) group.push(key);
    else groups.set(owner, [key]);
  }
  return groups;
}

async function writeTo(
  context: Context,
  owner: Address | undefined,
  keys: readonly StoredKey[],
  options: WriteOptions,
): Promise<Try> {
  const nothing = { restored: [], same: [], conflicts: [] };
  if (!owner) return { ...nothing, again: keys, reason: new Error('nobody owns its slot') };
  try {
    const replies = await askIn(
      context,
      owner,
      options.db,
      keys.map((key) => restoreCommand(key, options)),
    );
    const restored: StoredKey[] = [];
    const busy: StoredKey[] = [];
    const again: StoredKey[] = [];
    let reason: unknown;
    for (const [index, key] of keys.entries()) {
      const reply = replies[index];
      if (!(reply instanceof ReplyError)) restored.push(key);
      else if (reply.code === 'BUSYKEY') busy.push(key);
      else if (PASSING.has(reply.code)) {
        again.push(key);
        reason = reply;
      } else throw refused(owner, key.key, reply);
    }
    return { restored, ...(await compare(context, owner, busy, options)), again, reason };
  } catch (error) {
    // Whether it was written is not known: a key that was is found to be the same.
    if (error instanceof ConnectionError) return { ...nothing, again: keys, reason: error };
    throw error;
  }
}

function restoreCommand(
  { key, dump, ttlMs, readAt, expiresAt }: StoredKey,
  { replace }: WriteOptions,
): Command {
  const how = replace ? ['REPLACE'] : [];
  if (expiresAt !== undefined) return ['RESTORE', key, expiresAt, dump, 'ABSTTL', ...how];
  // What expires meanwhile expires there at once: 0 would be for ever.
  const ttl = ttlMs < 0 ? 0 : Math.max(1, Math.round(ttlMs - (performance.now() - readAt)));
  return ['RESTORE', key, ttl, dump, ...how];
}

async function compare(
  context: Context,
  owner: Address,
  keys: readonly StoredKey[],
  { db, contentOf, contentAt }: WriteOptions,
): Promise<Pick<Written, 'same' | 'conflicts'>> {
  const same: StoredKey[] = [];
  const conflicts: StoredKey[] = [];
  if (keys.length === 0) return { same, conflicts };
  const commands = keys.flatMap(({ key }): Command[] => [
    ['DUMP', key],
    ['PTTL', key],
  ]);
  // A time to live runs by the clock of the owner.
  const clock: Command[] = keys.some(({ expiresAt }) => expiresAt !== undefined) ? [['TIME']] : [];
  const replies = await askIn(context, owner, db, [...commands, ...clock]);
  const now = timeOf(replies[commands.length]);
  for (const [index, stored] of keys.entries()) {
    const [dump = null, ttl = null] = [replies[2 * index], replies[2 * index + 1]];
    const left =
      stored.expiresAt !== undefined
        ? stored.expiresAt - now
        : stored.ttlMs < 0
          ? -1
          : stored.ttlMs - (performance.now() - stored.readAt);
    const isSame =
      typeof dump === 'string' &&
      sameTtl(ttl, left) &&
      (sameValue(dump, stored.dump) || (await isSameToClients(stored, dump)));
    (isSame ? same : conflicts).push(stored);
  }
  return { same, conflicts };

  async function isSameToClients(stored: StoredKey, theirs: string): Promise<boolean> {
    if (Math.max(stored.dump.length, theirs.length) > MOST_COMPARED_BYTES) return false;
    const [one, other] = await Promise.all([contentOf(stored, owner), contentAt(owner, stored.key)]);
    return one !== undefined && one === other;
  }
}

function timeOf(reply: Reply | undefined): number {
  if (!Array.isArray(reply)) return Date.now();
  return 1000 * Number(reply[0]) + Number(reply[1]) / 1000;
}

async function askIn(
  { connections }: Context,
  address: Address,
  db: number,
  commands: readonly Command[],
): Promise<Reply[]> {
  return fromDatabase(db, await connections.askAll(address, inDatabase(db, commands), { lane: LANE }));
}

function refused(owner: Address, key: string, reply: ReplyError): Error {
  const name = formatAddress(owner);
  const again = 'Keys that were written are kept; run the same command again when that is mended';
  if (reply.code === 'OOM') {
    return nodeError('NO_MEMORY', name, `Cannot write to ${name}: ${reply.message}`, {
      hint: `Give it more memory, or move slots away from it with: redis-trib rebalance. ${again}`,
      resumable: true,
    });
  }
  if (/payload version|Bad data format/i.test(reply.message)) {
    return nodeError(
      'TARGET_TOO_OLD',
      name,
      `Cannot write to ${name}: it cannot read the form in which keys come`,
      {
        hint: 'Keys go to servers of the same version or a newer one, and not from Redis 7.4 or newer to Valkey',
        cause: reply,
      },
    );
  }
  return nodeError('RESTORE_FAILED', name, `Cannot write to ${name}: ${reply.message}`, {
    hint: again,
    resumable: true,
    keys: [key],
    cause: reply,
  });
}

function gaveUp(owner: Address | undefined, reason: unknown): Error {
  const name = owner ? formatAddress(owner) : 'the cluster';
  return nodeError(
    'RESTORE_FAILED',
    name,
    `Cannot write to ${name} for ${PATIENCE_MS / 1000} s: ${messageOf(reason)}`,
    {
      hint: 'See what is wrong with: redis-trib check. Then run the same command again: what was written is found',
      resumable: true,
      cause: reason,
    },
  );
}

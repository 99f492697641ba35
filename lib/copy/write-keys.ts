import { type Command, ConnectionError, type Reply, ReplyError } from '../../resp/index.ts';
import { messageOf } from '../errors.ts';
import { type Address, formatAddress } from '../model/address.ts';
import type { Next } from '../model/next.ts';
import { type Context, nodeError } from '../nodes/context.ts';
import { sameTtl } from '../nodes/key-content.ts';
import { fromDatabase, inDatabase } from '../nodes/node-info.ts';
import { ANY_LIFE, type LifeQuestion } from '../nodes/server-clock.ts';
import { DONE, type Wait, waitUntil } from '../nodes/wait-until.ts';
import { sameValue } from '../rdb/dump.ts';
import type { Owners } from './owners.ts';

/** A key and its value as a DUMP payload, both as latin1. */
export interface StoredKey {
  readonly key: string;
  readonly dump: string;
  /** What was left of its life when it was read; undefined for a key that does not expire. */
  readonly ttlMs: number | undefined;
  /** `performance.now()` when it was read. */
  readonly readAt: number;
  /** Expiry in milliseconds since 1970, of a key from a file: only the clocks say how long ago that was written. It takes precedence over `ttlMs`. */
  readonly expiresAt?: number;
  /** The value in a format that the target reads, if `dump` is not. */
  readonly converted?: string;
  /** Bytes that were written, if it was copied in parts: `dump` is empty then. */
  readonly bytes?: number;
  /** There is no such key: it is deleted, and counts as restored. */
  readonly isGone?: true;
}

/** Bytes that are written of a key. */
export function bytesOf({ dump, converted = dump, bytes = converted.length }: StoredKey): number {
  return bytes;
}

/** The result of writing keys to a cluster. */
export interface Written {
  readonly restored: readonly StoredKey[];
  /** Keys that existed with the same value. */
  readonly same: readonly StoredKey[];
  /** Keys that existed with another value, which was kept. */
  readonly conflicts: readonly StoredKey[];
  /** Keys that do not exist, and were only looked for. */
  readonly missing: readonly StoredKey[];
  /** Keys whose value the owner cannot read, such as that of a module that it lacks. */
  readonly unread: readonly StoredKey[];
}

export interface WriteOptions {
  /** Database of the cluster; more than 0 only on Valkey with `cluster-databases`. */
  readonly db: number;
  /** Overwrite keys that exist with another value. */
  readonly replace: boolean;
  /** Write nothing, and tell which keys exist. @default false */
  readonly comparesOnly?: boolean;
}

const PATIENCE_MS = 30_000;
/** For how long passing failures are tried again. */
export const TARGET_WAIT: Required<Pick<Wait, 'what' | 'timeoutMs' | 'pauseMs'>> = {
  what: 'keys to be taken',
  timeoutMs: PATIENCE_MS,
  pauseMs: 100,
};
/** A lane of its own, so that looking at the cluster on lane 0 does not wait for large values. */
const LANE = 1;
/** Errors that pass while a slot moves or a master fails over: try again. */
export const PASSING: ReadonlySet<string> = new Set([
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
 * Writes keys to the masters that own their slots, with one pipeline per master. Passing failures, such as a slot that is
 * moving, are retried for 30 seconds. A key that exists is compared, and kept unless `replace` is set.
 * Rejects with ClusterError `NO_MEMORY`, `TARGET_TOO_OLD` or `RESTORE_FAILED`; some keys may have been written by then.
 */
export async function writeKeys(
  context: Context,
  owners: Owners,
  keys: readonly StoredKey[],
  options: WriteOptions,
): Promise<Written> {
  const written = nothing();
  let left = keys;
  await waitUntil({ ...TARGET_WAIT, signal: context.signal }, async () => {
    // The node to ask may itself be gone.
    if (left !== keys) await owners.refresh().catch(() => undefined);
    const tries = await Promise.all(
      [...groupByOwner(owners, left)].map(([owner, some]) => writeTo(context, owners, owner, some, options)),
    );
    for (const one of tries) {
      written.restored.push(...one.restored);
      written.same.push(...one.same);
      written.conflicts.push(...one.conflicts);
      written.missing.push(...one.missing);
      written.unread.push(...one.unread);
    }
    left = tries.flatMap(({ again }) => again);
    const reason = tries.find(({ again }) => again.length > 0)?.reason;
    const [first] = left;
    if (!first) return DONE;
    return { missing: [messageOf(reason)], giveUp: () => gaveUp(owners.ownerOf(first.key), reason) };
  });
  return written;
}

/** A result without a key. */
export function nothing(): { readonly [result in keyof Written]: StoredKey[] } {
  return { restored: [], same: [], conflicts: [], missing: [], unread: [] };
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

export function noOwner(): Error {
  return new Error('no node owns its slot');
}

async function writeTo(
  context: Context,
  owners: Owners,
  owner: Address | undefined,
  keys: readonly StoredKey[],
  options: WriteOptions,
): Promise<Try> {
  if (!owner) return { ...nothing(), again: keys, reason: noOwner() };
  try {
    const expires = keys.some(({ ttlMs }) => ttlMs !== undefined);
    const life = expires ? await owners.clockOf(owner).question() : ANY_LIFE;
    const replies = await askIn(
      context,
      owner,
      options.db,
      keys.map((key) => (options.comparesOnly ? ['EXISTS', key.key] : restoreCommand(key, options, life))),
    );
    const restored: StoredKey[] = [];
    const missing: StoredKey[] = [];
    const unread: StoredKey[] = [];
    const busy: StoredKey[] = [];
    const again: StoredKey[] = [];
    let reason: unknown;
    for (const [index, key] of keys.entries()) {
      const reply = replies[index];
      if (options.comparesOnly && typeof reply === 'number') (reply === 0 ? missing : busy).push(key);
      else if (!(reply instanceof ReplyError)) restored.push(key);
      else if (reply.code === 'BUSYKEY') busy.push(key);
      else if (PASSING.has(reply.code)) {
        again.push(key);
        reason = reply;
      } else if (/Bad data format/i.test(reply.message)) unread.push(key);
      else throw refused(owner, key.key, reply);
    }
    const { gone, ...compared } = await compare(context, owner, busy, options, life);
    if (options.comparesOnly) missing.push(...gone);
    else again.push(...gone);
    if (gone.length > 0) reason ??= new Error('keys that it had are gone');
    return { restored, missing, unread, ...compared, again, reason };
  } catch (error) {
    // The outcome is unknown. If a key was written, the retry finds it to be the same.
    if (error instanceof ConnectionError) return { ...nothing(), again: keys, reason: error };
    throw error;
  }
}

function restoreCommand(
  { key, dump, converted = dump, ttlMs, readAt, expiresAt, isGone }: StoredKey,
  { replace }: WriteOptions,
  { offsetMs }: LifeQuestion,
): Command {
  if (isGone) return ['UNLINK', key];
  const how = replace ? ['REPLACE'] : [];
  const endsAt =
    expiresAt ??
    (ttlMs === undefined || offsetMs === undefined ? undefined : Math.round(offsetMs + readAt + ttlMs));
  if (endsAt !== undefined) return ['RESTORE', key, endsAt, converted, 'ABSTTL', ...how];
  // A key that has expired since must expire at once: a TTL of 0 would mean that it never does.
  const ttl = ttlMs === undefined ? 0 : Math.max(1, Math.round(ttlMs - (performance.now() - readAt)));
  return ['RESTORE', key, ttl, converted, ...how];
}

async function compare(
  context: Context,
  owner: Address,
  keys: readonly StoredKey[],
  { db }: WriteOptions,
  life: LifeQuestion,
): Promise<Pick<Written, 'same' | 'conflicts'> & { readonly gone: StoredKey[] }> {
  const same: StoredKey[] = [];
  const conflicts: StoredKey[] = [];
  /** Expired, evicted or deleted since they were found. */
  const gone: StoredKey[] = [];
  if (keys.length === 0) return { same, conflicts, gone };
  const commands = keys.map(({ key }): Command[] => [['DUMP', key], ...life.commands(key)]);
  const replies = await askIn(context, owner, db, commands.flat());
  const readAt = performance.now();
  // An absolute expiry is compared by the owner's clock.
  const now = life.offsetMs === undefined ? Date.now() : life.offsetMs + readAt;
  for (const [index, stored] of keys.entries()) {
    const width = commands[index]?.length ?? 0;
    const [dump = null, ...when] = replies.slice(width * index, width * (index + 1));
    const isSame =
      typeof dump === 'string' &&
      !(when.at(-1) instanceof ReplyError) &&
      sameTtl(life.left(when, readAt), timeLeft(stored, now, readAt)) &&
      sameValue(dump, stored.dump, now);
    (dump === null ? gone : isSame ? same : conflicts).push(stored);
  }
  return { same, conflicts, gone };
}

function timeLeft({ ttlMs, readAt, expiresAt }: StoredKey, now: number, at: number): number | undefined {
  if (expiresAt !== undefined) return expiresAt - now;
  return ttlMs === undefined ? undefined : ttlMs - (at - readAt);
}

async function askIn(
  { connections }: Context,
  address: Address,
  db: number,
  commands: readonly Command[],
): Promise<Reply[]> {
  const ask = async (some: readonly Command[]): Promise<Reply[]> =>
    fromDatabase(db, await connections.askAll(address, inDatabase(db, some), { lane: LANE }));
  // A node that refuses the database would run what is sent with SELECT in database 0.
  if (db > 0) await ask([]);
  return ask(commands);
}

/** Keys that were written are found to be the same. */
const AGAIN: Next = { do: 'retry', when: 'repaired' };

/** Why a key was not written, from the error that its owner answers. */
export function refused(owner: Address, key: string, reply: ReplyError): Error {
  const name = formatAddress(owner);
  const hint = 'Keys that were written are kept';
  if (reply.code === 'OOM') {
    return nodeError('NO_MEMORY', name, `Cannot write to ${name}: ${reply.message}`, {
      hint: `${hint}. Give it more memory`,
      // Above maxmemory it refuses transactions, too, and with them to give slots away by MIGRATE.
      next: [{ do: 'configure', node: name, settings: ['maxmemory'] }, AGAIN],
      resumable: 'same-call',
    });
  }
  if (/payload version/i.test(reply.message)) {
    return nodeError(
      'TARGET_TOO_OLD',
      name,
      `Cannot write to ${name}: it cannot read the format of the keys`,
      {
        hint: 'Nothing that it has was changed. Upgrade it, or give its user the right to run FUNCTION DUMP: the format that it reads is learned from that',
        cause: reply,
      },
    );
  }
  return nodeError('RESTORE_FAILED', name, `Cannot write to ${name}: ${reply.message}`, {
    hint,
    next: [AGAIN],
    resumable: 'same-call',
    keys: [key],
    cause: reply,
  });
}

/** Why no more is tried. */
export function gaveUp(owner: Address | undefined, reason: unknown): Error {
  const name = owner ? formatAddress(owner) : 'the cluster';
  return nodeError(
    'RESTORE_FAILED',
    name,
    `Cannot write to ${name} for ${PATIENCE_MS / 1000} s: ${messageOf(reason)}`,
    {
      hint: 'Keys that were written are kept',
      next: [...(owner ? [{ do: 'check', cluster: name } as const] : []), AGAIN],
      resumable: 'same-call',
      cause: reason,
    },
  );
}

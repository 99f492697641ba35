import { type Command, type Connection, type Reply, ReplyError } from '../../resp/index.ts';
import { badReply } from '../errors.ts';
import { slotOfKey } from '../model/slot.ts';
import { sameTtl } from '../nodes/key-content.ts';
import { ANY_LIFE, type LifeQuestion } from '../nodes/server-clock.ts';
import { isStreamDump } from '../rdb/dump.ts';
import { isPartName } from './parts/part-name.ts';
import { PASSING, type StoredKey } from './write-keys.ts';

/** COUNT of each SCAN. */
const SCAN_COUNT = 1000;
/** Most keys read at once: serialising them blocks the source. */
const MOST_KEYS = 100;
/** Most bytes read at once, by MEMORY USAGE. A key that takes more is read in parts: to serialise this much blocks the source for some 10 ms. */
export const MOST_BYTES: number = 4 * 1024 * 1024;

/** Keys to be read at once. */
export interface Lot {
  readonly keys: string[];
  /** It is a single key, too large to be read at once. */
  readonly isBig: boolean;
  /** What they take, by MEMORY USAGE, if that was asked. */
  readonly bytes?: number;
}

/** Which keys to list, and how. */
export interface Listing {
  /** Only keys that match it, as MATCH takes it, in latin1. @default all */
  readonly match?: string | undefined;
  /** Leaves out a key. @default none is left out */
  readonly accepts?: (slot: number) => boolean;
  /** Keys of different slots are in different lots: a cluster does not take them in one transaction. @default false */
  readonly isBySlot?: boolean;
  /** Only names are wanted: lots are limited by number alone. @default false */
  readonly isNamesOnly?: boolean;
}

/** Takes a key that a node of a cluster does not serve now: its slot is moving, or its master fails over. */
export type OnElsewhere = (key: string) => void;

/**
 * Names of the keys of a database, in lots to be read at once. As with SCAN, every key that exists throughout is listed, and
 * a key may be listed twice.
 */
export async function* listKeys(
  connection: Connection,
  db: number,
  { match, accepts, isBySlot = false, isNamesOnly = false }: Listing = {},
): AsyncGenerator<Lot> {
  await connection.command(['SELECT', db]);
  let cursor = '0';
  do {
    const matching = match === undefined ? [] : ['MATCH', match];
    const reply = await connection.command(['SCAN', cursor, ...matching, 'COUNT', SCAN_COUNT]);
    const [next, keys] = Array.isArray(reply) ? reply : [];
    if (typeof next !== 'string' || !Array.isArray(keys)) throw badReply('SCAN did not return a cursor');
    cursor = next;
    const named = keys.map(String);
    const wanted = named.filter((key) => !isPartName(key) && (accepts?.(slotOfKey(key)) ?? true));
    if (isNamesOnly) {
      if (wanted.length > 0) yield { keys: wanted, isBig: false };
      continue;
    }
    const sizes = await measureKeys(connection, wanted);
    if (isBySlot) yield* lotsBySlot(wanted, sizes);
    else yield* lots(wanted, sizes);
  } while (cursor !== '0');
}

/** Bytes that keys take, by MEMORY USAGE; 0 for one that is gone or that the user may not measure. */
export async function measureKeys(connection: Connection, keys: readonly string[]): Promise<number[]> {
  if (keys.length === 0) return [];
  const replies = await connection.pipeline(keys.map((key): Command => ['MEMORY', 'USAGE', key]));
  return replies.map((reply) => (typeof reply === 'number' ? reply : 0));
}

function* lotsBySlot(keys: readonly string[], sizes: readonly number[]): Generator<Lot> {
  const slots = new Map<number, { readonly keys: string[]; readonly sizes: number[] }>();
  for (const [index, key] of keys.entries()) {
    const slot = slotOfKey(key);
    const own = slots.get(slot) ?? { keys: [], sizes: [] };
    own.keys.push(key);
    own.sizes.push(sizes[index] ?? 0);
    slots.set(slot, own);
  }
  for (const own of slots.values()) yield* lots(own.keys, own.sizes);
}

/** Gives each big key a lot of its own. The others are in one. */
export function* bigApart(keys: readonly string[], sizes: readonly number[]): Generator<Lot> {
  const isBig = (_: string, index: number): boolean => (sizes[index] ?? 0) > MOST_BYTES;
  for (const key of keys.filter(isBig)) yield { keys: [key], isBig: true };
  const others = keys.filter((key, index) => !isBig(key, index));
  if (others.length > 0) yield { keys: others, isBig: false };
}

/** Splits keys into lots of limited number and size. */
export function* lots(keys: readonly string[], sizes: readonly number[]): Generator<Lot> {
  let lot: string[] = [];
  let bytes = 0;
  for (const [index, key] of keys.entries()) {
    const size = sizes[index] ?? 0;
    if (lot.length > 0 && (lot.length >= MOST_KEYS || bytes + size > MOST_BYTES)) {
      yield { keys: lot, isBig: bytes > MOST_BYTES, bytes };
      lot = [];
      bytes = 0;
    }
    lot.push(key);
    bytes += size;
  }
  if (lot.length > 0) yield { keys: lot, isBig: bytes > MOST_BYTES, bytes };
}

/**
 * Reads values and what is left of their lives, and leaves out keys that are gone. With `isWatched` the next transaction on this connection
 * fails if one of the keys changes before it. Throws an error that a node answers unless `onElsewhere` takes it.
 */
export async function readKeys(
  connection: Connection,
  keys: readonly string[],
  isWatched: boolean,
  life: LifeQuestion,
  onElsewhere?: OnElsewhere,
): Promise<StoredKey[]> {
  const watch: Command[] = isWatched ? [['WATCH', ...keys]] : [];
  const replies = await connection.pipeline([
    ...watch,
    ...keys.flatMap((key): Command[] => [...life.commands(key), ['DUMP', key]]),
  ]);
  const readAt = performance.now();
  const asked = life.commands('').length;
  const isElsewhere = (reply: Reply | undefined): boolean => {
    if (!(reply instanceof ReplyError)) return false;
    if (onElsewhere && PASSING.has(reply.code)) return true;
    throw reply;
  };
  // If one of them cannot be watched, none is.
  const isUnwatched = isWatched && isElsewhere(replies[0]);
  return keys.flatMap((key, index): StoredKey[] => {
    const at = watch.length + (asked + 1) * index;
    const [when, dump] = [replies.slice(at, at + asked), replies[at + asked]];
    if (isUnwatched || isElsewhere(when.at(-1)) || isElsewhere(dump)) {
      onElsewhere?.(key);
      return [];
    }
    if (typeof dump !== 'string') return [];
    // Between these commands another client may have changed the expiry, at most.
    return [{ key, dump, ttlMs: life.left(when, readAt), readAt }];
  });
}

/** What became of keys that were to be deleted. */
export interface Deleted {
  readonly deleted: number;
  /** Keys that were written after they were read, which are kept. */
  readonly changed: readonly StoredKey[];
  /** Streams that were deleted and had other groups by then: as they were in the end. */
  readonly newer: readonly StoredKey[];
}

/**
 * Deletes copied keys unless they were written after they were read. They must have been read with `isWatched`, and in a cluster
 * be of one slot.
 */
export async function deleteKeys(
  connection: Connection,
  keys: readonly StoredKey[],
  onElsewhere?: OnElsewhere,
): Promise<Deleted> {
  if (keys.length === 0) {
    await connection.command(['UNWATCH']);
    return { deleted: 0, changed: [], newer: [] };
  }
  const newer: StoredKey[] = [];
  const all = await deleteWatched(connection, keys, onElsewhere, newer);
  if (all !== 'touched') return { deleted: all === 'deleted' ? keys.length : 0, changed: [], newer };
  // One of the keys was written or expired: delete them one by one.
  const changed: StoredKey[] = [];
  let deleted = 0;
  for (const stored of keys) {
    const askedAt = performance.now();
    const [now] = await readKeys(connection, [stored.key], true, ANY_LIFE, onElsewhere);
    const isSame = now !== undefined && now.dump === stored.dump && hasSameExpiry(stored, now, askedAt);
    const end = isSame ? await deleteWatched(connection, [stored], onElsewhere, newer) : undefined;
    if (end === undefined) await connection.command(['UNWATCH']);
    if (end === 'deleted') deleted += 1;
    else if (end === 'touched' || (end === undefined && now !== undefined)) changed.push(stored);
  }
  return { deleted, changed, newer };
}

// The copy has the time to live that the key had when it was read: one that was given more time since would expire too soon.
function hasSameExpiry({ ttlMs, readAt }: StoredKey, now: StoredKey, askedAt: number): boolean {
  const left = ttlMs === undefined ? undefined : ttlMs - (now.readAt - readAt);
  return sameTtl(left, now.ttlMs, now.readAt - askedAt);
}

/**
 * Deletes keys that are watched, unless one of them was written since. WATCH does not notice commands that only change the groups of a stream
 * or its last id, such as XACK, XGROUP and XSETID: a stream that was read whole is read again as it is deleted, and goes to `newer` if it
 * has changed.
 */
export async function deleteWatched(
  connection: Connection,
  keys: readonly StoredKey[],
  onElsewhere?: OnElsewhere,
  newer: StoredKey[] = [],
): Promise<'deleted' | 'touched' | 'elsewhere'> {
  const streams = keys.filter(({ dump }) => isStreamDump(dump));
  // Not in one write: without the right to MULTI, the server would delete the keys whatever has become of them.
  const begun = await connection.pipeline([['MULTI']]);
  const replies: Reply[] =
    begun[0] instanceof ReplyError
      ? begun
      : await connection.pipeline([
          ...streams.map(({ key }): Command => ['DUMP', key]),
          ['UNLINK', ...keys.map(({ key }) => key)],
          ['EXEC'],
        ]);
  const refused = replies.flat().find((reply) => reply instanceof ReplyError);
  if (refused) {
    if (!onElsewhere || !PASSING.has(refused.code)) throw refused;
    for (const { key } of keys) onElsewhere(key);
    return 'elsewhere';
  }
  const ended = replies.at(-1);
  if (!Array.isArray(ended)) return 'touched';
  for (const [index, stored] of streams.entries()) {
    const dump = ended[index];
    if (typeof dump === 'string' && dump !== stored.dump) newer.push({ ...stored, dump });
  }
  return 'deleted';
}

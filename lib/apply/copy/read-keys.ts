import { type Command, type Connection, type Reply, ReplyError } from '../../../resp/index.ts';
import type { StoredKey } from './write-keys.ts';

/** Keys asked for with one SCAN. */
const SCAN_COUNT = 1000;
/** Most keys read at one time: they hold up the source for as long as it serialises them. */
const MOST_KEYS = 100;
/** Most bytes read at one time, by MEMORY USAGE, unless one key alone takes more. */
const MOST_BYTES = 4 * 1024 * 1024;

/**
 * Names of the keys of a database, in lots that can be read at one time. Every key that is there all the while is named, and one
 * may be named twice, as SCAN has it.
 */
export async function* listKeys(connection: Connection, db: number): AsyncGenerator<string[]> {
  await connection.command(['SELECT', db]);
  let cursor = '0';
  do {
    const reply = await connection.command(['SCAN', cursor, 'COUNT', SCAN_COUNT]);
    const [next, keys] = Array.isArray(reply) ? reply : [];
    if (typeof next !== 'string' || !Array.isArray(keys)) throw new TypeError('SCAN gave no cursor');
    cursor = next;
    yield* lots(keys.map(String), await sizesOf(connection, keys.map(String)));
  } while (cursor !== '0');
}

// Where they may not be measured, or are gone, they count for nothing.
async function sizesOf(connection: Connection, keys: readonly string[]): Promise<number[]> {
  if (keys.length === 0) return [];
  const replies = await connection.pipeline(keys.map((key): Command => ['MEMORY', 'USAGE', key]));
  return replies.map((reply) => (typeof reply === 'number' ? reply : 0));
}

/** Cuts a list where a lot would be too large. */
export function* lots(keys: readonly string[], sizes: readonly number[]): Generator<string[]> {
  let lot: string[] = [];
  let bytes = 0;
  for (const [index, key] of keys.entries()) {
    const size = sizes[index] ?? 0;
    if (lot.length > 0 && (lot.length >= MOST_KEYS || bytes + size > MOST_BYTES)) {
      yield lot;
      lot = [];
      bytes = 0;
    }
    lot.push(key);
    bytes += size;
  }
  if (lot.length > 0) yield lot;
}

/**
 * Reads values and times to live; those of keys that are gone are left out. With `isWatched` the next transaction of this
 * connection is refused if one of the keys changes meanwhile.
 */
export async function readKeys(
  connection: Connection,
  keys: readonly string[],
  isWatched: boolean,
): Promise<StoredKey[]> {
  const watch: Command[] = isWatched ? [['WATCH', ...keys]] : [];
  const replies = await connection.pipeline([
    ...watch,
    ...keys.flatMap((key): Command[] => [
      ['PTTL', key],
      ['DUMP', key],
    ]),
  ]);
  const readAt = performance.now();
  for (const reply of replies) if (reply instanceof ReplyError) throw reply;
  return keys.flatMap((key, index): StoredKey[] => {
    const at = watch.length + 2 * index;
    const [ttl, dump] = [replies[at], replies[at + 1]];
    if (typeof dump !== 'string') return [];
    // It was given another time to live between the two: no more than that.
    return [{ key, dump, ttlMs: typeof ttl === 'number' && ttl >= 0 ? ttl : -1, readAt }];
  });
}

/**
 * Deletes keys that were copied, unless they were written meanwhile. They have to be watched since they were read. Resolves to
 * those that were written, which are kept.
 */
export async function deleteKeys(connection: Connection, keys: readonly StoredKey[]): Promise<StoredKey[]> {
  if (keys.length === 0) {
    await connection.command(['UNWATCH']);
    return [];
  }
  if (await deleteWatched(connection, keys)) return [];
  // Somebody wrote one of them, or it expired: each by itself then.
  const written: StoredKey[] = [];
  for (const stored of keys) {
    const [now] = await readKeys(connection, [stored.key], true);
    const isSame = now !== undefined && now.dump === stored.dump && now.ttlMs < 0 === stored.ttlMs < 0;
    if (isSame && (await deleteWatched(connection, [stored]))) continue;
    if (!isSame) await connection.command(['UNWATCH']);
    if (now !== undefined) written.push(stored);
  }
  return written;
}

async function deleteWatched(connection: Connection, keys: readonly StoredKey[]): Promise<boolean> {
  const replies: Reply[] = await connection.pipeline([
    ['MULTI'],
    ['UNLINK', ...keys.map(({ key }) => key)],
    ['EXEC'],
  ]);
  for (const reply of replies) if (reply instanceof ReplyError) throw reply;
  return replies[2] !== null;
}

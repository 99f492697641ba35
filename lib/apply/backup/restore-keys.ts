import { dumpOf } from '../../model/dump.ts';
import type { RdbKey } from '../../model/rdb.ts';
import type { Context } from '../context.ts';
import type { Owners } from '../copy/owners.ts';
import type { Tally } from '../copy/tally.ts';
import { type StoredKey, type WriteOptions, writeKeys } from '../copy/write-keys.ts';
import { contentOf } from '../key-content.ts';
import { askDatabase } from '../node-info.ts';
import type { BackupFile, BackupManifest } from './manifest.ts';
import { itemsOf } from './read-files.ts';
import { isExpired, ownership } from './survey-files.ts';

/** Most keys written at one time, over all masters. */
const MOST_KEYS = 500;
/** Most bytes written at one time, unless one key alone has more. */
const MOST_BYTES = 4 * 1024 * 1024;
/** Lots that are written side by side. */
const WRITERS = 4;

/** Keys of one database that are written at one time. */
interface Lot {
  readonly db: number;
  readonly keys: readonly StoredKey[];
}

/**
 * Writes the keys of a backup to the masters that own their slots. With `strays` only those that were found on a master which did not
 * own their slot, else only the others.
 */
export async function restoreKeys(
  context: Context,
  owners: Owners,
  dir: string,
  { masters }: BackupManifest,
  tally: Tally,
  { replace, strays }: { readonly replace: boolean; readonly strays: boolean },
): Promise<void> {
  const ahead = lotsOf(dir, masters, strays);
  let isOver = false;
  // One list, from which each takes the next lot when it has written the last. Where one fails the others end what they are at.
  const write = async (): Promise<void> => {
    try {
      while (!isOver) {
        context.signal?.throwIfAborted();
        const { value: lot, done } = await ahead.next();
        if (done) return;
        const written = await writeKeys(context, owners, lot.keys, how(context, lot.db, replace));
        tally.add(written.restored, written.same.length, 0);
        tally.differ(written.conflicts, []);
      }
    } finally {
      isOver = true;
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: WRITERS }, write));
  await ahead.return(undefined);
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed) throw failed.reason;
}

function how(context: Context, db: number, replace: boolean): WriteOptions {
  return {
    db,
    replace,
    contentAt: (address, key) =>
      contentOf(async (command) => {
        const [reply = null] = await askDatabase(context.connections, address, db, [command]);
        return reply;
      }, key),
  };
}

async function* lotsOf(dir: string, files: readonly BackupFile[], strays: boolean): AsyncGenerator<Lot> {
  for (const file of files) {
    const isOwned = ownership(file);
    let keys: StoredKey[] = [];
    let [db, bytes] = [0, 0];
    for await (const { items, version } of itemsOf(dir, file)) {
      // What is in them is theirs only until the next are read.
      const stored = items.flatMap((item) =>
        item.kind === 'key' && isOwned(item) !== strays && !isExpired(item)
          ? [{ db: item.db, key: storedKey(item, version) }]
          : [],
      );
      for (const next of stored) {
        const isFull = keys.length >= MOST_KEYS || bytes + next.key.dump.length > MOST_BYTES;
        if (keys.length > 0 && (isFull || next.db !== db)) {
          yield { db, keys };
          keys = [];
          bytes = 0;
        }
        db = next.db;
        keys.push(next.key);
        bytes += next.key.dump.length;
      }
    }
    if (keys.length > 0) yield { db, keys };
  }
}

function storedKey({ key, type, value, expiresAt }: RdbKey, version: number): StoredKey {
  const readAt = performance.now();
  const dump = dumpOf(type, value, version);
  if (expiresAt === undefined) return { key, dump, ttlMs: -1, readAt };
  return { key, dump, ttlMs: expiresAt - Date.now(), readAt, expiresAt };
}

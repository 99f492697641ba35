import { type Command, type Reply, ReplyError } from '../../../resp/index.ts';
import type { Address } from '../../model/address.ts';
import { dumpOf } from '../../model/dump.ts';
import type { RdbKey } from '../../model/rdb.ts';
import { hashTag } from '../../model/slot.ts';
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

function how({ connections }: Context, db: number, replace: boolean): WriteOptions {
  const asking = (owner: Address) => async (command: Command) => {
    const [reply = null] = await askDatabase(connections, owner, db, [command]);
    return reply;
  };
  return {
    db,
    replace,
    contentOf: (stored, owner) => contentOfStored(asking(owner), stored),
    contentAt: (owner, key) => wholeContentOf(asking(owner), key),
  };
}

type Ask = (command: Command) => Promise<Reply>;

/** A key beside another, by a name of its own, lives no longer than this. */
const PROBE_MS = 10_000;

// A server of another version, or set up otherwise, has the same value in another form: what it makes of ours is seen beside it.
async function contentOfStored(ask: Ask, { key, dump }: StoredKey): Promise<string | undefined> {
  const probe = besideKey(key);
  if (probe === undefined) return undefined;
  const reply = await ask(['RESTORE', probe, PROBE_MS, dump, 'REPLACE']);
  if (reply instanceof ReplyError) return undefined;
  const content = await wholeContentOf(ask, probe);
  await ask(['UNLINK', probe]);
  return content;
}

// Of what clients do not see whole, such as streams, the form that one and the same server has for it.
async function wholeContentOf(ask: Ask, key: string): Promise<string | undefined> {
  const content = await contentOf(ask, key);
  if (content !== undefined) return content;
  const dump = await ask(['DUMP', key]);
  return typeof dump === 'string' ? dump : undefined;
}

/** A name for another key of the same slot; undefined where there is none of this form. */
export function besideKey(key: string): string | undefined {
  const tag = Buffer.from(hashTag(Buffer.from(key, 'latin1'))).toString('latin1');
  return tag === '' || tag.includes('}') ? undefined : `redis-trib:compare:{${tag}}`;
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

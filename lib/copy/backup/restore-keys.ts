import type { Context } from '../../nodes/context.ts';
import { convertKeys } from '../conversion.ts';
import type { CopyTally } from '../copy-tally.ts';
import type { Owners } from '../owners.ts';
import type { CopiedInParts, Destination } from '../parts/write-in-parts.ts';
import { type StoredKey, writeKeys } from '../write-keys.ts';
import type { BackupFile, BackupManifest } from './manifest.ts';
import { itemsOf } from './read-files.ts';
import { restoreInParts } from './restore-in-parts.ts';
import { isExpired, ownership, storedKey } from './survey-files.ts';

/** Most keys written at once, over all masters. */
const MOST_KEYS = 500;
/** Most bytes written at once. A key that takes more is written in parts. */
const MOST_BYTES = 4 * 1024 * 1024;
/** Lots written in parallel. */
const WRITERS = 4;

/** Keys of one database that are written at once. */
interface Lot {
  readonly db: number;
  readonly keys: readonly StoredKey[];
}

/** What `restoreKeys` writes. */
export interface Restoring {
  /** RDB versions that the masters read. */
  readonly readers: readonly number[];
  /** The time by which keys have expired, in milliseconds since 1970. */
  readonly now: () => number;
  /** Overwrite keys that the cluster has with another value. */
  readonly replace: boolean;
  /** True if they were written before: those that are the same are not counted again. */
  readonly isAgain?: boolean;
  /** Only keys saved from a master that did not own their slot; otherwise only the others. */
  readonly strays: boolean;
  /** Write nothing, and report to `onKept` which of them the cluster does not have. */
  readonly comparesOnly?: boolean;
  /** Takes keys that were not written: the cluster has another value, or does not have them. @default they count as conflicts */
  readonly onKept?: (differing: readonly StoredKey[], missing: readonly StoredKey[]) => void;
}

/** Writes keys of a backup to the masters that own their slots. */
export async function restoreKeys(
  context: Context,
  owners: Owners,
  dir: string,
  { masters }: BackupManifest,
  tally: CopyTally,
  restoring: Restoring,
): Promise<void> {
  const { readers, replace, strays, now, comparesOnly = false, isAgain = false } = restoring;
  const onKept = restoring.onKept ?? ((differing) => tally.differ(differing, [], isAgain));
  const ahead = lotsOf(dir, masters, strays, now);
  const to = { context, owners, replace, readers, unfinished: new Set<string>() };
  let isOver = false;
  // Each writer takes the next lot when it has written the last. If one fails, the others finish their lot and stop.
  const write = async (): Promise<void> => {
    try {
      while (!isOver) {
        context.signal?.throwIfAborted();
        const { value: lot, done } = await ahead.next();
        if (done) return;
        const written = await writeLot(lot, { ...to, db: lot.db }, comparesOnly, now());
        tally.add(written.restored, isAgain ? 0 : written.same.length, 0);
        tally.leave(written.left, written.unread, isAgain);
        onKept(written.conflicts, written.missing);
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

async function writeLot(
  { keys: stored }: Lot,
  to: Destination,
  comparesOnly: boolean,
  now: number,
): Promise<CopiedInParts> {
  const [only] = stored;
  const inParts =
    only && only.dump.length > MOST_BYTES ? await restoreInParts(only, to, comparesOnly, now) : undefined;
  if (inParts) return inParts;
  const { keys, left } = comparesOnly ? { keys: stored, left: [] } : convertKeys(stored, to.readers);
  return { ...(await writeKeys(to.context, to.owners, keys, { ...to, comparesOnly })), left };
}

async function* lotsOf(
  dir: string,
  files: readonly BackupFile[],
  strays: boolean,
  now: () => number,
): AsyncGenerator<Lot> {
  for (const file of files) {
    const isOwned = ownership(file);
    let keys: StoredKey[] = [];
    let [db, bytes] = [0, 0];
    for await (const { items, version } of itemsOf(dir, file)) {
      // Copy the values: they are valid only until the next items are read.
      const stored = items.flatMap((item) =>
        item.kind === 'key' && isOwned(item) !== strays && !isExpired(item, now())
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
